"""What the ears hand on: all of the sound, in its order, at once while there is a voice and in larger pieces else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pipecat.frames.frames import Frame, InputAudioRawFrame, UserAudioRawFrame

from repartee.events import Event
from repartee.providers.frames import VoicePausedFrame, VoiceStartedFrame
from repartee.session.ears import FRAME_BYTES, Ears
from repartee.session.voice import Change


class Voice:
    """A frame of ones begins, one of twos ends; a frame of zeros is long after a sound."""

    speaking, rests, voiced_ms, silent_ms = False, False, 20.0, 60.0

    def hear(self, pcm: bytes) -> Change | None:
        self.rests = pcm[0] == 0
        return {1: "started", 2: "stopped"}.get(pcm[0])  # type: ignore[return-value]


def ears_with(monkeypatch: pytest.MonkeyPatch, pushed: list[Frame]) -> Ears:
    events: list[Event] = []
    ears = Ears(
        submit=events.append,
        clock_ms=lambda: 1000.0,
        score_turn=lambda _: 1.0,
        executor=ThreadPoolExecutor(1),
        is_caller=lambda who: who == "ann",
        on_stt_failed=lambda _: None,
        score_at_ms=lambda: (),
    )

    async def push(frame: Frame, *_: Any) -> None:
        pushed.append(frame)

    monkeypatch.setattr(ears, "push_frame", push)
    monkeypatch.setattr(ears, "_voice", Voice())
    monkeypatch.setattr(ears, "_started", True)
    return ears


async def test_silence_goes_on_in_pieces_and_a_voice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: list[Frame] = []
    ears = ears_with(monkeypatch, pushed)
    for sound in b"\x00\x00\x00\x00\x00\x00\x00\x03\x01\x04\x02\x05\x00":
        await ears.hear(bytes([sound]) * FRAME_BYTES, "ann")
    await ears.cleanup()
    told = [
        bytes(frame.audio[::FRAME_BYTES]) if isinstance(frame, InputAudioRawFrame) else type(frame)
        for frame in pushed
    ]
    assert told == [
        bytes(5),
        bytes(2),
        b"\x03",
        VoiceStartedFrame,
        b"\x01",
        b"\x04",
        b"\x02",
        VoicePausedFrame,
        b"\x05",
    ]
    assert all(frame.user_id == "ann" for frame in pushed if isinstance(frame, UserAudioRawFrame))
    first = pushed[0]
    assert isinstance(first, InputAudioRawFrame)
    assert first.num_frames * 2 == len(first.audio) == 5 * FRAME_BYTES
