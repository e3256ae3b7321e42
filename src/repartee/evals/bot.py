"""A call as Pipecat's evaluations see a bot: RTVI over a WebSocket on loopback, an agent's call behind it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aiohttp import WSMsgType, web
from pipecat.processors.frameworks.rtvi import models as rtvi

from repartee.evals.results import Line
from repartee.session.typed import Happened

Tell = Callable[[Happened], None]
TakeCall = Callable[[asyncio.Event], Awaitable[object]]
HANG_UP_S = 10.0
CANCEL = "eval-cancel"


class CallLine(Protocol):
    """The caller's end of a call.

    Attributes:
        open: Set when the call can take words.
        greeted: Set when what the agent says first is over.
    """

    open: asyncio.Event
    greeted: asyncio.Event

    def join(self) -> None:
        """Come into the call."""

    def say(self, text: str) -> None:
        """Say something."""

    def hang_up(self) -> None:
        """Leave."""


class Way(Protocol):
    """How calls are held: by typing, or spoken over WebRTC."""

    @property
    def spoken(self) -> bool:
        """Whether words take their time to be said."""

    async def ready(self, progress: Callable[[str], None]) -> None:
        """Wait until a call can be begun.

        Args:
            progress: Called with what is waited for.

        Raises:
            MediaError: It cannot.
        """

    def begin(self, tell: Tell, *, paced: bool) -> tuple[CallLine, TakeCall]:
        """Begin a call.

        Args:
            tell: Called with what happens, in order.
            paced: Somebody will speak before the other has finished.

        Returns:
            The caller's end, and what takes the call until it ends or its event is set.
        """


class EvalBot:
    """One call of a scenario.

    Args:
        way: How it is held.
        greets_first: The scenario's caller waits for the agent's first words to be over; a simulated one hears them.
        paced: Words take as long to be heard as they would when spoken.
        on_connected: Called when the harness has connected: it has taken this process's signals by then.
    """

    def __init__(
        self,
        way: Way,
        *,
        greets_first: bool,
        paced: bool,
        on_connected: Callable[[], None] = lambda: None,
    ) -> None:
        self._greets_first = greets_first
        self._on_connected = on_connected
        self._line, self._take = way.begin(self._tell, paced=paced)
        self._out: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._began_s = time.monotonic()
        self._taken = False
        self.lines: list[Line] = []
        """What was said and done, in order."""
        self.failure: BaseException | None = None
        """Why the call could not be held."""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Listen on a free port; gives the address."""
        app = web.Application()
        app.router.add_get("/ws", self._connected)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=HANG_UP_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
        finally:
            await runner.cleanup()

    async def _connected(self, request: web.Request) -> web.StreamResponse:
        if self._taken:
            raise web.HTTPConflict(text="this call is taken")
        self._taken = True
        self._on_connected()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        stop = asyncio.Event()
        calling = asyncio.create_task(self._call(socket, stop), name="eval-call")
        opening = asyncio.create_task(self._open(), name="eval-open")
        sending = asyncio.create_task(self._send(socket), name="eval-send")
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._received(json.loads(message.data))
        finally:
            stop.set()
            opening.cancel()
            await asyncio.wait({calling}, timeout=HANG_UP_S)
            for task in (calling, sending):
                task.cancel()
            ended, *_ = await asyncio.gather(calling, opening, sending, return_exceptions=True)
            self.failure = ended if isinstance(ended, Exception) else None
        return socket

    async def _call(self, socket: web.WebSocketResponse, stop: asyncio.Event) -> None:
        """Hold the call; the harness sees it end when the connection closes."""
        self._began_s = time.monotonic()
        try:
            await self._take(stop)
        finally:
            if not stop.is_set():
                await self._out.join()
                await socket.close()

    async def _open(self) -> None:
        await self._line.open.wait()
        if self._greets_first:
            self._line.join()
            await self._line.greeted.wait()
        about = rtvi.BotReadyData(version=rtvi.PROTOCOL_VERSION).model_dump(exclude_none=True)
        self._put("bot-ready", about)
        if not self._greets_first:
            self._line.join()

    async def _send(self, socket: web.WebSocketResponse) -> None:
        while True:
            message = await self._out.get()
            try:
                await socket.send_json(message)
            except ConnectionError:
                pass  # the harness has gone; whoever reads ends the call
            finally:
                self._out.task_done()

    def _received(self, message: dict[str, Any]) -> None:
        data = message.get("data") or {}
        match message.get("type"):
            case "send-text":
                self._line.say(str(data.get("content", "")))
            case "client-message" if data.get("t") == CANCEL:
                self._line.hang_up()
            case _:
                pass  # what else it asks of a bot, such as how much is told of tools, is so already

    # --- what happens -------------------------------------------------------------------------------------------

    def _tell(self, happened: Happened) -> None:
        match happened.kind:
            case "user":
                self._note("caller", happened.text)
                told = {"input_type": "transcription", "final": True, "text": happened.text}
                self._put("user-input", told)
            case "started":
                self._put("bot-llm-started")
            case "speaking":
                self._put("bot-started-speaking")
            case "tool":
                self._tool(happened)
            case "finished":
                self._note("agent", happened.text)
                self._put("bot-llm-text", {"text": happened.text})
                self._put("bot-llm-stopped")
                self._put("bot-stopped-speaking")
            case "interrupted":
                if happened.text:
                    self._note("agent", happened.text, cut=True)
                self._put("bot-interrupted")

    def _tool(self, happened: Happened) -> None:
        run = happened.tool
        if run is None:
            return
        arguments = dict(run.arguments)
        self._note("tool", f"{run.tool}({_plain(arguments)}): {run.outcome}, {_plain(run.result)}")
        call = {"function_name": run.tool, "tool_call_id": f"{run.tool}-{run.began_ms:.0f}"}
        self._put("llm-function-call-in-progress", {**call, "arguments": arguments})
        cancelled = run.outcome == "cancelled"
        self._put("llm-function-call-stopped", {**call, "cancelled": cancelled, "result": _plain(run.result)})

    def _note(self, who: Any, text: str, *, cut: bool = False) -> None:
        self.lines.append(Line(who, text, round(time.monotonic() - self._began_s, 3), cut))

    def _put(self, kind: str, data: dict[str, Any] | None = None) -> None:
        self._out.put_nowait(rtvi.Message(type=kind, id=kind, data=data).model_dump())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
