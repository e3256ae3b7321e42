"""Plays audio that is kept in front of a voice that streams, which is then not asked at all.

Only from the beginning of a reply: once the voice has been given a clause, its audio comes when it comes, and what
is kept could not be put in its place.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSSpeakFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from repartee.providers.frames import SpeakerFrame
from repartee.providers.voice_cache import VoiceCache
from repartee.providers.voices import Speaker
from repartee.session.frames import KeptAudioFrame, ReplyStartFrame


class KeptVoice(FrameProcessor):
    """Sits between the clauses and a streaming voice.

    Args:
        cache: The voice's audio.
    """

    def __init__(self, cache: VoiceCache | None) -> None:
        super().__init__(name="KeptVoice")
        self._cache = cache
        self.speakers: Mapping[str, Speaker] = {}
        """The agents that this call may be passed to, by name."""
        self._given = False
        self._start: LLMFullResponseStartFrame | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Replace clauses whose audio is kept by it; pass the rest on."""
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
            return
        match frame:
            case SpeakerFrame() if frame.agent in self.speakers:
                self._cache = self.speakers[frame.agent].cache
            case ReplyStartFrame() | InterruptionFrame():
                self._given, self._start = False, None
            case LLMFullResponseStartFrame() if not self._given:
                self._start = frame  # the voice opens a stream for it; perhaps it need not
                return
            case AggregatedTextFrame() | TTSSpeakFrame() if not self._given:
                pcm = self._cache.get(frame.text) if self._cache is not None else None
                if pcm is not None:
                    await self.push_frame(KeptAudioFrame(text=frame.text, audio=pcm))
                    return
                self._given = True
                if self._start is not None:
                    await self.push_frame(self._start)
                    self._start = None
            case LLMFullResponseEndFrame() if self._start is not None:
                self._start = None
                return
            case _:
                pass
        await self.push_frame(frame, direction)
