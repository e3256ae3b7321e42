"""Hands the voice a reply clause by clause.

Sits between the model and the voice. A reply that is held, and may yet be thrown away, is not voiced before the
core finds it likely enough: text is cheap, synthesis is dear. The next clause is asked for while the one before is
still being made, so there is no gap between them.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    TTSSpeakFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.text.base_text_aggregator import TextType

from repartee.conversation.clauses import ClauseCutter
from repartee.conversation.speakable import speakable
from repartee.providers.frames import SpeakerFrame
from repartee.session.frames import AsideFrame, ReplyStartFrame

__all__ = ["ClauseCutter", "Clauses"]


class Prefetching(Protocol):
    """A voice that can be asked for a clause before it is its turn."""

    def prefetch(self, text: str, reply_id: int | None) -> None:
        """Begin to make the audio of a text."""

    def speaks_next(self, name: str) -> None:
        """Make what is asked for from now on in another agent's voice."""


class Clauses(FrameProcessor):
    """Hands the voice one clause after another, none before `allow`.

    Args:
        voice: Asked for each clause as soon as it is known; None for voices that take text as a stream.
    """

    def __init__(self, voice: Prefetching | None) -> None:
        super().__init__(name="Clauses")
        self._voice = voice
        self._cutter = ClauseCutter()
        self._reply_id = 0
        self._allowed_id = 0
        self._held: list[Frame] = []
        self._written: list[str] = []
        """All that there is of the reply, to be spoken."""
        self._aside = False
        """What comes is said beside the reply."""
        self._order = asyncio.Lock()

    def written(self, reply_id: int) -> list[str]:
        """Return what there is of a reply so far, clause by clause; nothing of an older one."""
        return self._written if reply_id == self._reply_id else []

    async def allow(self, reply_id: int) -> None:
        """Let a reply be voiced."""
        self._allowed_id = max(self._allowed_id, reply_id)
        async with self._order:
            await self._push_held()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Cut the model's text; pass the rest on in order."""
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
            return
        match frame:
            case InterruptionFrame():
                self._cutter.flush()
                self._held.clear()
                await self.push_frame(frame, direction)
            case ReplyStartFrame():
                self._cutter.flush()
                self._held.clear()
                self._reply_id, self._written, self._aside = frame.reply_id, [], False
                if frame.context is None:
                    self._allowed_id = max(self._allowed_id, frame.reply_id)  # a line of our own
                await self.push_frame(frame, direction)
            case LLMTextFrame():
                await self._put(*_spoken(*self._cutter.add(frame.text)))
            case AggregatedTextFrame():
                frame.text = speakable(frame.text)
                await self._put(frame)  # an answer that is spoken in one piece
            case LLMFullResponseEndFrame():
                await self._put(*_spoken(self._cutter.flush()), frame)
            case SpeakerFrame():
                await self._put(frame)
            case TTSSpeakFrame():
                self._written += [] if self._aside else [frame.text]
                await self._put(frame)
            case AsideFrame():
                self._aside = frame.begins
                await self._put(frame)
            case _ if self._held:
                await self._put(frame)
            case _:
                await self.push_frame(frame, direction)

    async def _put(self, *frames: Frame) -> None:
        self._written += [frame.text for frame in frames if isinstance(frame, AggregatedTextFrame)]
        async with self._order:
            self._held.extend(frames)
            await self._push_held()

    async def _push_held(self) -> None:
        if self._reply_id > self._allowed_id:
            return
        if self._voice is not None:
            for frame in self._held:
                if isinstance(frame, SpeakerFrame):
                    self._voice.speaks_next(frame.agent)
                elif isinstance(frame, AggregatedTextFrame):
                    self._voice.prefetch(frame.text, self._reply_id)
        while self._held:
            await self.push_frame(self._held.pop(0))


def _spoken(*clauses: str) -> list[Frame]:
    said = (speakable(clause) for clause in clauses)
    return [AggregatedTextFrame(text, TextType.SENTENCE) for text in said if text]
