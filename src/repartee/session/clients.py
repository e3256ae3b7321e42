"""All that clients are shown of a call, and all they may ask: LiveKit's contract, its debug session, RTVI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from livekit import rtc

from repartee.session.callers import VACANT
from repartee.session.debugging import TOPIC, DebugSession
from repartee.session.inlet import Body, Inlet, Take
from repartee.session.rtvi import Answer, Rtvi
from repartee.session.wire import Wire, within_limit

TAKEN = "repartee.taken"
"""Attribute: the ids of the typed messages that were taken last."""


class Place(Protocol):
    """The agent's own place in the room."""

    @property
    def joined(self) -> rtc.Room | None:
        """The room, None before the agent is in it."""

    @property
    def caller(self) -> str | None:
        """The caller's identity, None before they came."""

    @property
    def inlet(self) -> Inlet | None:
        """What is taken of them; None where there is no room."""


class Clients:
    """Speaks to a call's clients, in as many protocols as they ask for.

    Args:
        agent: The agent's name.
        chat: Takes what was typed, in whichever protocol.
        hang_up: Ends the call.
        answers: What the caller, and nobody else, may ask, by RPC or as an RTVI client's message.
        clock_ms: The call's clock.
    """

    def __init__(
        self,
        *,
        agent: str,
        chat: Callable[[str], None],
        hang_up: Callable[[], None],
        answers: Mapping[str, Answer],
        clock_ms: Callable[[], float],
    ) -> None:
        self.answers = answers
        self._chat = chat
        self._place: Place | None = None
        self._wire: Wire | None = None
        self._rtvi = Rtvi(
            publish=self._publish_packet,
            caller=lambda: self._caller,
            say=self._may_say,
            hang_up=hang_up,
            answers=answers,
        )
        self._remote = DebugSession(
            publish=self._publish_stream,
            say=self._may_say,
            stats=self._stats,
            agent=agent,
            clock_ms=clock_ms,
        )

    @property
    def messages(self) -> Mapping[str, tuple[type[Body], Take]]:
        """Data messages that are taken, by type."""
        return self._rtvi.messages

    def session_message(self, payload: bytes) -> None:
        """Take a message of LiveKit's debug session."""
        self._remote.take(payload)

    def typed(self, text: str) -> None:
        """The caller typed something that may become a turn."""
        if self._wire is not None:
            self._wire.typed(text)
        self._chat(text)

    def connect(self, place: Place, call_id: str) -> Wire:
        """Return what shows the call in a room that is going to be joined."""
        self._place = place
        wire = Wire(self._me, lambda: place.caller, call_id, self._others, [self._rtvi, self._remote])
        if (inlet := place.inlet) is not None:
            inlet.on_taken = lambda ids: wire.show(TAKEN, ids)
        self._wire = wire
        wire.show(VACANT, "true")
        return wire

    def entered(self) -> None:
        """The caller has come into the room."""
        if self._wire is not None:
            self._wire.show(VACANT, "")

    async def run(self) -> None:
        """Show it until cancelled."""
        async with asyncio.TaskGroup() as lanes:
            if self._wire is not None:
                lanes.create_task(self._wire.run(), name="wire")
            lanes.create_task(self._rtvi.run(), name="rtvi")
            lanes.create_task(self._remote.run(), name="remote session")

    def _may_say(self, text: str) -> bool:
        inlet = self._place.inlet if self._place is not None else None
        if inlet is None or not inlet.may_say(text):
            return False
        self.typed(text)
        return True

    @property
    def _room(self) -> rtc.Room | None:
        return self._place.joined if self._place is not None else None

    def _me(self) -> rtc.LocalParticipant | None:
        return self._room.local_participant if self._room is not None else None

    def _others(self) -> list[rtc.RemoteParticipant]:
        return list(self._room.remote_participants.values()) if self._room is not None else []

    @property
    def _caller(self) -> str | None:
        return self._place.caller if self._place is not None else None

    async def _publish_packet(self, payload: bytes) -> bool:
        me, caller = self._me(), self._caller
        if me is None or caller is None:
            return False
        sending = me.publish_data(payload, reliable=True, destination_identities=[caller])
        return await within_limit("rtvi", sending)

    async def _publish_stream(self, payload: bytes) -> bool:
        me, caller = self._me(), self._caller
        if me is None or caller is None:
            return False
        sending = me.send_bytes(payload, topic=TOPIC, destination_identities=[caller])
        return await within_limit("session", sending)

    async def _stats(self) -> rtc.RtcStats:
        if self._room is None:
            raise RuntimeError("the room isn't connected")
        return await self._room.get_rtc_stats()
