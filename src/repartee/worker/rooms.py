"""What a worker asks LiveKit about rooms: who is in one, to put a dead agent out, to close one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
import structlog
from livekit import api
from livekit.protocol import models

from repartee.urls import http_url
from repartee.worker.tokens import LiveKitAccess

log = structlog.get_logger()
ASK_S = 3.0
CLOSE_S = 5.0
_AWAY = (api.TwirpError, aiohttp.ClientError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Present:
    """Who is in a room: identities."""

    people: frozenset[str]
    agents: frozenset[str]


async def who_is_in(access: LiveKitAccess, room: str) -> Present | None:
    """Return who is in a room, nobody where there is no such room; None where LiveKit does not answer."""
    try:
        async with asyncio.timeout(ASK_S), _api(access) as livekit:
            found = await livekit.room.list_participants(api.ListParticipantsRequest(room=room))
    except api.TwirpError as error:
        if error.code == api.TwirpErrorCode.NOT_FOUND:
            return Present(frozenset(), frozenset())
        log.warning("room.unknown", error=error.code)
        return None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        log.warning("room.unknown", error=type(error).__name__)
        return None
    kinds = models.ParticipantInfo
    people = {p.identity for p in found.participants if p.kind in (kinds.STANDARD, kinds.SIP)}
    agents = {p.identity for p in found.participants if p.kind == kinds.AGENT}
    return Present(frozenset(people), frozenset(agents))


async def put_out(access: LiveKitAccess, room: str, identity: str) -> None:
    """Remove a participant from a room: a process that was killed stays in it as a ghost for 21 s."""
    try:
        async with asyncio.timeout(ASK_S), _api(access) as livekit:
            await livekit.room.remove_participant(api.RoomParticipantIdentity(room=room, identity=identity))
    except _AWAY as error:
        if not (isinstance(error, api.TwirpError) and error.code == api.TwirpErrorCode.NOT_FOUND):
            log.warning("room.not_put_out", error=type(error).__name__)


async def close(access: LiveKitAccess, room: str) -> None:
    """Close a room: whoever is left is told that the call is over."""
    try:
        async with asyncio.timeout(CLOSE_S), _api(access) as livekit:
            await livekit.room.delete_room(api.DeleteRoomRequest(room=room))
    except _AWAY as error:
        log.info("room.not_closed", error=type(error).__name__)  # it closes by itself, later


def _api(access: LiveKitAccess) -> api.LiveKitAPI:
    return api.LiveKitAPI(http_url(access.url), access.key, access.secret)
