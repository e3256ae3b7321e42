"""A call over real WebRTC that is spoken from written words.

A voice makes what is said; what happens is read off the captions, and which tools ran off the call's page.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import soxr

from repartee.errors import MediaError, ProviderError
from repartee.session.toolbox import ToolRun
from repartee.session.typed import Happened
from repartee.simulator.audio import Pcm
from repartee.simulator.caller import RATE_HZ, Caller, Side
from repartee.simulator.invitation import Invitation, RefusedError

VOICE_RATE_HZ = 24_000
AFTER_S = 0.3
"""Of quiet after what is said: a recording that ends with its last sound sounds cut off."""
ASK_S = 15.0
BUSY_S = 120.0
"""So long a server may have no free line: on the same machine, the caller's voice has just been loaded beside it."""
Tell = Callable[[Happened], None]
Speak = Callable[[str], Awaitable[Pcm]]


class SpokenLine:
    """The caller's end of a spoken call.

    Args:
        tell: Called with what happens, in order. Must not wait.
        caller: Who speaks.
        speak: Makes words into sound at the caller's rate.
        tools: Returns what tools have run in a call so far, by the call's id.
        place: Where the caller is expected; None asks for a place.
    """

    def __init__(
        self,
        tell: Tell,
        caller: Caller,
        speak: Speak,
        tools: Callable[[str], Awaitable[list[ToolRun]]],
        place: Invitation | None = None,
    ) -> None:
        self._tell = tell
        self._place = place
        self._caller = caller
        self._speak = speak
        self._tools = tools
        self.open = asyncio.Event()
        self.greeted = asyncio.Event()
        self._joined = asyncio.Event()
        self._left = asyncio.Event()
        self._words: asyncio.Queue[str] = asyncio.Queue()
        self._captions: asyncio.Queue[tuple[Side, str, str, bool]] = asyncio.Queue()
        self._replies: set[str] = set()
        self._begun = False
        """A reply is known to be made that nothing was heard of yet."""
        self._saying = False
        self._ran = 0
        caller.on_caption = lambda *caption: self._captions.put_nowait(caption)
        caller.on_state = self._state

    def join(self) -> None:
        """Enter the room."""
        self._joined.set()

    def say(self, text: str) -> None:
        """Say something when what was said before is over."""
        self._words.put_nowait(text)

    def hang_up(self) -> None:
        """Leave the room."""
        self._left.set()

    async def take(self, stop: asyncio.Event) -> None:
        """Hold the call until one of both leaves, or the event is set.

        Raises:
            MediaError: The call could not be made.
            ProviderError: The caller's voice failed.
        """
        self.open.set()
        await _any_of(self._joined.wait(), stop.wait())
        if stop.is_set():
            return
        try:
            await self._caller.join(self._place)
            await _any_of(
                self._talk(), self._follow(), self._left.wait(), stop.wait(), self._caller.gone.wait()
            )
        finally:
            await self._caller.leave()

    async def _talk(self) -> None:
        while True:
            text = await self._words.get()
            pcm = await self._speak(text)
            self._saying = True
            try:
                await self._caller.say(pcm)
            finally:
                self._saying = False

    async def _follow(self) -> None:
        while True:
            side, segment, text, final = await self._captions.get()
            if side == "user":
                if final and text:
                    self._tell(Happened("user", text))
                continue
            await self._heard(segment, text, final=final)

    async def _heard(self, segment: str, text: str, *, final: bool) -> None:
        if segment not in self._replies:
            self._replies.add(segment)
            if not self._begun:
                self._tell(Happened("started"))
            self._tell(Happened("speaking"))
            self._begun = False
        if final:
            # Whoever speaks into an answer that ends has ended it, as far as captions tell.
            cut = self._saying
            await self._tell_tools()
            self._tell(Happened("interrupted" if cut else "finished", text))
            self.greeted.set()

    async def _tell_tools(self) -> None:
        call_id = self._caller.agent_attributes().get("repartee.call", "")
        runs = await self._tools(call_id) if call_id else []
        for run in runs[self._ran :]:
            self._tell(Happened("tool", tool=run))
        self._ran = max(self._ran, len(runs))

    def _state(self, state: str) -> None:
        if state == "thinking" and not self._begun:
            self._begun = True
            self._tell(Happened("started"))


@dataclass(slots=True)
class SpokenWay:
    """Calls over WebRTC to a server that runs.

    Attributes:
        url: The server's address.
        voice_url: Where the caller's voice is made, in OpenAI's wire format.
        client: For both.
        wait: Waits for seconds.
    """

    url: str
    voice_url: str
    client: httpx.AsyncClient
    spoken: bool = True
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    _made: dict[str, Pcm] = field(default_factory=dict)
    _place: Invitation | None = None

    async def ready(self, progress: Callable[[str], None]) -> None:
        """Get a place for the next call; where all lines are busy, when one is free.

        Raises:
            MediaError: The server refuses, does not answer, or stays busy.
        """
        until_s = time.monotonic() + BUSY_S
        while self._place is None:
            try:
                self._place = await Caller(self.url).invited()
            except RefusedError as busy:
                if busy.retry_after_s is None or time.monotonic() + busy.retry_after_s > until_s:
                    raise
                progress(f"all lines are busy; tries again in {busy.retry_after_s} s")
                await self.wait(busy.retry_after_s)

    def begin(
        self, tell: Tell, *, paced: bool
    ) -> tuple[SpokenLine, Callable[[asyncio.Event], Awaitable[None]]]:
        """Begin a call; it is paced by being spoken."""
        del paced
        place, self._place = self._place, None
        line = SpokenLine(tell, Caller(self.url), self._speak, self._tools, place)
        return line, line.take

    async def _speak(self, text: str) -> Pcm:
        """Make words into sound, once.

        Raises:
            ProviderError: The voice failed.
        """
        if text not in self._made:
            try:
                answer = await self.client.post(f"{self.voice_url}/v1/audio/speech", json={"input": text})
                answer.raise_for_status()
            except httpx.HTTPError as error:
                raise ProviderError(
                    f"the caller's voice failed ({type(error).__name__})",
                    kind="unavailable",
                    provider="on-device",
                ) from error
            pcm = np.frombuffer(answer.content, np.int16)
            quiet = np.zeros(int(AFTER_S * VOICE_RATE_HZ), np.int16)
            spoken = soxr.resample(np.concatenate([pcm, quiet]), VOICE_RATE_HZ, RATE_HZ)
            self._made[text] = np.asarray(spoken, dtype=np.int16)
        return self._made[text]

    async def _tools(self, call_id: str) -> list[ToolRun]:
        """Read what tools have run.

        Raises:
            MediaError: The server does not show its calls.
        """
        try:
            answer = await self.client.get(f"{self.url}/api/calls/{call_id}", timeout=ASK_S)
        except httpx.HTTPError as error:
            raise MediaError(f"the server at {self.url} no longer answers") from error
        if answer.status_code != httpx.codes.OK:
            raise MediaError(
                f"{self.url} does not show its calls ({answer.status_code}), and with them the tools that were "
                "called; evaluate from the machine it runs on"
            )
        return [_run(tool) for tool in answer.json()["tools"]]


def _run(tool: dict[str, Any]) -> ToolRun:
    arguments = tool["arguments"] if isinstance(tool["arguments"], dict) else {}
    took_ms = tool["took_ms"] or 0.0
    return ToolRun(tool["tool"], 0, arguments, tool["result"], tool["outcome"], tool["at_ms"], took_ms)


async def _any_of(*works: Any) -> None:
    """Run all until one has ended; the others are cancelled, and a failure is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
