"""What a client may ask of the token endpoint: read strictly, and most of it not granted.

The names are those of LiveKit's token sources, in both spellings. Room, identity, metadata, attributes and room
configuration are hints that are not followed; what would have an effect if it were followed is refused, so that
nobody believes it was.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.requests import Request

from repartee.bounded_json import depth, loads
from repartee.server.door import ClosedError
from repartee.session.callers import valid_id
from repartee.session.limits import MAX_BYTES, MAX_DEPTH

NAME_LENGTH = 64
BODY_S = 10.0
NAMELESS = "Caller"


def _both(name: str) -> AliasChoices:
    first, *rest = name.split("_")
    return AliasChoices(name, first + "".join(part.capitalize() for part in rest))


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class AskedAgent(_Read):
    """An agent a client asks for."""

    agent_name: str = Field(default="", validation_alias=_both("agent_name"))


class AskedRoom(_Read):
    """A room's configuration."""

    agents: tuple[AskedAgent, ...] = ()
    egress: dict[str, Any] | None = None


class Asked(_Read):
    """A token request. Fields that are not here are not looked at."""

    participant_name: str | None = Field(default=None, validation_alias=_both("participant_name"))
    caller_id: Annotated[str, Field(max_length=128)] | None = None
    room_config: AskedRoom | None = Field(default=None, validation_alias=_both("room_config"))
    room_name: str | None = Field(default=None, validation_alias=_both("room_name"))
    participant_identity: str | None = Field(default=None, validation_alias=_both("participant_identity"))
    participant_metadata: str | None = Field(default=None, validation_alias=_both("participant_metadata"))
    participant_attributes: dict[str, str] | None = Field(
        default=None, validation_alias=_both("participant_attributes")
    )

    @field_validator("caller_id")
    @classmethod
    def _an_id(cls, value: str | None) -> str | None:
        if value is not None and not valid_id(value):
            raise ValueError("a caller_id is 1 to 128 letters, digits and . _ - @ + : = /")
        return value

    @property
    def name(self) -> str:
        """What others are shown: printable, and not long."""
        kept = "".join(sign if sign.isprintable() else " " for sign in self.participant_name or "")
        return " ".join(kept.split())[:NAME_LENGTH].strip() or NAMELESS


async def read_asked(request: Request, agent_name: str) -> Asked:
    """Read a token request.

    Args:
        request: A POST with a JSON object or nothing, or a GET with a query.
        agent_name: The one agent that may be asked for.

    Raises:
        ClosedError: 413 too large, 415 not called JSON, 400 no JSON, 422 a field that is wrong or not granted.
    """
    data = dict(request.query_params) if request.method in ("GET", "HEAD") else await _body(request)
    if len(request.url.query) > MAX_BYTES:
        raise _too_large()
    try:
        asked = Asked.model_validate(data)
    except ValidationError as error:
        raise _refused(error) from error
    if asked.room_config is not None:
        if asked.room_config.egress:
            raise ClosedError(422, "room_config", "recordings cannot be asked for by a client")
        for agent in asked.room_config.agents:
            if agent.agent_name not in ("", agent_name):
                raise ClosedError(422, "room_config", f"the agent of this server is '{agent_name}'")
    return asked


async def read_token(request: Request) -> str:
    """Read a request to come back into a call: the token it was entered with.

    Raises:
        ClosedError: As `read_asked` does.
    """
    token = (await _body(request)).get("participant_token")
    return token if isinstance(token, str) else ""


async def _body(request: Request) -> dict[str, Any]:
    data = await bounded_body(request)
    if not data:
        return {}
    kind = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if kind != "application/json":
        raise ClosedError(415, "not_json", "send the request as Content-Type: application/json")
    if depth(data) > MAX_DEPTH:
        raise ClosedError(422, "too_deep", f"the request is nested deeper than {MAX_DEPTH}")
    try:
        body = loads(data)
    except ValueError as error:
        raise ClosedError(400, "not_json", "the request body is not JSON") from error
    if not isinstance(body, dict):
        raise ClosedError(400, "not_json", "the request body is not a JSON object")
    return body


async def bounded_body(request: Request, limit: int = MAX_BYTES) -> bytes:
    """Read a request's body.

    Raises:
        ClosedError: 413, it is larger than `limit` bytes; 408, it takes too long to come.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 12 or int(length) > limit):
        raise _too_large(limit)
    data = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                data += part
                if len(data) > limit:
                    raise _too_large(limit)
    except TimeoutError as error:
        raise ClosedError(408, "too_slow", f"the request did not arrive within {BODY_S:g} seconds") from error
    return data


def _too_large(limit: int = MAX_BYTES) -> ClosedError:
    return ClosedError(413, "too_large", f"the request is larger than {limit} bytes")


def _refused(error: ValidationError) -> ClosedError:
    """Name the field; never repeat what was in it."""
    first = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"][:3])[:64]
    top = str(first["loc"][0]) if first["loc"] else ""
    code = top if top in Asked.model_fields else "field"
    return ClosedError(422, code, f"'{field}': {first['msg'].removeprefix('Value error, ')}")
