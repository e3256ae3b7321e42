"""The realtime transcription socket when it fails: no word of the caller is lost, whoever hears it in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import Frame, InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from repartee.agent import load_agent
from repartee.providers.failover import Watch
from repartee.providers.frames import PieceTranscribedFrame, VoicePausedFrame, VoiceStartedFrame
from repartee.providers.kit import ProviderKit
from repartee.providers.ladder import Ladder, Rung
from repartee.providers.patience import Failsafe
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.desk import Fault
from repartee.simulator.providers.library import Heard
from tests.conftest import FRONT_DESK
from tests.session.billing import _settings
from tests.session.rig import run

RATE = 16_000
FRAME_MS = 20


class Words(FrameProcessor):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[tuple[int, str]] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, PieceTranscribedFrame):
            self.pieces.append((frame.piece_id, frame.text))
        await self.push_frame(frame, direction)


class Speech:
    """A caller in front of the service; what is understood says how long the audio was."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.failed: list[tuple[str, str]] = []
        failsafe = Failsafe(watch=Watch(failed=lambda _, key, why: self.failed.append((key.provider, why))))
        first, then = ("openai-realtime", "gpt-4o-mini-transcribe"), ("openai", "gpt-4o-mini-transcribe")
        ladder = Ladder(
            Rung("stt", *first, ""),
            Rung("llm", "openai", "gpt-4.1-mini", ""),
            Rung("tts", "openai", "gpt-4o-mini-tts", ""),
            then={"stt": (Rung("stt", *then, ""),)},
        )
        settings = _settings(simulator.url)
        self.kit = ProviderKit(settings, load_agent(FRONT_DESK), ladder, None, failsafe=failsafe)
        self.stt: Any = self.kit.stt()
        self.words = Words()
        self.segment = 0
        self.worker = PipelineWorker(
            Pipeline([self.stt, self.words]),
            params=PipelineParams(audio_in_sample_rate=RATE),
            enable_rtvi=False,
            idle_timeout_secs=None,
            cancel_runner_on_idle_timeout=False,
        )

    async def __aenter__(self) -> Speech:
        self.running = await run(self.worker)
        await self.until(lambda: self.stt._ready)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.worker.cancel()
        await asyncio.wait_for(self.running, 10)
        await self.kit.aclose()

    async def begin(self) -> None:
        self.segment += 1
        await self.worker.queue_frame(VoiceStartedFrame(segment_id=self.segment))

    async def hear(self, seconds: float) -> None:
        samples = np.full(RATE * FRAME_MS // 1000, 900, np.int16).tobytes()
        for _ in range(round(seconds * 1000 / FRAME_MS)):
            await self.worker.queue_frame(InputAudioRawFrame(samples, RATE, 1))
        frames = self.stt._FrameProcessor__input_queue
        await self.until(lambda: frames.empty())  # noqa: PLW0108 - it is asked each time

    async def pause(self) -> None:
        await self.worker.queue_frame(VoicePausedFrame(stop_secs=0.1, segment_id=self.segment))

    async def say(self, seconds: float) -> None:
        await self.begin()
        await self.hear(seconds)
        await self.pause()

    async def until(self, what: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not what():  # noqa: ASYNC110 - sockets of another server announce nothing
                await asyncio.sleep(0.005)


@pytest.fixture
async def speech(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Speech]:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:

        async def recognise(pcm: Any, rate: int) -> Heard:
            return Heard(f"{len(pcm) / rate:.1f}", ("x",), complete=True)

        monkeypatch.setattr(simulator.desk, "recognise", recognise)
        async with Speech(simulator) as speech:
            yield speech


def seconds(piece: tuple[int, str]) -> float:
    return float(piece[1])


async def test_all_is_well(speech: Speech) -> None:
    await speech.say(1.0)
    await speech.until(lambda: speech.words.pieces)
    await speech.say(0.6)
    await speech.until(lambda: len(speech.words.pieces) == 2)
    assert [piece_id for piece_id, _ in speech.words.pieces] == [1, 2]
    assert seconds(speech.words.pieces[0]) == pytest.approx(1.0, abs=0.15)
    assert not speech.failed


async def test_a_piece_in_which_nothing_was_said_is_told(
    speech: Speech, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any) -> Heard:
        return Heard("", (), complete=True)

    monkeypatch.setattr(speech.simulator.desk, "recognise", nothing)
    await speech.say(0.5)
    await speech.until(lambda: speech.words.pieces)
    assert speech.words.pieces == [(1, "")]


@pytest.mark.parametrize(("kind", "why"), [("error", "error"), ("rate_limit", "error"), ("stall", "timeout")])
async def test_a_piece_that_gets_no_words_is_heard_by_the_next(speech: Speech, kind: str, why: str) -> None:
    speech.simulator.desk.faults.append(Fault("stt", kind, 1))
    await speech.say(1.0)
    await speech.until(lambda: speech.words.pieces)
    assert seconds(speech.words.pieces[0]) == pytest.approx(1.2, abs=0.15), (
        "with the silence that is put behind it"
    )
    assert speech.failed == [("openai-realtime", why)]
    await speech.say(0.6)
    await speech.until(lambda: len(speech.words.pieces) == 2)
    assert seconds(speech.words.pieces[1]) == pytest.approx(0.6, abs=0.15), (
        "by the socket again, and only its own"
    )


async def test_a_socket_that_drops_in_the_middle_of_speech_gets_all_of_it_again(speech: Speech) -> None:
    await speech.begin()
    await speech.hear(1.0)
    speech.stt._websocket.transport.abort()
    await speech.until(lambda: not speech.stt._ready)
    await speech.until(lambda: speech.stt._ready)
    await speech.hear(0.5)
    await speech.pause()
    await speech.until(lambda: speech.words.pieces)
    assert seconds(speech.words.pieces[0]) == pytest.approx(1.5, abs=0.15)
    assert not speech.failed, "it was back in time"


async def test_what_is_said_while_the_socket_is_away_is_heard_by_the_next(
    speech: Speech, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> Any:
        raise ConnectionRefusedError("away")

    monkeypatch.setattr(type(speech.stt), "_websocket_connect", away)
    await speech.begin()
    await speech.hear(0.5)
    speech.stt._websocket.transport.abort()
    await speech.until(lambda: not speech.stt._ready)
    await speech.hear(0.5)
    await speech.pause()
    await speech.until(lambda: speech.words.pieces)
    assert seconds(speech.words.pieces[0]) == pytest.approx(1.2, abs=0.15)
    assert speech.failed == [("openai-realtime", "error")]
    monkeypatch.undo()
    await speech.until(lambda: speech.stt._ready)
