"""A call between two agents of one process, aloud: what one says is what the other hears, at the pace of speech.

There is no media server between them: voices, recognition, the ends of turns and interruptions are those of any call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import soxr

from repartee.session.call import Call
from repartee.session.gate import AudioSink
from repartee.session.room import IN_SAMPLE_RATE_HZ
from repartee.session.roomless import RoomlessCall, RoomlessChannel
from repartee.session.spec import SessionSpec
from repartee.session.voice_track import OUT_QUEUE_MS, OUT_SAMPLE_RATE_HZ
from repartee.settings import Settings

OTHER = "other-agent"
"""Who speaks at the far end of the line."""
FRAME_S = 0.02
FRAME_BYTES = int(OUT_SAMPLE_RATE_HZ * FRAME_S) * 2
MAX_BEHIND_S = 1.0
"""A process that was busy for longer has lost the time; the line does not hurry after it."""


class Line:
    """One direction of the line: the sink of one agent, and every 20 ms the ears of the other."""

    sample_rate_hz = OUT_SAMPLE_RATE_HZ
    lead_ms: float = OUT_QUEUE_MS

    def __init__(self) -> None:
        self._queue = bytearray()
        self._taken = asyncio.Event()
        self._resampler = soxr.ResampleStream(OUT_SAMPLE_RATE_HZ, IN_SAMPLE_RATE_HZ, 1, dtype="int16")

    async def write(self, pcm: bytes) -> None:
        """Queue audio; waits while there is as much ahead as there would be in a room."""
        while self.queued_ms() >= OUT_QUEUE_MS:
            self._taken.clear()
            await self._taken.wait()
        self._queue += pcm

    def clear(self) -> None:
        """Drop what is queued."""
        self._queue.clear()
        self._taken.set()

    def queued_ms(self) -> float:
        """Return how much is queued."""
        return len(self._queue) / 2 / OUT_SAMPLE_RATE_HZ * 1000

    async def drain(self) -> None:
        """Wait until all of it was heard."""
        while self._queue:
            self._taken.clear()
            await self._taken.wait()

    async def run(self, hear: Callable[[bytes], Awaitable[None]]) -> None:
        """Let the other one hear what is said, and the silence between, until cancelled."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            due_s = max(due_s + FRAME_S, loop.time() - MAX_BEHIND_S)
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            pcm = bytes(self._queue[:FRAME_BYTES]).ljust(FRAME_BYTES, b"\0")
            del self._queue[:FRAME_BYTES]
            self._taken.set()
            heard = self._resampler.resample_chunk(np.frombuffer(pcm, dtype=np.int16))
            if len(heard):
                await hear(np.asarray(heard, dtype=np.int16).tobytes())


class _SpokenChannel(RoomlessChannel):
    def __init__(self, line: Line) -> None:
        self._line = line

    def sink(self, call: Call, transport: Any) -> AudioSink:
        del call, transport
        return self._line


class SpokenCall(RoomlessCall):
    """One agent's end of the line.

    Args:
        spec: The call; its room and token are not used.
        settings: Provider keys and limits.
        line: What this agent says goes there.
        on_said: Told of each thing it has said, as far as it was heard.
    """

    def __init__(
        self, spec: SessionSpec, settings: Settings, line: Line, on_said: Callable[[str], None]
    ) -> None:
        super().__init__(spec, settings, _SpokenChannel(line))
        self._on_said = on_said

    async def hear(self, pcm: bytes) -> None:
        """Hear 20 ms of the other one, 16 kHz."""
        if not self.over and self.hooks.audio is not None:
            await self.hooks.audio(pcm, OTHER)

    def ring(self) -> None:
        """The other one is there: the agent greets."""
        self.hooks.caller_ready(OTHER)

    def heard(self, reply_id: int, text: str) -> None:
        """A reply is over."""
        del reply_id
        if text.strip():
            self._on_said(text.strip())
