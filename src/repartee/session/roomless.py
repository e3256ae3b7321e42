"""A call that takes place in no room: what a call in text and one between two agents of a process have in common."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from types import SimpleNamespace, TracebackType
from typing import Any, Self

from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from repartee.errors import ProviderError, ReparteeError
from repartee.events import EndReason
from repartee.session.call import Call
from repartee.session.channel import Channel
from repartee.session.inlet import Inlet
from repartee.session.keeping import keeping
from repartee.session.room import RoomHooks
from repartee.session.session import Session
from repartee.session.spec import SessionSpec
from repartee.session.tools import ReplyWatcher
from repartee.settings import Settings
from repartee.telemetry.calling import calling

START_S, END_S = 20.0, 20.0


class _Passing(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class _NoRoom:
    """Stands in for the room."""

    def __init__(self, caller: str | None) -> None:
        self.client = SimpleNamespace(
            room=SimpleNamespace(local_participant=None),
            joined=None,
            inlet=Inlet(lambda _: False),  # nobody is there who could send anything
            caller=caller,
            caller_muted=False,
            is_caller=lambda _: True,
        )

    def input(self) -> FrameProcessor:
        """What frames come from."""
        return _Passing(name="NoRoomIn")

    def output(self) -> FrameProcessor:
        """And where they go."""
        return _Passing(name="NoRoomOut")


class RoomlessChannel(Channel):
    """Carries a call whose caller is given and heard by whoever holds it, through `hooks`."""

    hooks: RoomHooks

    def room(self, call: Call, hooks: RoomHooks) -> Any:
        """Keep the hooks; what stands in for the room tells them nothing."""
        self.hooks = hooks
        return _NoRoom(call.spec.caller_identity)


class RoomlessCall(ReplyWatcher):
    """Begins and ends such a call; an async context manager.

    Args:
        spec: The call; its room and token are not used.
        settings: Provider keys and limits.
        channel: What carries it.
    """

    def __init__(self, spec: SessionSpec, settings: Settings, channel: RoomlessChannel) -> None:
        self._spec = spec
        self._settings = settings
        self._channel = channel
        self._stop = asyncio.Event()
        self._connected = asyncio.Event()
        self._session: Session | None = None
        self._running: asyncio.Task[EndReason] | None = None

    @property
    def cost(self) -> Decimal:
        """What it has cost so far, USD."""
        return self._session.cost if self._session is not None else Decimal(0)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._running is None or self._running.done()

    @property
    def hooks(self) -> RoomHooks:
        """What the session is told through; once begun."""
        if self._session is None:
            raise RuntimeError("the call was not begun")
        return self._channel.hooks

    async def __aenter__(self) -> Self:
        """Begin it.

        Raises:
            ReparteeError: It could not be started.
        """
        kept = await asyncio.to_thread(keeping, self._settings)
        with calling(self._spec.call_id):
            self._session = Session(
                self._spec, self._settings, kept, self._stop, self._told, channel=self._channel
            )
            self._session.call.watchers = (self,)
            self._running = asyncio.create_task(self._session.run(), name="roomless call")
        started = asyncio.create_task(self._connected.wait(), name="roomless call started")
        try:
            await asyncio.wait({self._running, started}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.aclose()  # it was never entered, and would not be left
            raise
        finally:
            started.cancel()
        if not self._connected.is_set():
            await self.aclose()
            raise ProviderError("the call could not be begun", kind="unavailable", provider="session")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        await self.aclose()

    async def ended(self) -> None:
        """Wait until it has ended."""
        if self._running is not None:
            await asyncio.wait({self._running})

    async def aclose(self) -> None:
        """End it; its books are closed first.

        Raises:
            ReparteeError: It had failed.
        """
        self._stop.set()
        if self._running is None:
            return
        await asyncio.wait({self._running}, timeout=END_S)
        if not self._running.done():
            self._running.cancel()
        (end,) = await asyncio.gather(self._running, return_exceptions=True)
        if isinstance(end, ReparteeError):
            raise end

    def _told(self, name: str, data: dict[str, Any]) -> None:
        del data
        if name == "connected":
            self._connected.set()
