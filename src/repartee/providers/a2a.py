"""Asking an agent of somebody else's over the A2A protocol (Agent2Agent), versions 1.0 and 0.3, by JSON-RPC.

Two requests are all that is needed: its card, and one message. The protocol's own SDK would do them too, and bring
nine packages (protobuf's and Google's among them) into each call's process; it has no limit of what an answer may
weigh. It is what the tests talk to instead. What comes back is data from outside: short, and without marks that a
model obeys.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from repartee.bounded_json import loads
from repartee.conversation.quoting import disarmed
from repartee.errors import ToolError
from repartee.providers.connections import plain_tls

CARD_PATH = "/.well-known/agent-card.json"
MAX_CARD_BYTES = 64_000
MAX_ANSWER_BYTES = 256_000
MAX_TEXT = 4000
"""Characters of an answer that are shown to the model."""
CONNECT_S = 3.0
HOPS = "repartee.hops"
"""In a message's metadata: how many agents have passed the question on, so that a circle of them ends."""
MAX_HOPS = 3
Version = Literal["1.0", "0.3"]
_UNREACHABLE = "that did not work because the other agent does not answer"
_WRONG = "that did not work because the other agent's answer is not what its protocol says"


class _Told(BaseModel):
    """What the other one tells; what is not known is passed over."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)


class _Interface(_Told):
    url: str = Field(max_length=2000)
    protocol_binding: str = ""
    protocol_version: str = ""


class _Card(_Told):
    name: str = ""
    supported_interfaces: tuple[_Interface, ...] = ()
    url: str = ""
    """Until 0.3: the address of the preferred transport."""
    preferred_transport: str = "JSONRPC"


class _Part(_Told):
    text: str | None = None


class _Message(_Told):
    parts: tuple[_Part, ...] = ()
    context_id: str | None = None


class _Status(_Told):
    state: str = ""
    message: _Message | None = None

    @property
    def named(self) -> str:
        """The state as version 0.3 writes it."""
        return self.state.removeprefix("TASK_STATE_").lower().replace("_", "-")


class _Task(_Told):
    id: str = ""
    context_id: str | None = None
    status: _Status = _Status()
    artifacts: tuple[_Message, ...] = ()


class _Error(_Told):
    code: int = 0


class _Envelope(_Told):
    result: dict[str, Any] | None = None
    error: _Error | None = None


T = TypeVar("T", bound=_Told)


@dataclass(frozen=True, slots=True)
class RemoteAnswer:
    """What another agent said.

    Attributes:
        text: In its words.
        asks: It wants to know something before it goes on.
    """

    text: str
    asks: bool = False


class RemoteAgent:
    """One agent of somebody else's, for one call: what is said to it is one conversation.

    Args:
        url: Where it is: its card is below `/.well-known/` there, or here itself where this ends in `.json`.
        headers: For each request, its key among them.
        client: Sends the requests; None is one of its own, without redirects.
        hops: How many agents have passed the question on already.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        client: httpx.AsyncClient | None = None,
        hops: int = 0,
    ) -> None:
        self._card_url = url if url.endswith(".json") else url.rstrip("/") + CARD_PATH
        self._headers = dict(headers or {})
        self._http = client or httpx.AsyncClient(
            verify=plain_tls(), timeout=httpx.Timeout(None, connect=CONNECT_S), follow_redirects=False
        )
        self._hops = hops
        self._found: tuple[str, Version] | None = None
        self._context_id: str | None = None
        self._task_id: str | None = None

    async def ask(self, question: str) -> RemoteAnswer:
        """Say something to it and wait for its answer, however long: the tool that calls this has its limit.

        Raises:
            ToolError: It does not answer, refuses, or tells what cannot be understood; safe for a model.
        """
        if self._hops >= MAX_HOPS:
            raise ToolError("that was passed on from agent to agent too often already; answer without it")
        if self._found is None:
            self._found = await self._find()
        url, version = self._found
        body = {
            "jsonrpc": "2.0",
            "id": str(uuid.uuid4()),
            "method": "SendMessage" if version == "1.0" else "message/send",
            "params": self._params(question, version),
        }
        envelope = _read(_Envelope, await self._request("POST", url, MAX_ANSWER_BYTES, version, body))
        if envelope.error is not None:
            raise ToolError(f"the other agent refused that (error {envelope.error.code})")
        return self._answer(envelope.result or {})

    async def aclose(self) -> None:
        """Leave it."""
        await self._http.aclose()

    async def _find(self) -> tuple[str, Version]:
        """Read its card: where it takes messages, and in which version."""
        card = _read(_Card, await self._request("GET", self._card_url, MAX_CARD_BYTES))
        older = [_Interface(url=card.url, protocol_binding=card.preferred_transport, protocol_version="0.3")]
        offered = [*card.supported_interfaces, *(older if card.url else [])]
        for wanted in ("1", "0.3"):
            for interface in offered:
                if interface.protocol_binding == "JSONRPC" and interface.protocol_version.startswith(wanted):
                    # The card is the other one's: it must not send us, with our key, to somebody else.
                    if _origin(interface.url) != _origin(self._card_url):
                        raise ToolError(
                            "that did not work because the other agent's card points to another host"
                        )
                    return interface.url, "1.0" if wanted == "1" else "0.3"
        raise ToolError("that did not work because the other agent speaks no JSON-RPC of A2A 1.0 or 0.3")

    def _params(self, question: str, version: Version) -> dict[str, Any]:
        message: dict[str, Any] = {
            "messageId": str(uuid.uuid4()),
            "role": "ROLE_USER" if version == "1.0" else "user",
            "parts": [{"text": question} if version == "1.0" else {"kind": "text", "text": question}],
            "metadata": {HOPS: self._hops + 1},
        }
        if self._context_id is not None:
            message["contextId"] = self._context_id
        if self._task_id is not None:
            message["taskId"] = self._task_id
        configuration: dict[str, Any] = {"acceptedOutputModes": ["text/plain"]}
        if version == "0.3":
            message["kind"] = "message"
            configuration["blocking"] = True
        return {"message": message, "configuration": configuration}

    async def _request(
        self, method: str, url: str, most: int, version: Version | None = None, body: Any = None
    ) -> bytes:
        headers = {**self._headers, "Accept": "application/json"}
        if version is not None:
            headers["A2A-Version"] = version
        content = json.dumps(body).encode() if body is not None else None
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with self._http.stream(method, url, headers=headers, content=content) as response:
                if not response.is_success:
                    raise ToolError(f"{_UNREACHABLE} (HTTP {response.status_code})")
                data = bytearray()
                async for chunk in response.aiter_bytes():
                    data += chunk
                    if len(data) > most:
                        raise ToolError("that did not work because the other agent says too much at once")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ToolError(_UNREACHABLE) from error
        return bytes(data)

    def _answer(self, result: Mapping[str, Any]) -> RemoteAnswer:
        """Understand a message or a task: as a member (1.0), or told apart by its kind (0.3)."""
        if "task" in result or result.get("kind") == "task":
            return self._of_task(_made(_Task, result.get("task", result)))
        message = _made(_Message, result.get("message", result))
        self._context_id, self._task_id = message.context_id or self._context_id, None
        return RemoteAnswer(_words(message))

    def _of_task(self, task: _Task) -> RemoteAnswer:
        state = task.status.named
        self._context_id, self._task_id = task.context_id or self._context_id, None
        said = task.status.message or _Message()
        match state:
            case "completed":
                return RemoteAnswer(_words(*task.artifacts) if task.artifacts else _words(said))
            case "input-required":
                self._task_id = task.id or None
                return RemoteAnswer(_words(said), asks=True)
            case "submitted" | "working":
                raise ToolError("the other agent has not finished that, and does not say when")
            case _:
                raise ToolError("the other agent could not do that")


def _words(*messages: _Message) -> str:
    """Return what is said in them."""
    text = " ".join(part.text.strip() for message in messages for part in message.parts if part.text)
    if not text.strip():
        raise ToolError("the other agent answered without words")
    text = disarmed(text)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} (cut off here)"


def _read(kind: type[T], data: bytes) -> T:
    try:
        return _made(kind, loads(data))
    except ValueError as error:  # no JSON, or no text
        raise ToolError(_WRONG) from error


def _made(kind: type[T], value: Any) -> T:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise ToolError(_WRONG) from error


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError as error:
        raise ToolError(_WRONG) from error
    return parts.scheme, parts.hostname, port
