"""Listens to how the caller speaks, where the agent file wants it, and says what is done about it.

The audio of a turn is held until its words belong to the conversation, measured on a thread, and let go. What is
found lives in this object alone: it is on no timeline, in no log and in no database.
"""

from __future__ import annotations

import asyncio
from collections import deque

import numpy as np

from repartee.agent.tone import ToneSection
from repartee.conversation.tone import UNKNOWN, Mood, Prosody, ToneReader
from repartee.session.prosody import RATE_HZ, measure

MOST_S = 20.0
"""So much of the latest audio is held; a turn that fills it is not measured."""
FULL = 0.75
PACES: dict[Mood, float] = {"hurried": 1.1, "upset": 0.95}
"""How fast the agent speaks, of its usual pace."""


class ToneWatch:
    """How one caller sounds.

    Args:
        section: What is done about it.
        reader: Reads the turns.
    """

    def __init__(self, section: ToneSection, reader: ToneReader | None = None) -> None:
        self._section = section
        self._reader = reader or ToneReader()
        self._audio: deque[bytes] = deque()
        self._bytes = 0
        self._measuring: asyncio.Task[None] | None = None

    def listen(self, pcm: bytes, at_ms: float) -> None:
        """Take the caller's audio: 16 kHz, 16-bit, mono."""
        del at_ms
        self._audio.append(pcm)
        self._bytes += len(pcm)
        while self._bytes > MOST_S * RATE_HZ * 2:
            self._bytes -= len(self._audio.popleft())

    def remember(self, text: str) -> None:
        """These words belong to the conversation: measure how they were said. One turn at a time; another waits for
        no one and is left out.
        """
        pcm, self._bytes = b"".join(self._audio), 0
        self._audio.clear()
        if self._measuring is None or self._measuring.done():
            self._measuring = asyncio.create_task(self._measure(pcm, text), name="tone")

    async def _measure(self, pcm: bytes, text: str) -> None:
        said = await asyncio.to_thread(_measured, pcm, text)
        if said is not None and said.voiced_s < FULL * MOST_S:
            self._reader.turn(said)

    async def settled(self) -> None:
        """Wait until what was said last is measured."""
        if self._measuring is not None:
            await asyncio.wait({self._measuring})

    async def aclose(self) -> None:
        """Stop measuring; nothing is left."""
        if self._measuring is not None:
            self._measuring.cancel()
            await asyncio.gather(self._measuring, return_exceptions=True)
        self._audio.clear()

    @property
    def mood(self) -> Mood:
        """What the caller sounds like, where it is sure enough to do anything about it."""
        tone = self._reader.tone
        return tone.mood if tone.confidence >= self._reader.rules.sure else UNKNOWN.mood

    def note(self) -> str:
        """Return what the model is told, for the end of a request."""
        match self.mood:
            case "hurried":
                return self._section.hurried
            case "upset":
                return " ".join(filter(None, (self._section.upset, self._section.hand_off)))
            case _:
                return ""

    def pace(self) -> float:
        """Return how fast the agent is to speak, of its usual pace."""
        return PACES.get(self.mood, 1.0) if self._section.pace else 1.0


def watch_of(section: ToneSection) -> ToneWatch | None:
    """Return what listens for an agent; None where it is not to."""
    return ToneWatch(section) if section.adapt else None


def _measured(pcm: bytes, text: str) -> Prosody | None:
    return measure(np.frombuffer(pcm, np.int16), text)
