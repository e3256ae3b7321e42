"""A turn's audio is transcribed by the piece: again while it is short, settled when it is long."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from openai import AsyncOpenAI
from pipecat.frames.frames import Frame, InputAudioRawFrame, TranscriptionFrame
from pipecat.processors.frame_processor import FrameDirection

from repartee.providers.frames import (
    CaptionFrame,
    PauseScoredFrame,
    PieceTranscribedFrame,
    TranscribeNowFrame,
    TurnClosedFrame,
    VoicePausedFrame,
    VoiceStartedFrame,
)
from repartee.providers.transcribers import PREROLL_S, PieceBuffer, PiecewiseSTT

RATE = 16_000
DOWN = FrameDirection.DOWNSTREAM


def audio(seconds: float) -> bytes:
    return bytes(int(RATE * seconds) * 2)


def test_before_voice_only_the_last_bit_is_kept() -> None:
    piece = PieceBuffer(RATE)
    for _ in range(20):
        piece.add(audio(0.1))
    assert piece.seconds == pytest.approx(PREROLL_S)


def test_a_short_pause_goes_on_with_the_piece_and_a_long_turn_settles_it() -> None:
    piece = PieceBuffer(RATE)
    piece.begin(9.0)
    piece.add(audio(2.0))
    assert piece.begin(0.5), "a short piece is transcribed again as a whole"
    piece.add(audio(3.0))
    assert piece.begin(0.1), "a short pause is no place to cut"
    piece.add(audio(0.5))
    assert not piece.begin(0.4)
    assert piece.piece_id == 2
    assert piece.seconds == pytest.approx(0.35), "the pause, but for its beginning"


def test_a_turn_that_is_over_settles_its_piece() -> None:
    piece = PieceBuffer(RATE)
    piece.begin(9.0)
    piece.add(audio(1.0))
    piece.settle()
    assert (piece.piece_id, piece.seconds) == (2, 0.0)
    piece.settle()
    assert piece.piece_id == 2, "nothing was said since"


def test_a_voice_that_sounds_again_when_the_turn_is_closed_loses_nothing() -> None:
    piece = PieceBuffer(RATE)
    piece.begin(9.0)
    piece.add(audio(2.0))
    piece.begin(0.3)
    piece.add(audio(0.5))
    piece.settle(speaking=True)
    assert piece.piece_id == 2
    assert piece.seconds == pytest.approx(0.5 + PREROLL_S / 2)
    assert piece.begin(0.1), "the same piece goes on"


class Vendor:
    """Transcribes when told to."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.cancelled = 0
        self.answer = asyncio.Event()

    async def run(self, wav: bytes) -> Any:
        self.asked.append(round((len(wav) - 44) / RATE / 2, 1))
        try:
            await self.answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        yield TranscriptionFrame(f"{self.asked[-1]} seconds", "ann", "now")


@pytest.fixture
def stt(monkeypatch: pytest.MonkeyPatch) -> tuple[PiecewiseSTT, Vendor, list[PieceTranscribedFrame]]:
    service = PiecewiseSTT(AsyncOpenAI(api_key="x", base_url="http://127.0.0.1:9/v1"))
    vendor, pushed = Vendor(), []

    async def push(frame: Frame, *_: Any) -> None:
        if isinstance(frame, PieceTranscribedFrame):
            pushed.append(frame)

    async def nothing(*_: Any, **__: Any) -> None: ...

    def task(work: Any, *_: Any) -> asyncio.Task[None]:
        return asyncio.create_task(work)

    async def cancel(task: asyncio.Task[None], *_: Any) -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for name, value in {
        "push_frame": push,
        "run_stt": vendor.run,
        "create_task": task,
        "cancel_task": cancel,
    }.items():
        monkeypatch.setattr(service, name, value)
    monkeypatch.setattr(service, "emit_stt_usage_metrics", nothing)
    monkeypatch.setattr(service, "_record_stt_audio_usage", lambda *_: None)
    monkeypatch.setattr(service, "_sample_rate", RATE)
    return service, vendor, pushed


async def hear(service: PiecewiseSTT, seconds: float) -> None:
    await service.process_audio_frame(InputAudioRawFrame(audio(seconds), RATE, 1), DOWN)


async def test_a_pause_is_transcribed_at_once_and_cancelled_when_the_voice_goes_on(stt: Any) -> None:
    service, vendor, pushed = stt
    await service._handle_user_started_speaking(VoiceStartedFrame(segment_id=1))
    await hear(service, 1.0)
    await service._handle_user_stopped_speaking(VoicePausedFrame(segment_id=1))
    await asyncio.sleep(0.01)
    await service._handle_user_started_speaking(VoiceStartedFrame(segment_id=2))
    await asyncio.sleep(0.01)
    assert vendor.cancelled == 1, "the vendor is told to stop"
    await hear(service, 1.0)
    await service._handle_user_stopped_speaking(VoicePausedFrame(segment_id=2))
    await service.process_frame(PauseScoredFrame(probability=0.9), DOWN)
    vendor.answer.set()
    await asyncio.sleep(0.01)
    assert vendor.asked == [1.2, 2.2], "the piece as a whole, with 0.2 s of silence"
    (frame,) = pushed
    assert (frame.piece_id, frame.segment_id, frame.text) == (1, 2, "2.2 seconds")


async def test_a_caller_who_went_on_may_again_so_the_next_pause_waits_for_evidence(stt: Any) -> None:
    service, vendor, pushed = stt
    vendor.answer.set()
    for segment in (1, 2, 3):
        await service._handle_user_started_speaking(VoiceStartedFrame(segment_id=segment))
        await hear(service, 1.0)
        await service._handle_user_stopped_speaking(VoicePausedFrame(segment_id=segment))
        await service.process_frame(PauseScoredFrame(probability=0.2), DOWN)
        await asyncio.sleep(0.01)
    assert vendor.asked == [1.2, 2.2], "the first pauses are transcribed at once, the next is doubtful"
    await service.process_frame(PauseScoredFrame(probability=0.6), DOWN)
    await asyncio.sleep(0.01)
    assert vendor.asked == [1.2, 2.2, 3.2]
    assert [f.segment_id for f in pushed] == [1, 2, 3]


async def test_a_doubtful_pause_is_transcribed_when_it_lasts(stt: Any, monkeypatch: Any) -> None:
    service, vendor, pushed = stt
    monkeypatch.setattr("repartee.providers.transcribers.DOUBT_S", 0.0)
    vendor.answer.set()
    for segment in (1, 2, 3):
        await service._handle_user_started_speaking(VoiceStartedFrame(segment_id=segment))
        await hear(service, 1.0)
        await service._handle_user_stopped_speaking(VoicePausedFrame(segment_id=segment))
        await asyncio.sleep(0.01)
    assert [f.segment_id for f in pushed] == [1, 2, 3]


async def test_a_settled_piece_is_not_cancelled_and_the_next_has_its_own_number(stt: Any) -> None:
    service, vendor, pushed = stt
    await service._handle_user_started_speaking(VoiceStartedFrame(segment_id=1))
    await hear(service, 5.0)
    await service._handle_user_stopped_speaking(VoicePausedFrame(segment_id=1))
    service._paused_s -= 0.5  # the pause has lasted
    await hear(service, 0.5)
    await service._handle_user_started_speaking(VoiceStartedFrame(segment_id=2))
    await hear(service, 1.0)
    await service._handle_user_stopped_speaking(VoicePausedFrame(segment_id=2))
    vendor.answer.set()
    await asyncio.sleep(0.01)
    assert vendor.cancelled == 0
    assert sorted((f.piece_id, f.segment_id) for f in pushed) == [(1, 1), (2, 2)]
    assert vendor.asked[0] == 5.2
    assert vendor.asked[1] < 2.0, "only the tail is left"


async def test_words_may_be_asked_for_while_the_voice_still_sounds(stt: Any) -> None:
    service, vendor, pushed = stt
    vendor.answer.set()
    await service._handle_user_started_speaking(VoiceStartedFrame(segment_id=4))
    await hear(service, 0.5)
    await service.process_frame(TranscribeNowFrame(segment_id=4), FrameDirection.UPSTREAM)
    await asyncio.sleep(0.01)
    assert [(f.piece_id, f.segment_id) for f in pushed] == [(1, 4)]
    await service.process_frame(TurnClosedFrame(), FrameDirection.UPSTREAM)
    await service._handle_user_started_speaking(VoiceStartedFrame(segment_id=5))
    await hear(service, 0.5)
    await service._handle_user_stopped_speaking(VoicePausedFrame(segment_id=5))
    await asyncio.sleep(0.01)
    assert cast("PieceTranscribedFrame", pushed[-1]).piece_id == 2, "another turn, another piece"


class Captions:
    """Stands in for the host: gives words when told to."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.able = True
        self.answer = asyncio.Event()

    async def words(self, wav: bytes) -> str:
        self.asked.append(round((len(wav) - 44) / RATE / 2, 1))
        await self.answer.wait()
        return f"{self.asked[-1]} seconds"


@pytest.fixture
def captioned(stt: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[PiecewiseSTT, Captions, list[CaptionFrame]]:
    service, captions, shown = stt[0], Captions(), []

    async def push(frame: Frame, *_: Any) -> None:
        if isinstance(frame, CaptionFrame):
            shown.append(frame)

    monkeypatch.setattr(service, "_captioner", captions)
    monkeypatch.setattr(service, "push_frame", push)
    return service, captions, shown


async def test_a_voice_that_goes_on_is_captioned_once_a_second_and_one_at_a_time(captioned: Any) -> None:
    service, captions, shown = captioned
    await hear(service, 3.0)  # nobody speaks
    await service._handle_user_started_speaking(VoiceStartedFrame(segment_id=1))
    for _ in range(12):
        await hear(service, 0.1)
    await asyncio.sleep(0)
    await hear(service, 1.0)
    await asyncio.sleep(0)
    assert captions.asked == [pytest.approx(1.4, abs=0.11)], "no second while the first is made"
    captions.answer.set()
    await asyncio.sleep(0.01)
    await hear(service, 0.1)
    await asyncio.sleep(0.01)
    assert [(frame.piece_id, frame.text) for frame in shown] == [(1, f"{s} seconds") for s in captions.asked]
    assert len(shown) == 2


async def test_a_caption_ends_with_the_voice(captioned: Any) -> None:
    service, captions, shown = captioned
    await service._handle_user_started_speaking(VoiceStartedFrame(segment_id=1))
    await hear(service, 1.5)
    await asyncio.sleep(0)
    assert len(captions.asked) == 1
    await service._handle_user_stopped_speaking(VoicePausedFrame(segment_id=1))
    captions.answer.set()
    await asyncio.sleep(0.01)
    assert shown == []


async def test_a_machine_that_is_too_slow_is_not_asked_again(captioned: Any) -> None:
    service, captions, _ = captioned
    captions.able = False
    await service._handle_user_started_speaking(VoiceStartedFrame(segment_id=1))
    await hear(service, 5.0)
    await asyncio.sleep(0)
    assert captions.asked == []
