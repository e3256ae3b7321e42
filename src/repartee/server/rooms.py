"""A place in a room: a room of its own for each call, the agent sent for, a token that may do nothing else.

Where it is known who calls, the room's name begins with a mark of them that only this installation can make, so that
any of its servers can see how many calls somebody has, and no list of rooms tells who they are.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from weakref import WeakValueDictionary

import aiohttp
import structlog
from livekit import api
from livekit.protocol.agent_dispatch import CreateAgentDispatchRequest

from repartee.server.door import ClosedError
from repartee.session.callers import CALLER_ID
from repartee.urls import http_url

log = structlog.get_logger()
TOKEN_TTL = timedelta(minutes=10)
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


class Rooms:
    """Gives out places.

    Args:
        site: The media server and how to sign for it.
        agent_name: Whom to send for.
        calls_per_user: So many calls somebody may have at once; 0 does not count.
    """

    def __init__(self, site: Site, agent_name: str, calls_per_user: int) -> None:
        self._site = site
        self._agent_name = agent_name
        self._calls_per_user = calls_per_user
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def place(self, name: str, user: str | None, caller_id: str | None) -> dict[str, str]:
        """Make a room, send for the agent, and return what a client needs to enter.

        Args:
            name: What others are shown.
            user: Who calls, where it is known: counted.
            caller_id: Who the operator says calls: remembered between calls.

        Raises:
            ClosedError: 409 they are in a call already, 503 the media server does not answer.
        """
        room = f"call-{secrets.token_hex(16)}"
        try:
            async with (
                asyncio.timeout(ANSWER_S),
                api.LiveKitAPI(
                    http_url(self._site.livekit_url), self._site.key, self._site.secret
                ) as livekit,
            ):
                if user is None or not self._calls_per_user:
                    await self._dispatch(livekit, room)
                else:
                    room = f"{self._mark(user)}{secrets.token_hex(16)}"
                    # One after another: two requests at once must not both find no call.
                    async with self._turns.setdefault(user, asyncio.Lock()):
                        await self._make_way(livekit, user)
                        await self._dispatch(livekit, room)
        except (api.TwirpError, aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("token.dispatch_failed", error=type(error).__name__)
            raise ClosedError(
                503, "no_agent", "the media server does not answer; try again shortly", retry_after_s=5
            ) from error
        return self._answer(room, name, caller_id)

    async def _dispatch(self, livekit: api.LiveKitAPI, room: str) -> None:
        # The agent enters the room while the client is still connecting to it.
        request = CreateAgentDispatchRequest(agent_name=self._agent_name, room=room)
        await livekit.agent_dispatch.create_dispatch(request)

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

    def _answer(self, room: str, name: str, caller_id: str | None) -> dict[str, str]:
        jwt = self._token(room, name, caller_id)
        url = self._site.public_livekit_url
        return {
            "server_url": url,
            "participant_token": jwt,
            "room_name": room,
            "participant_name": name,
            "serverUrl": url,
            "participantToken": jwt,
            "roomName": room,
            "participantName": name,
        }

    def _token(self, room: str, name: str, caller_id: str | None) -> str:
        grants = api.VideoGrants(
            room_join=True,
            room=room,
            can_publish=True,
            can_subscribe=True,
            can_publish_data=True,
            can_publish_sources=["microphone"],
        )
        token: Any = (
            api.AccessToken(self._site.key, self._site.secret)
            .with_identity(f"caller-{secrets.token_hex(6)}")
            .with_name(name)
            .with_kind("standard")
            .with_grants(grants)
            .with_ttl(TOKEN_TTL)
        )
        if caller_id is not None:
            token = token.with_attributes({CALLER_ID: caller_id})
        return str(token.to_jwt())


async def _has_caller(livekit: api.LiveKitAPI, room: str) -> bool:
    try:
        found = await livekit.room.list_participants(api.ListParticipantsRequest(room=room))
    except api.TwirpError as error:
        if error.code == api.TwirpErrorCode.NOT_FOUND:
            return False  # it has ended in the meantime
        raise
    agent = api.ParticipantInfo.Kind.AGENT
    return any(participant.kind != agent for participant in found.participants)
