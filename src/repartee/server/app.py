"""The HTTP server: a place in a room for whoever asks, and the page to talk from."""

from __future__ import annotations

import json
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from livekit import api
from livekit.protocol.agent_dispatch import CreateAgentDispatchRequest

from repartee.server.admission import Admission
from repartee.server.busy import CLIPS_PATH, Busy
from repartee.session.callers import CALLER_ID, valid_id
from repartee.session.clips import FOLDER
from repartee.settings import Settings
from repartee.urls import http_url
from repartee.version import VERSION

log = structlog.get_logger()
TOKEN_TTL = timedelta(minutes=10)
MAX_BODY_BYTES = 16 * 1024
PATHS = (
    "/api/token",
    "/api/connection-details",
    "/api/sandbox/connection-details",
    "/api/v2/sandbox/connection-details",
)
RATE_PER_MINUTE = 30
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
    limit = RateLimit(RATE_PER_MINUTE)

    async def token(request: Request) -> JSONResponse:
        refused = _refusal(request, settings, limit)
        if refused is not None:
            return refused
        body = await _body(request)
        if isinstance(body, JSONResponse):
            return body
        if busy is not None and (no := busy.full()) is not None:
            log.warning("token.busy")
            return _error(503, "capacity", no.message, retry_after=no.retry_after_s, clip=no.clip)
        if admission is not None and (full := await admission.refusal()) is not None:
            log.warning("token.budget_spent", limit=full.limit)
            return _error(503, "budget_spent", full.message, retry_after=full.retry_after_s)
        return await _invite(settings, site, body)

    for path in PATHS:
        app.add_api_route(path, token, methods=["GET", "POST"])

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


async def _invite(settings: Settings, site: Site, body: dict[str, Any]) -> JSONResponse:
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
    try:
        # Prejoin: the agent enters the room while the client is still connecting to it.
        async with api.LiveKitAPI(http_url(site.livekit_url), site.key, site.secret) as livekit:
            await livekit.agent_dispatch.create_dispatch(
                CreateAgentDispatchRequest(agent_name=settings.agent_name, room=room)
            )
    except (api.TwirpError, aiohttp.ClientError, OSError, TimeoutError) as error:
        log.warning("token.dispatch_failed", error=type(error).__name__)
        return _error(503, "no_agent", "the media server does not answer; try again shortly", retry_after=5)
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_publish=True,
        can_subscribe=True,
        can_publish_data=True,
        can_publish_sources=["microphone"],
    )
    token = (
        api.AccessToken(site.key, site.secret)
        .with_identity(identity)
        .with_name(name)
        .with_grants(grants)
        .with_ttl(TOKEN_TTL)
    )
    if caller_id is not None:
        token = token.with_attributes({CALLER_ID: caller_id})
    jwt = token.to_jwt()
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
