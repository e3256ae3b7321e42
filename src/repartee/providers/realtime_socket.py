"""The socket to a model that hears and speaks: opened beside the call, written to in order, lost once.

Pipecat's service opens it while the pipeline waits, for ten seconds at worst, and sends each message where it is
made: a vendor that has stopped reading would hold the call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import structlog
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from repartee.providers.deadline import Deadline
from repartee.providers.failover import Attempt, Failover
from repartee.providers.failures import Failure, failure_of

log = structlog.get_logger()
OPEN_S = 3.0
"""For the connection and the vendor's word that it is set up; the greeting plays meanwhile."""
CLOSE_S = 1.0
QUEUE_SIZE = 4000
"""Messages on their way: minutes of sound. A full queue is a vendor that has stopped reading."""
TOLERATED = "may-fail-"
"""How the ids of messages begin whose refusal changes nothing: what they are about is gone already."""


class RealtimeSocket(OpenAIRealtimeLLMService):
    """The lower half of `RealtimeModel`.

    Args:
        failover: Whether the vendor is asked at all, and who is told how it went.
        kwargs: Of Pipecat's service.
    """

    def __init__(self, failover: Failover, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.failover = failover
        self.on_lost: Callable[[str], None] = lambda _: None
        """Told why, once, when the model is given up for the rest of the call."""
        self._websocket: Any = None
        self._receive_task: Any = None
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=QUEUE_SIZE)
        self._ready = asyncio.Event()
        self._lost = False
        self._failure = Failure("error")
        """What it means when the socket ends now."""
        self._opening: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._shutting: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether it may be asked; it may still be connecting."""
        return not self._lost and not self._disconnecting

    def tell(self, event: events.ClientEvent, *, may_fail: bool = False) -> None:
        """Send something, after all that was sent before and once the vendor is ready. Never waits."""
        if not self.usable:
            return
        if may_fail:
            event.event_id = f"{TOLERATED}{event.event_id}"
        try:
            self._outgoing.put_nowait(event.model_dump(exclude_none=True))
        except asyncio.QueueFull:
            self._lose_soon(Failure("timeout"))

    # --- opening and closing ----------------------------------------------------------------------------------

    async def _connect(self) -> None:
        if self._opening is None:
            self._opening = self.create_task(self._open(), f"{self}::open")

    async def _open(self) -> None:
        attempt = self.failover.request(Deadline.after(OPEN_S, self.failover.clock_s)).next(quiet=True)
        if attempt is None:
            await self._lose(Failure("open"))
            return
        try:
            async with asyncio.timeout(OPEN_S):
                headers = await self._auth_headers()
                self._websocket = await connect(
                    self.base_url, additional_headers=headers, open_timeout=OPEN_S
                )
                self._receive_task = self.create_task(self._receive_task_handler(), f"{self}::receive")
                await self._ready.wait()
        except (OSError, TimeoutError, WebSocketException) as error:
            await self._refused(attempt, failure_of(error))
            return
        if self._lost:
            await attempt.leave(done=False)
            return
        attempt.first()
        await attempt.leave(done=True)
        self._writing = self.create_task(self._write(), f"{self}::write")

    async def _refused(self, attempt: Attempt, failure: Failure) -> None:
        attempt.fail(failure)
        await attempt.leave(done=False)
        await self._lose(failure)

    async def _write(self) -> None:
        while self._websocket is not None:
            message = await self._outgoing.get()
            await self._ws_send(message)

    async def _ws_send(self, realtime_message: dict[str, Any]) -> None:
        if self._disconnecting or self._websocket is None:
            return
        try:
            await self._websocket.send(json.dumps(realtime_message))
        except (OSError, WebSocketException) as error:
            self._lose_soon(failure_of(error))

    async def _receive_task_handler(self) -> None:
        try:
            await super()._receive_task_handler()
        except (OSError, WebSocketException, ValueError) as error:  # a message that is none is a ValueError
            self._failure = failure_of(error) if not isinstance(error, ValueError) else Failure("error")
        if not self._disconnecting:
            self._ready.set()  # whoever waits for it finds that it is lost
            await self._lose(self._failure)

    async def _lose(self, failure: Failure) -> None:
        """Give the model up for the rest of the call."""
        if self._lost or self._disconnecting:
            return
        self._lost = True
        self._ready.set()
        log.warning("realtime.lost", why=failure.why)
        self.on_lost(failure.why)
        self._shutting = self.create_task(self._shut(), f"{self}::shut")
        await self.abandon(failure)

    def _lose_soon(self, failure: Failure) -> None:
        if not self._lost and self._shutting is None:
            self._shutting = self.create_task(self._lose(failure), f"{self}::lose")

    async def abandon(self, failure: Failure) -> None:
        """What is being made goes elsewhere."""

    async def _shut(self) -> None:
        if self._websocket is not None:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self._websocket.close()
            except (OSError, TimeoutError, WebSocketException):
                self._websocket.transport.abort()

    async def _disconnect(self) -> None:
        """End it with the call."""
        if self._disconnecting:
            return
        self._disconnecting = True
        for task in (self._opening, self._writing, self._shutting):
            if task is not None and not task.done():
                await self.cancel_task(task, timeout=CLOSE_S)
        await self._shut()
        if self._receive_task is not None:
            await self.cancel_task(self._receive_task, timeout=CLOSE_S)
            self._receive_task = None
        self._websocket = None

    def _warn_if_realtime_service_emits_no_turn_frames(self, emits_turn_frames: bool) -> None:
        """Nothing: it is meant to emit none."""

    # --- what it tells of itself ------------------------------------------------------------------------------

    async def _handle_evt_session_updated(self, evt: Any) -> None:
        del evt
        self._ready.set()

    async def _maybe_handle_evt_retrieve_conversation_item_error(self, evt: Any) -> bool:
        """Say that an error is none that ends the session, as Pipecat takes all but two for."""
        if (evt.error.event_id or "").startswith(TOLERATED):
            log.info("realtime.refused", code=evt.error.code)
            return True
        return False

    async def _handle_evt_error(self, evt: Any) -> None:
        code = str(evt.error.code or "")
        limited, refused = "rate_limit" in code, "quota" in code or "invalid_api_key" in code
        self._failure = Failure("limited" if limited else "refused" if refused else "error")
        log.warning("realtime.error", code=code, kind=evt.error.type)
