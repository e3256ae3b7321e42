"""A vendor's socket that comes back by itself for as long as the call lasts, and never takes the call down with it.

Closes of Pipecat's: a service given up for the whole of a call after three attempts, or three short connections; ten
seconds of waiting for a server that does not answer; every attempt told upstream as an error of the call.
"""

from __future__ import annotations

import asyncio
import re
import time
from random import uniform
from typing import Any

import structlog
from pipecat.frames.frames import ErrorFrame
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.websocket_service import WebsocketService
from websockets.exceptions import WebSocketException
from websockets.protocol import State

from repartee.providers.failures import Failure, failure_of, status_failure

log = structlog.get_logger()
OPEN_S = 2.0
CONNECT_WAIT_S = 0.7
"""So long a request waits for a socket that is away; another way is taken then."""
AGAIN_MIN_S, AGAIN_MAX_S = 0.2, 10.0
LIVED_S = 5.0
"""A connection that ends sooner was none: the next attempt waits."""
_STATUS = re.compile(r"'status_code': (\d{3})")


class Reconnecting(FrameProcessor, WebsocketService):
    """Mixed in before Pipecat's socket services."""

    _again_s = 0.0
    _receive_task: Any

    async def dropped(self, failure: Failure) -> None:
        """The socket has ended, or the vendor has told of an error; told once for each."""

    @property
    def is_open(self) -> bool:
        """Whether the socket is there."""
        return self._websocket is not None and self._websocket.state is State.OPEN

    async def connected(self) -> bool:
        """Say whether the socket is there; one that is away is tried for a moment."""
        if self.is_open:
            return True
        if self._reconnect_in_progress:
            return False
        if self._receive_task is not None and self._receive_task.done():
            self._receive_task = None  # Pipecat would take a dead one for one that listens
        try:
            async with asyncio.timeout(CONNECT_WAIT_S):
                await self._connect()
        except TimeoutError:
            return False
        return self.is_open

    async def _websocket_connect(self, uri: str, **kwargs: Any) -> Any:
        kwargs.setdefault("open_timeout", OPEN_S)
        return await super()._websocket_connect(uri, **kwargs)

    async def push_error_frame(self, error: ErrorFrame, force_treat_as_permanent: bool = False) -> None:
        """Take an error for one of the vendor's: what becomes of it is decided where it can be made good."""
        del force_treat_as_permanent
        log.info("provider.socket_error", service=self.name, error=type(error.exception).__name__)
        if not self._reconnect_in_progress:
            await self.dropped(_meaning(error))

    async def _maybe_try_reconnect(
        self, error_message: str, report_error: Any, error: Exception | None = None
    ) -> bool:
        del error_message
        if self._disconnecting:
            return False
        lived_s = time.monotonic() - self._last_connect_time
        self._again_s = 0.0 if lived_s >= LIVED_S else max(AGAIN_MIN_S, min(AGAIN_MAX_S, self._again_s * 2))
        log.warning("provider.socket_lost", service=self.name, lived_s=round(lived_s, 1))
        await self.dropped(failure_of(error) if error is not None else Failure("error"))
        return await self._try_reconnect(report_error=report_error)

    async def _try_reconnect(self, max_retries: int = 0, report_error: Any = None) -> bool:
        """Connect again, until it is there or the call is over: nobody waits for it."""
        del max_retries, report_error
        if self._reconnect_in_progress:
            return False
        self._reconnect_in_progress = True
        attempt = 0
        try:
            while not self._disconnecting:
                await asyncio.sleep(self._again_s * uniform(0.7, 1.3))  # noqa: S311 - jitter
                attempt += 1
                try:
                    await self._reconnect_websocket(attempt)
                except (OSError, WebSocketException):
                    self._again_s = max(AGAIN_MIN_S, min(AGAIN_MAX_S, self._again_s * 2))
                else:
                    self._last_connect_time = time.monotonic()
                    return True
            return False
        finally:
            self._reconnect_in_progress = False


def _meaning(error: ErrorFrame) -> Failure:
    if error.exception is not None:
        return failure_of(error.exception)
    if match := _STATUS.search(error.error):
        return status_failure(int(match[1]), {}, error.error)
    return Failure("error")
