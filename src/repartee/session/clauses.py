"""Cuts a reply into clauses for the voice: a short one first, so that it is heard early, longer ones after it.

Sits between the model and the voice. A reply that is held, and may yet be thrown away, is not voiced before the
core finds it likely enough: text is cheap, synthesis is dear. The next clause is asked for while the one before is
still being made, so there is no gap between them.
"""

from __future__ import annotations

import asyncio
import re
from typing import Protocol

from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.text.base_text_aggregator import TextType

from repartee.session.frames import ReplyStartFrame

_SENTENCE_END = re.compile(r"[.!?…]+[\"')\]]*(?=\s)")
_CLAUSE_END = re.compile(r"[,;:\u2013\u2014](?=\s)")
_NOT_AN_END = re.compile(r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof|St|No|vs|e\.g|i\.e|bzw|z\.B|Sr|Sra)|\b[A-Z])\.$")
FIRST_CLAUSE_WORDS = 3
"""A first clause may end at a comma from this many words on; a sentence always ends one."""
LATER_CHARACTERS = 60
"""Short sentences after the first are spoken together: the voice sounds better and costs fewer requests."""
LONGEST_CHARACTERS = 300


class ClauseCutter:
    """Takes a reply's text as it comes, and gives its clauses."""

    def __init__(self) -> None:
        self._text = ""
        self._first = True

    def add(self, text: str) -> list[str]:
        """Take more text; return the clauses that are complete."""
        self._text += text
        clauses = []
        while (end := self._end()) is not None:
            clause, self._text = self._text[:end].strip(), self._text[end:]
            if clause:
                clauses.append(clause)
                self._first = False
        return clauses

    def flush(self) -> str:
        """Return what is left, and begin anew."""
        rest, self._text, self._first = self._text.strip(), "", True
        return rest

    def _end(self) -> int | None:
        text = self._text
        for match in _SENTENCE_END.finditer(text):
            end = match.end()
            whole = not _NOT_AN_END.search(text[:end].rstrip("\"')]"))
            if whole and (self._first or end >= LATER_CHARACTERS) and end <= LONGEST_CHARACTERS:
                return end
        if self._first:
            for match in _CLAUSE_END.finditer(text):
                if len(text[: match.end()].split()) >= FIRST_CLAUSE_WORDS:
                    return match.end()
        if len(text) > LONGEST_CHARACTERS:
            return max(text.rfind(mark, 0, LONGEST_CHARACTERS) for mark in (", ", "; ", " ")) + 1
        return None


class Prefetching(Protocol):
    """A voice that can be asked for a clause before it is its turn."""

    def prefetch(self, text: str, reply_id: int | None) -> None:
        """Begin to make the audio of a text."""


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
        self._order = asyncio.Lock()

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
                self._reply_id = frame.reply_id
                if frame.context is None:
                    self._allowed_id = max(self._allowed_id, frame.reply_id)  # a line of our own
                await self.push_frame(frame, direction)
            case LLMTextFrame():
                await self._put(*(_spoken(clause) for clause in self._cutter.add(frame.text)))
            case LLMFullResponseEndFrame():
                rest = self._cutter.flush()
                await self._put(*((_spoken(rest),) if rest else ()), frame)
            case _ if self._held:
                await self._put(frame)
            case _:
                await self.push_frame(frame, direction)

    async def _put(self, *frames: Frame) -> None:
        async with self._order:
            self._held.extend(frames)
            await self._push_held()

    async def _push_held(self) -> None:
        if self._reply_id > self._allowed_id:
            return
        if self._voice is not None:
            for frame in self._held:
                if isinstance(frame, AggregatedTextFrame):
                    self._voice.prefetch(frame.text, self._reply_id)
        while self._held:
            await self.push_frame(self._held.pop(0))


def _spoken(text: str) -> AggregatedTextFrame:
    return AggregatedTextFrame(text, TextType.SENTENCE)
