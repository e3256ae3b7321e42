"""A place in a room: a room of its own for each call, the agent sent for, a token that may do nothing else.

Where it is known who calls, the room's name begins with a mark of them that only this installation can make, so that
any of its servers can see how many calls somebody has, and no list of rooms tells who they are.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import aiohttp
import structlog
from livekit import api
from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.room import CreateRoomRequest

from repartee.server.admission import Admission
from repartee.server.door import ClosedError
from repartee.server.places import Place, place_of
from repartee.session.callers import CALLER_ID, VACANT
from repartee.urls import http_url

log = structlog.get_logger()
EMPTY_S, MORE_S = 60, 15
"""LiveKit keeps a room for so long for a caller who has not come yet, and so much longer than the agent waits for one
whose connection broke."""
VACANT_S = 10
"""Whoever asked for a place to call enters it by then; after it, they give way to who finds all seats taken."""
LOOK_S = 1.0
"""How often it is looked for such a place."""
SOON_S = 2
"""When its seat is free."""
OPUS = "audio/opus"
"""What every WebRTC client has, and the media engine of the agent sends."""
ANSWER_S = 5.0
"""The media server must have answered by then."""


@dataclass(frozen=True, slots=True)
class Site:
    """What the server tells about itself and how it signs."""

    livekit_url: str
    """For the server's own requests."""
    public_livekit_url: str
    """For clients."""
    key: str
    secret: str
    agent_title: str
    ladder: dict[str, str]
    reconnect_s: int = 30
    """How long the agent waits for a caller whose connection broke."""
    sees: bool = False
    """The agent can look at what callers share."""


class Rooms:
    """Gives out places.

    Args:
        site: The media server and how to sign for it.
        agent_name: Whom to send for.
        calls_per_user: So many calls somebody may have at once; 0 does not count.
        admission: Knows whether there is a seat; None has one for everybody.
    """

    def __init__(
        self, site: Site, agent_name: str, calls_per_user: int, admission: Admission | None = None
    ) -> None:
        self._site = site
        self._admission = admission
        self._agent_name = agent_name
        self._calls_per_user = calls_per_user
        self._look_again_s = 0.0
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def place(self, name: str, user: str | None, caller_id: str | None) -> dict[str, str]:
        """Make a room, send for the agent, and return what a client needs to enter.

        Args:
            name: What others are shown.
            user: Who calls, where it is known: counted.
            caller_id: Who the operator says calls: remembered between calls.

        Raises:
            ClosedError: 409 they are in a call already, 503 no seat is free, the media server does not answer or
                allows no Opus.
        """
        counted = user is not None and self._calls_per_user > 0
        room = f"{self._mark(user) if counted and user is not None else 'call-'}{secrets.token_hex(16)}"
        if self._admission is not None and (full := await self._admission.seat(room)) is not None:
            if await self._vacate():
                full = replace(full, retry_after_s=SOON_S)
            raise ClosedError(503, full.error, full.message, retry_after_s=full.retry_after_s)
        try:
            async with asyncio.timeout(ANSWER_S), self._livekit() as livekit:
                if user is None or not counted:
                    await self._make(livekit, room)
                else:
                    # One after another: two requests at once must not both find no call.
                    async with self._turns.setdefault(user, asyncio.Lock()):
                        await self._make_way(livekit, user)
                        await self._make(livekit, room)
        except ClosedError:
            await self._free(room)
            raise
        except (api.TwirpError, aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("token.dispatch_failed", error=type(error).__name__)
            await self._free(room)
            raise _away(5) from error
        attributes = {CALLER_ID: caller_id} if caller_id is not None else {}
        return self._answer(Place(room, f"caller-{secrets.token_hex(6)}", name, attributes, self._site.sees))

    async def again(self, token: str) -> dict[str, str]:
        """Return a new token for a place in a call that still goes on, to whoever holds the old one.

        Raises:
            ClosedError: 403 it is no token of ours, 410 the call is over, 503 the media server does not answer, or
                the agent is not in the room and may yet come back.
        """
        place = place_of(token, self._site.key, self._site.secret)
        if place is None:
            raise ClosedError(403, "token", "participant_token is no token of this server's for a call")
        try:
            async with asyncio.timeout(ANSWER_S), self._livekit() as livekit:
                agent = await _agent_in(livekit, place.room)
        except (api.TwirpError, aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("rejoin.failed", error=type(error).__name__)
            raise _away(2) from error
        # LiveKit keeps the room of an agent that has left for a while; whoever came back would be alone in it.
        goes_on = agent or (agent is not None and await self._goes_on(place.room))
        if goes_on is None:
            message = "the agent is not in the call; try again shortly"
            raise ClosedError(503, "no_agent", message, retry_after_s=2)
        if not goes_on:
            raise ClosedError(410, "over", "this call is over; start a new one")
        return self._answer(place)

    async def _goes_on(self, room: str) -> bool | None:
        return await self._admission.goes_on(room) if self._admission is not None else None

    def _livekit(self) -> api.LiveKitAPI:
        return api.LiveKitAPI(http_url(self._site.livekit_url), self._site.key, self._site.secret)

    async def _make(self, livekit: api.LiveKitAPI, room: str) -> None:
        """Make a room, and send for the agent, who enters it while the client is still connecting to it.

        Raises:
            ClosedError: 503, the media server allows no codec that the agent's voice could be sent in.
        """
        made = await livekit.room.create_room(
            CreateRoomRequest(
                name=room,
                empty_timeout=EMPTY_S,
                departure_timeout=self._site.reconnect_s + MORE_S,
                agents=[RoomAgentDispatch(agent_name=self._agent_name)],
            )
        )
        if made.enabled_codecs and not any(codec.mime.lower() == OPUS for codec in made.enabled_codecs):
            log.error(
                "livekit.no_opus", hint=f"add '{OPUS}' to room.enabled_codecs in LiveKit's configuration"
            )
            await livekit.room.delete_room(api.DeleteRoomRequest(room=room))
            message = "the media server is set up without Opus: a call would have no sound"
            raise ClosedError(503, "no_agent", message, retry_after_s=60)

    async def _vacate(self) -> bool:
        """End a call that nobody has entered, as of a page that was only looked at; return whether there was one."""
        if time.monotonic() < self._look_again_s:
            return False
        self._look_again_s = time.monotonic() + LOOK_S
        try:
            async with asyncio.timeout(ANSWER_S), self._livekit() as livekit:
                listed = await livekit.room.list_rooms(api.ListRoomsRequest())
                now_s = time.time()
                # Older ones are of calls that are over: the agent has given up by then.
                quiet = [
                    room
                    for room in listed.rooms
                    if not room.num_participants and VACANT_S <= now_s - room.creation_time <= EMPTY_S
                ]
                for room in sorted(quiet, key=lambda room: room.creation_time):
                    if await _is_vacant(livekit, room.name):
                        await livekit.room.delete_room(api.DeleteRoomRequest(room=room.name))
                        log.info("seat.vacated")
                        return True
        except (api.TwirpError, aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("seat.not_vacated", error=type(error).__name__)
        return False

    async def _free(self, room: str) -> None:
        if self._admission is not None:
            await self._admission.free(room)

    def _mark(self, user: str) -> str:
        mark = hmac.new(self._site.secret.encode(), user.encode(), hashlib.sha256).hexdigest()[:16]
        return f"call-u{mark}-"

    async def _make_way(self, livekit: api.LiveKitAPI, user: str) -> None:
        """Refuse somebody whose calls are going on; a place nobody has taken is given up for the new one.

        Raises:
            ClosedError: 409.
        """
        mark = self._mark(user)
        listed = await livekit.room.list_rooms(api.ListRoomsRequest())
        theirs = sorted(
            (room for room in listed.rooms if room.name.startswith(mark)), key=lambda r: r.creation_time
        )
        empty = [room.name for room in theirs if not await _has_caller(livekit, room.name)]
        if len(theirs) - len(empty) >= self._calls_per_user:
            raise ClosedError(409, "call_live", "you are in a call already; end it to begin another")
        while empty and len(theirs) >= self._calls_per_user:
            theirs.pop()
            await livekit.room.delete_room(api.DeleteRoomRequest(room=empty.pop(0)))

    def _answer(self, place: Place) -> dict[str, str]:
        jwt = place.token(self._site.key, self._site.secret)
        url = self._site.public_livekit_url
        return {
            "server_url": url,
            "participant_token": jwt,
            "room_name": place.room,
            "participant_name": place.name,
            "serverUrl": url,
            "participantToken": jwt,
            "roomName": place.room,
            "participantName": place.name,
            # Pipecat's clients.
            "url": url,
            "token": jwt,
        }


def _away(retry_after_s: int) -> ClosedError:
    return ClosedError(
        503, "no_agent", "the media server does not answer; try again shortly", retry_after_s=retry_after_s
    )


async def _agent_in(livekit: api.LiveKitAPI, room: str) -> bool | None:
    """Say whether an agent is in a room; None where there is no such room."""
    if not (await livekit.room.list_rooms(api.ListRoomsRequest(names=[room]))).rooms:
        return None
    return api.ParticipantInfo.Kind.AGENT in await _kinds_in(livekit, room)


async def _has_caller(livekit: api.LiveKitAPI, room: str) -> bool:
    return bool(await _kinds_in(livekit, room) - {api.ParticipantInfo.Kind.AGENT})


async def _is_vacant(livekit: api.LiveKitAPI, room: str) -> bool:
    """Say whether an agent is alone in a room, and no caller has ever come; one who was cut off may come back."""
    inside = await _inside(livekit, room)
    return len(inside) == 1 and VACANT in inside[0].attributes


async def _kinds_in(livekit: api.LiveKitAPI, room: str) -> set[int]:
    return {participant.kind for participant in await _inside(livekit, room)}


async def _inside(livekit: api.LiveKitAPI, room: str) -> Sequence[api.ParticipantInfo]:
    """Return who is in a room; nobody in one that has ended in the meantime."""
    try:
        found = await livekit.room.list_participants(api.ListParticipantsRequest(room=room))
    except api.TwirpError as error:
        if error.code == api.TwirpErrorCode.NOT_FOUND:
            return ()
        raise
    return found.participants
