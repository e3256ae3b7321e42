"""The agent as others reach it over the A2A protocol: its card, and messages in text. Off until it is switched on.

Behind the door callers come through (`door.py`), with its keys and rates. A conversation is a call in text: it has
the agent's tools, memory and team, is in the books and on the calls' pages, and ends after ten silent minutes. It
belongs to who began it.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from repartee.agent import Agent
from repartee.bounded_json import loads
from repartee.errors import ReparteeError
from repartee.providers.a2a import CARD_PATH, HOPS, MAX_HOPS
from repartee.server.asking import bounded_body
from repartee.server.door import Door, Visitor
from repartee.session.spec import SessionSpec
from repartee.session.text_call import TextCall
from repartee.settings import Settings
from repartee.version import VERSION

log = structlog.get_logger()
RPC_PATH = "/a2a"
MAX_BODY = 32 * 1024
MAX_TEXT = 2000
"""Characters of one message: what a participant of a call may type."""
METHODS: Mapping[str, Literal["1.0", "0.3"]] = {"SendMessage": "1.0", "message/send": "0.3"}
UNSUPPORTED = frozenset(
    {
        *(
            "SendStreamingMessage",
            "GetTask",
            "ListTasks",
            "CancelTask",
            "SubscribeToTask",
            "GetExtendedAgentCard",
        ),
        *(
            "message/stream",
            "tasks/get",
            "tasks/cancel",
            "tasks/resubscribe",
            "agent/getAuthenticatedExtendedCard",
        ),
    }
)
NOT_JSON, NO_REQUEST, NO_METHOD, WRONG, INTERNAL, NOT_SUPPORTED, NOT_TEXT = (
    -32700,
    -32600,
    -32601,
    -32602,
    -32603,
    -32004,
    -32005,
)


class _Asked(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)


class _Part(_Asked):
    text: Annotated[str, Field(max_length=MAX_TEXT)] | None = None


class _Message(_Asked):
    message_id: Annotated[str, Field(min_length=1, max_length=128)]
    parts: Annotated[tuple[_Part, ...], Field(min_length=1, max_length=16)]
    context_id: Annotated[str, Field(max_length=128)] | None = None
    task_id: Annotated[str, Field(max_length=128)] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    @property
    def text(self) -> str:
        """What is said in it."""
        return " ".join(part.text.strip() for part in self.parts if part.text).strip()

    @property
    def hops(self) -> int:
        """How many agents have passed it on."""
        told = self.metadata.get(HOPS, 0)
        return int(told) if isinstance(told, (int, float)) and 0 <= told < 1000 else MAX_HOPS

    @field_validator("metadata", mode="before")
    @classmethod
    def _none_is_none(cls, value: Any) -> Any:
        return {} if value is None else value


class _Params(_Asked):
    message: _Message


class _Request(_Asked):
    jsonrpc: Literal["2.0"]
    id: Annotated[str, Field(max_length=128)] | int
    method: Annotated[str, Field(max_length=64)]
    params: dict[str, Any] = Field(default_factory=dict)


class _RpcError(Exception):
    """What JSON-RPC answers instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class _Talk:
    """A conversation."""

    call: TextCall
    owner: str


class A2A:
    """The agent for other agents.

    Args:
        settings: Keys, and how many conversations there may be at once.
        agent: Who it is; None is nobody.
        door: Lets others in.
        full: Returns a refusal where no call can be taken now.
    """

    def __init__(
        self,
        settings: Settings,
        agent: Agent | None,
        door: Door,
        full: Callable[[], Awaitable[JSONResponse | None]],
    ) -> None:
        self._settings = settings
        self._agent = agent
        self._door = door
        self._full = full
        self._talks: OrderedDict[str, _Talk] = OrderedDict()
        """By context, the one that was spoken in last at the end."""
        self._beginning = 0

    def router(self) -> APIRouter:
        """Return the routes; none where it is not switched on."""
        router = APIRouter(include_in_schema=False)
        if self._agent is None or not self._settings.a2a_calls:
            return router
        router.add_api_route(CARD_PATH, self.card)
        router.add_api_route(RPC_PATH, self.rpc, methods=["POST"])
        return router

    async def aclose(self) -> None:
        """End every conversation."""
        talks, self._talks = list(self._talks.values()), OrderedDict()
        for end in await asyncio.gather(*(talk.call.aclose() for talk in talks), return_exceptions=True):
            if isinstance(end, Exception):
                log.warning("a2a.failed", error=type(end).__name__)

    # --- what others ask --------------------------------------------------------------------------------------

    async def card(self, request: Request) -> JSONResponse:
        """Say who the agent is and where it takes messages; nothing of its persona."""
        agent = self._agent
        assert agent is not None  # noqa: S101 - there is no such route without one
        scheme = "https" if self._door.proxies.secure(request) else "http"
        url = f"{scheme}://{request.headers.get('host', '')}{RPC_PATH}"
        name = agent.name
        about = f"{name}: a voice agent, here in text. Language: {agent.language}."
        card: dict[str, Any] = {
            "name": name,
            "description": about,
            "version": f"{VERSION}+{agent.version}",
            "supportedInterfaces": [
                {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": version}
                for version in ("1.0", "0.3")
            ],
            "url": url,
            "preferredTransport": "JSONRPC",
            "protocolVersion": "0.3.0",
            "capabilities": {"streaming": False, "pushNotifications": False},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [{"id": "talk", "name": name, "description": about, "tags": ["conversation"]}],
        }
        if not self._door.open_to_callers:
            card["securitySchemes"] = {"key": {"httpAuthSecurityScheme": {"scheme": "Bearer"}}}
            card["securityRequirements"] = [{"schemes": {"key": {"list": []}}}]
        return JSONResponse(card, headers={"Cache-Control": "no-store"})

    async def rpc(self, request: Request) -> JSONResponse:
        """Answer one message."""
        visitor = await self._door.caller(request)
        data = await bounded_body(request, MAX_BODY)
        asked_id: str | int | None = None
        try:
            asked = _read(data)
            asked_id = asked.id
            version, message = _message(asked)
            if self._known(message, visitor) is None and (full := await self._full()) is not None:
                return full
            result = _result(version, *await self._answer(message, visitor))
        except _RpcError as error:
            body = {"error": {"code": error.code, "message": error.message}}
        else:
            body = {"result": result}
        answer = {"jsonrpc": "2.0", "id": asked_id, **body}
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    # --- conversations ----------------------------------------------------------------------------------------

    def _known(self, message: _Message, visitor: Visitor) -> _Talk | None:
        """Return the conversation a message belongs to; nobody gets into another's."""
        talk = self._talks.get(message.context_id or "")
        return talk if talk is not None and talk.owner == _owner(visitor) and not talk.call.over else None

    async def _answer(self, message: _Message, visitor: Visitor) -> tuple[str, str]:
        """Return the answer and its context."""
        talk = self._known(message, visitor)
        try:
            if talk is None:
                context_id, talk = await self._begin(message, visitor)
            else:
                context_id = message.context_id or ""
            self._talks.move_to_end(context_id)
            text = await talk.call.say(message.text)
        except ReparteeError as error:
            log.warning("a2a.not_answered", error=type(error).__name__)
            raise _RpcError(INTERNAL, "the agent could not answer") from error
        if talk.call.over:
            self._talks.pop(context_id, None)
        return text, context_id

    async def _begin(self, message: _Message, visitor: Visitor) -> tuple[str, _Talk]:
        for context_id in [known for known, talk in self._talks.items() if talk.call.over]:
            del self._talks[context_id]
        if len(self._talks) + self._beginning >= self._settings.a2a_calls:
            raise _RpcError(INTERNAL, "as many conversations as may be are going on; try again later")
        theirs = sum(talk.owner == _owner(visitor) for talk in self._talks.values())
        if visitor.user is not None and 0 < self._settings.calls_per_user <= theirs:
            raise _RpcError(
                INTERNAL, "this user has as many conversations as they may have; go on in one of them"
            )
        settings, context_id = self._settings, uuid.uuid4().hex
        spec = SessionSpec(
            call_id=context_id,
            room="",
            url="",
            token="",
            identity="agent",
            agent_path=settings.agent.resolve(),
            caller_identity=visitor.user or visitor.name,
            data_dir=settings.state_dir,
            speech_url=None,
            hops=message.hops,
        )
        self._beginning += 1
        try:
            call = await TextCall(spec, settings, visitor.user).__aenter__()
        finally:
            self._beginning -= 1
        talk = self._talks[context_id] = _Talk(call, _owner(visitor))
        log.info("a2a.begun", call_id=context_id)
        return context_id, talk


def _owner(visitor: Visitor) -> str:
    return json.dumps([visitor.name, visitor.user])


def _read(data: bytes) -> _Request:
    try:
        body = loads(data)
    except ValueError as error:
        raise _RpcError(NOT_JSON, "the request is not JSON") from error
    try:
        return _Request.model_validate(body)
    except ValidationError as error:
        raise _RpcError(NO_REQUEST, f"the request is none of JSON-RPC 2.0: {_where(error)}") from error


def _message(asked: _Request) -> tuple[str, _Message]:
    """Return the message of a request, and the version of the protocol it is in."""
    version = METHODS.get(asked.method)
    if version is None:
        if asked.method in UNSUPPORTED:
            raise _RpcError(NOT_SUPPORTED, "this agent answers messages at once: send one with SendMessage")
        raise _RpcError(NO_METHOD, "there is no such method; there is SendMessage")
    try:
        message = _Params.model_validate(asked.params).message
    except ValidationError as error:
        raise _RpcError(WRONG, f"the message is not understood: {_where(error)}") from error
    if not message.text:
        raise _RpcError(NOT_TEXT, "this agent reads text: send a part with 'text'")
    if len(message.text) > MAX_TEXT:
        raise _RpcError(WRONG, f"a message has {MAX_TEXT} characters at most")
    if message.hops >= MAX_HOPS:
        raise _RpcError(WRONG, "the question was passed on from agent to agent too often")
    return version, message


def _where(error: ValidationError) -> str:
    """Name the field; never repeat what was in it."""
    first = error.errors(include_input=False, include_url=False)[0]
    return f"'{'.'.join(str(part) for part in first['loc'][:3])[:64]}': {first['msg']}"


def _result(version: str, text: str, context_id: str) -> dict[str, Any]:
    message: dict[str, Any] = {"messageId": uuid.uuid4().hex, "contextId": context_id}
    if version == "1.0":
        return {"message": {**message, "role": "ROLE_AGENT", "parts": [{"text": text}]}}
    return {**message, "kind": "message", "role": "agent", "parts": [{"kind": "text", "text": text}]}
