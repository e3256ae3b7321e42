"""The HTTP server: a place in a room for whoever asks, and the page to talk from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from repartee.agent import Agent
from repartee.server.a2a import A2A
from repartee.server.admission import Admission
from repartee.server.asking import Asked, read_asked, read_token
from repartee.server.busy import CLIPS_PATH, Busy
from repartee.server.calls import calls_router
from repartee.server.door import ClosedError, Door, Visitor, refusal
from repartee.server.headers import SecurityHeaders
from repartee.server.metrics import LEVEL_CLOSED, ServerMetrics
from repartee.server.pages import mount_pages
from repartee.server.rooms import Rooms, Site
from repartee.session.clips import FOLDER
from repartee.settings import Settings
from repartee.store import Store
from repartee.version import VERSION

__all__ = ["PATHS", "Site", "create_app"]

log = structlog.get_logger()
PATHS = (
    "/api/token",
    "/api/connection-details",
    "/api/sandbox/connection-details",
    "/api/v2/sandbox/connection-details",
)
_ERROR = {
    "type": "object",
    "required": ["error", "message"],
    "properties": {
        "error": {"type": "string"},
        "message": {"type": "string"},
        "retry_after": {"type": "integer", "minimum": 1},
        "clip": {"type": "string"},
    },
}
_ANSWER = {
    "type": "object",
    "required": ["server_url", "participant_token", "room_name", "participant_name"],
    "additionalProperties": {"type": "string"},
}


def create_app(
    settings: Settings,
    site: Site,
    admission: Admission | None = None,
    store: Store | None = None,
    *,
    rooms: Rooms | None = None,
    busy: Busy | None = None,
    beside: Callable[[], bytes] = lambda: b"",
    agent: Agent | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        settings: Keys, limits, origins.
        site: The media server.
        admission: May refuse calls before a token is given out.
        store: Has the calls to show; None shows none.
        rooms: Gives out places; by default those of the site.
        busy: May refuse calls before anything else does.
        beside: Returns the metrics of a worker in the same process.
        agent: Who other agents reach over A2A, where that is switched on.

    Raises:
        ConfigError: The settings do not go together.
    """
    door = Door(settings)
    places = rooms or Rooms(site, settings.agent_name, settings.calls_per_user, admission)
    metrics = ServerMetrics(admission.spent_ratio if admission is not None else lambda: 0.0, beside)
    token = _Token(settings, door, places, admission, busy, metrics)
    a2a = A2A(settings, agent, door, token.full)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await a2a.aclose()
        if admission is not None:
            await admission.aclose()

    app = FastAPI(
        title="repartee", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    door.install(app)
    if door.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=door.origins,
            allow_methods=("GET", "POST"),
            allow_headers=("authorization", "content-type"),
        )
    app.add_middleware(
        SecurityHeaders,
        livekit_url=site.public_livekit_url,
        secure=door.proxies.secure,
        origins=door.origins,
    )

    for path in PATHS:
        _document(app, path, token.answer)

    @app.post("/api/rejoin", include_in_schema=False)
    async def rejoin(request: Request) -> JSONResponse:
        await door.caller(request)
        answer = await places.again(await read_token(request))
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    @app.get("/api/config")
    async def config() -> dict[str, Any]:
        return {"agent": {"name": site.agent_title}, "ladder": site.ladder, "version": VERSION}

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics", include_in_schema=False)
    async def show_metrics(request: Request) -> Response:
        await door.metrics(request)
        # Prometheus' own content type, which a media type would add a character set to.
        return Response(metrics.text(), headers={"Content-Type": metrics.content_type})

    if store is not None:
        app.include_router(calls_router(store, settings.recordings_dir, door.operator))
    app.include_router(a2a.router())
    app.mount(CLIPS_PATH, StaticFiles(directory=FOLDER), name="clips")
    mount_pages(app, site.agent_title)
    return app


class _Token:
    """The endpoint that gives out tokens."""

    def __init__(
        self,
        settings: Settings,
        door: Door,
        places: Rooms,
        admission: Admission | None,
        busy: Busy | None,
        metrics: ServerMetrics,
    ) -> None:
        self._settings = settings
        self._door = door
        self._places = places
        self._admission = admission
        self._busy = busy
        self._metrics = metrics

    async def answer(self, request: Request) -> JSONResponse:
        """Give the caller a place, or say why there is none."""
        try:
            return await self._place(request)
        except ClosedError as error:
            self._metrics.refused(error.code)
            raise

    async def _place(self, request: Request) -> JSONResponse:
        visitor = await self._door.caller(request)
        asked = await read_asked(request, self._settings.agent_name)
        caller_id = _caller_id(asked, visitor)
        user = caller_id or visitor.user
        if visitor.may_name and caller_id is not None:
            self._door.per_user(caller_id)
        if (full := await self.full()) is not None:
            return full
        answer = await self._places.place(asked.name, user, caller_id)
        self._metrics.given()
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    async def full(self) -> JSONResponse | None:
        """Refuse a call that cannot be taken now: first by what costs nothing to know."""
        if self._busy is not None and (no := self._busy.full()) is not None:
            log.warning("token.busy")
            self._metrics.refused(LEVEL_CLOSED)
            return refusal(503, "capacity", no.message, no.retry_after_s, clip=no.clip)
        if self._admission is not None and (full := await self._admission.refusal()) is not None:
            log.warning("token.budget_spent", limit=full.limit)
            self._metrics.refused(full.error)
            return refusal(503, full.error, full.message, full.retry_after_s)
        return None


def _caller_id(asked: Asked, visitor: Visitor) -> str | None:
    """Return on whose behalf a call is made.

    Raises:
        ClosedError: 403, somebody says they are somebody.
    """
    if asked.caller_id is None or asked.caller_id == visitor.user:
        return visitor.user
    if not visitor.may_name:
        # Anybody could say they are somebody; only the operator's programs and issuer may.
        raise ClosedError(
            403, "caller_id", "a caller_id is taken with an API key only; set REPARTEE_API_KEYS"
        )
    return asked.caller_id


def _document(app: FastAPI, path: str, endpoint: Any) -> None:
    """Add the endpoint at a path, both ways of asking, as the OpenAPI document tells it."""
    codes = (400, 401, 403, 409, 413, 415, 422, 429, 503)
    errors: dict[int | str, dict[str, Any]] = {
        code: {"description": "refused", "content": {"application/json": {"schema": _ERROR}}}
        for code in codes
    }
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "a place", "content": {"application/json": {"schema": _ANSWER}}},
        **errors,
    }
    name = path.strip("/").replace("/", "_")
    schema = Asked.model_json_schema(by_alias=False)
    definitions = schema.pop("$defs", {})
    body = {"required": False, "content": {"application/json": {"schema": _inlined(schema, definitions)}}}
    query = [
        {"name": field, "in": "query", "schema": {"type": "string"}}
        for field in ("participant_name", "caller_id", "room_name", "participant_identity")
    ]
    for method, extra in (("GET", {"parameters": query}), ("POST", {"requestBody": body})):
        app.add_api_route(
            path,
            endpoint,
            methods=[method],
            operation_id=f"{name}_{method.lower()}",
            responses=answers,
            openapi_extra=extra,
        )


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(reference := node.get("$ref"), str):
        return _inlined(definitions[reference.rsplit("/", 1)[-1]], definitions)
    return {key: _inlined(value, definitions) for key, value in node.items()}
