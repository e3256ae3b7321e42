"""What a model that hears the caller is given of them: their voice, with a little before it, and no silence.

Sits between the ears and speech-to-text, and passes everything on: the words decide about turns and interruptions,
whoever answers.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import soxr
from pipecat.frames.frames import Frame, InputAudioRawFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from repartee.providers.frames import VoicePausedFrame, VoiceStartedFrame

IN_RATE_HZ, OUT_RATE_HZ = 16_000, 24_000
PREROLL_BYTES = IN_RATE_HZ * 2 * 5 // 10
"""Half a second: what it takes to find a voice, and the soft sound before."""
CHUNK_BYTES = OUT_RATE_HZ * 2 // 10
"""Sent at a time: 100 ms, so that a voice is 10 messages a second and not 50."""


class Hearing(Protocol):
    """Takes the caller's voice."""

    def hear(self, pcm: bytes) -> None:
        """Take sound of a voice: 24 kHz, 16-bit, mono."""

    def paused(self) -> None:
        """The voice has paused; all of it was told."""

    def began(self) -> None:
        """A voice begins."""


class RealtimeEars(FrameProcessor):
    """Tells a model of the caller's voice.

    Args:
        model: The model.
    """

    def __init__(self, model: Hearing) -> None:
        super().__init__(name="RealtimeEars")
        self._model = model
        self._before = bytearray()
        self._chunk = bytearray()
        self._resampler: soxr.ResampleStream | None = None
        """There while a voice sounds."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Listen; pass everything on."""
        await super().process_frame(frame, direction)
        match frame:
            case VoiceStartedFrame():
                self._model.began()
                self._resampler = soxr.ResampleStream(IN_RATE_HZ, OUT_RATE_HZ, 1, dtype="int16", quality="LQ")
                self._tell(bytes(self._before))
                self._before.clear()
            case InputAudioRawFrame() if self._resampler is not None:
                self._tell(frame.audio)
            case InputAudioRawFrame():
                self._before += frame.audio
                del self._before[:-PREROLL_BYTES]
            case VoicePausedFrame() if self._resampler is not None:
                self._tell(b"", last=True)
                self._resampler = None
                self._model.paused()
            case _:
                pass
        await self.push_frame(frame, direction)

    def _tell(self, pcm: bytes, *, last: bool = False) -> None:
        assert self._resampler is not None  # noqa: S101 - a voice sounds
        sound = self._resampler.resample_chunk(np.frombuffer(pcm, dtype=np.int16), last=last)
        self._chunk += np.asarray(sound, dtype=np.int16).tobytes()
        if last or len(self._chunk) >= CHUNK_BYTES:
            if self._chunk:
                self._model.hear(bytes(self._chunk))
            self._chunk.clear()
