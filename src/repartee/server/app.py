"""The HTTP server: a place in a room for whoever asks, and the page to talk from."""

from __future__ import annotations

import json
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from livekit import api
from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.room import CreateRoomRequest

from repartee.server.admission import Admission
from repartee.server.busy import CLIPS_PATH, Busy
from repartee.server.places import Place, place_of
from repartee.session.callers import CALLER_ID, valid_id
from repartee.session.clips import FOLDER
from repartee.settings import Settings
from repartee.urls import http_url
from repartee.version import VERSION

log = structlog.get_logger()
EMPTY_S, MORE_S = 60, 15
"""LiveKit keeps a room for so long for a caller who has not come yet, and so much longer than the agent waits for one
whose connection broke."""
MAX_BODY_BYTES = 16 * 1024
PATHS = (
    "/api/token",
    "/api/connection-details",
    "/api/sandbox/connection-details",
    "/api/v2/sandbox/connection-details",
)
MAX_CLIENTS = 10_000
NAME_LENGTH = 64


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


class RateLimit:
    """A token bucket per client address, bounded in number."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str, now_s: float) -> float:
        """Take one token; return 0, or how long until there is one."""
        level, at = self._buckets.pop(client, (float(self._per_minute), now_s))
        level = min(float(self._per_minute), level + (now_s - at) * self._per_minute / 60)
        allowed = level >= 1
        self._buckets[client] = (level - 1 if allowed else level, now_s)
        while len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - level) * 60 / self._per_minute


def create_app(
    settings: Settings, site: Site, admission: Admission | None = None, busy: Busy | None = None
) -> FastAPI:
    """Build the application; `busy` and `admission` may refuse calls before a token is given out."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if admission is not None:
            await admission.aclose()

    app = FastAPI(title="repartee", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    limit = RateLimit(settings.token_rate)

    async def token(request: Request) -> JSONResponse:
        refused = _refusal(request, settings, limit)
        if refused is not None:
            return refused
        body = await _body(request)
        if isinstance(body, JSONResponse):
            return body
        if (full := await _full(busy, admission)) is not None:
            return full
        return await _invite(settings, site, body, admission)

    for path in PATHS:
        app.add_api_route(path, token, methods=["GET", "POST"])

    @app.post("/api/rejoin")
    async def rejoin(request: Request) -> JSONResponse:
        refused = _refusal(request, settings, limit)
        body = refused or await _body(request)
        return body if isinstance(body, JSONResponse) else await _readmit(site, body)

    @app.get("/api/config")
    async def config() -> dict[str, Any]:
        return {"agent": {"name": site.agent_title}, "ladder": site.ladder, "version": VERSION}

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    app.mount(CLIPS_PATH, StaticFiles(directory=FOLDER), name="clips")
    static = Path(__file__).with_name("static")
    if (static / "index.html").is_file():
        app.mount("/", StaticFiles(directory=static, html=True), name="page")
    return app


async def _full(busy: Busy | None, admission: Admission | None) -> JSONResponse | None:
    """Refuse a call that cannot be taken now: first by what costs nothing to know."""
    if busy is not None and (no := busy.full()) is not None:
        log.warning("token.busy")
        return _error(503, "capacity", no.message, retry_after=no.retry_after_s, clip=no.clip)
    if admission is not None and (full := await admission.refusal()) is not None:
        log.warning("token.budget_spent", limit=full.limit)
        return _error(503, full.error, full.message, retry_after=full.retry_after_s)
    return None


def _refusal(request: Request, settings: Settings, limit: RateLimit) -> JSONResponse | None:
    origin = request.headers.get("origin")
    if origin is not None:
        allowed = {item.strip().rstrip("/") for item in settings.allowed_origins.split(",") if item.strip()}
        # A page of another site must not open calls on this one's account.
        if urlsplit(origin).netloc != request.headers.get("host") and origin.rstrip("/") not in allowed:
            return _error(
                403, "origin", f"calls from {origin} are not allowed; add it to REPARTEE_ALLOWED_ORIGINS"
            )
    if settings.api_token is not None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not secrets.compare_digest(given.encode(), settings.api_token.get_secret_value().encode()):
            return _error(401, "unauthorized", "this server needs 'Authorization: Bearer' with its API token")
    client = request.client.host if request.client else "unknown"
    if wait_s := limit.wait_s(client, time.monotonic()):
        return _error(429, "rate_limited", "too many calls from this address", retry_after=int(wait_s) + 1)
    return None


async def _body(request: Request) -> dict[str, Any] | JSONResponse:
    if request.method == "GET":
        return dict(request.query_params)
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > MAX_BODY_BYTES:
            return _error(413, "too_large", f"the request is larger than {MAX_BODY_BYTES} bytes")
    if not data:
        return {}
    try:
        body = json.loads(data)
    except ValueError:
        return _error(400, "not_json", "the request body is not JSON")
    return (
        body if isinstance(body, dict) else _error(400, "not_json", "the request body is not a JSON object")
    )


async def _readmit(site: Site, body: dict[str, Any]) -> JSONResponse:
    """A new token for a place in a call that still goes on, to whoever holds the old one."""
    place = place_of(str(body.get("participant_token") or ""), site.key, site.secret)
    if place is None:
        return _error(403, "token", "participant_token is no token of this server's for a call")
    try:
        async with api.LiveKitAPI(http_url(site.livekit_url), site.key, site.secret) as livekit:
            rooms = (await livekit.room.list_rooms(api.ListRoomsRequest(names=[place.room]))).rooms
    except (api.TwirpError, aiohttp.ClientError, OSError, TimeoutError) as error:
        log.warning("rejoin.failed", error=type(error).__name__)
        return _error(503, "no_agent", "the media server does not answer; try again shortly", retry_after=2)
    if not rooms:
        return _error(410, "over", "this call is over; start a new one")
    return _place(site, place)


async def _invite(
    settings: Settings, site: Site, body: dict[str, Any], admission: Admission | None
) -> JSONResponse:
    caller_id = body.get("caller_id")
    if caller_id is not None and settings.api_token is None:
        # Anybody could say they are somebody; only who holds the API token may.
        return _error(
            403, "caller_id", "a caller_id is taken with the API token only; set REPARTEE_API_TOKEN"
        )
    if caller_id is not None and not (isinstance(caller_id, str) and valid_id(caller_id)):
        return _error(400, "caller_id", "a caller_id is 1 to 128 letters, digits and . _ - @ + : = /")
    # Room, identity, metadata, attributes and room configuration a client sends are hints at most; only the name
    # shown to others is taken.
    name = str(body.get("participant_name") or body.get("participantName") or "Caller")[:NAME_LENGTH]
    room = f"call-{secrets.token_hex(8)}"
    identity = f"caller-{secrets.token_hex(6)}"
    if admission is not None and (full := await admission.seat(room)) is not None:
        return _error(503, full.error, full.message, retry_after=full.retry_after_s)
    try:
        # Prejoin: the agent enters the room while the client is still connecting to it.
        async with api.LiveKitAPI(http_url(site.livekit_url), site.key, site.secret) as livekit:
            await livekit.room.create_room(
                CreateRoomRequest(
                    name=room,
                    empty_timeout=EMPTY_S,
                    departure_timeout=site.reconnect_s + MORE_S,
                    agents=[RoomAgentDispatch(agent_name=settings.agent_name)],
                )
            )
    except (api.TwirpError, aiohttp.ClientError, OSError, TimeoutError) as error:
        log.warning("token.dispatch_failed", error=type(error).__name__)
        if admission is not None:
            await admission.free(room)
        return _error(503, "no_agent", "the media server does not answer; try again shortly", retry_after=5)
    attributes = {CALLER_ID: caller_id} if caller_id is not None else {}
    return _place(site, Place(room, identity, name, attributes))


def _place(site: Site, place: Place) -> JSONResponse:
    """Answer with a token for one place in one room."""
    room, name = place.room, place.name
    jwt = place.token(site.key, site.secret)
    answer = {
        "server_url": site.public_livekit_url,
        "participant_token": jwt,
        "room_name": room,
        "participant_name": name,
        "serverUrl": site.public_livekit_url,
        "participantToken": jwt,
        "roomName": room,
        "participantName": name,
    }
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _error(status: int, code: str, message: str, retry_after: int | None = None, **more: str) -> JSONResponse:
    headers = {"Cache-Control": "no-store"}
    body: dict[str, Any] = {"error": code, "message": message, **more}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
        body["retry_after"] = retry_after
    return JSONResponse(body, status_code=status, headers=headers)
