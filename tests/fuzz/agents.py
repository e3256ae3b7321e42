"""What agents of others say over A2A: what they ask of ours, and what they answer."""

from __future__ import annotations

import contextlib
from typing import Any

import httpx
from hypothesis import strategies as st

from repartee.errors import ToolError
from repartee.providers.a2a import MAX_TEXT, RemoteAgent
from repartee.server.a2a import MAX_TEXT as MAX_ASKED
from repartee.server.a2a import _message, _read, _RpcError
from tests.fuzz.made import lines
from tests.fuzz.target import LOOP, Target

MESSAGE: dict[str, Any] = {
    "messageId": "m",
    "role": "ROLE_USER",
    "kind": "message",
    "contextId": "c",
    "parts": [{"text": "Hello"}, {"kind": "text", "text": "there"}],
    "metadata": {"repartee.hops": 1},
}
TASK: dict[str, Any] = {
    "id": "t",
    "kind": "task",
    "contextId": "c",
    "status": {"state": "TASK_STATE_COMPLETED", "message": MESSAGE},
    "artifacts": [{"parts": [{"text": "Four."}]}],
}
ASKED: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": MESSAGE}}
CARD: dict[str, Any] = {
    "name": "Stock",
    "url": "http://stock/rpc",
    "preferredTransport": "JSONRPC",
    "supportedInterfaces": [
        {"url": "http://stock/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    ],
}


def asked(data: bytes) -> None:
    with contextlib.suppress(_RpcError):
        version, message = _message(_read(data))
        assert version in ("1.0", "0.3")
        assert 0 < len(message.text) <= MAX_ASKED


def answered(case: tuple[bytes, bytes]) -> None:
    card, answer = case

    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=card if request.method == "GET" else answer)

    async def ask() -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(handle))
        agent = RemoteAgent("http://stock", client=client)
        with contextlib.suppress(ToolError):
            said = await agent.ask("?")
            assert 0 < len(said.text) <= MAX_TEXT + 30
            await agent.ask("and?")
        await agent.aclose()

    LOOP.run(ask())


RESULTS = lines(
    {"jsonrpc": "2.0", "id": 1, "result": {"message": MESSAGE}},
    {"jsonrpc": "2.0", "id": 1, "result": {"task": TASK}},
    {"jsonrpc": "2.0", "id": 1, "result": TASK},
    {"jsonrpc": "2.0", "id": 1, "result": MESSAGE},
    {"jsonrpc": "2.0", "id": 1, "error": {"code": -32001, "message": "no"}},
)
TARGETS = [
    Target("what another agent asks", lines(ASKED), asked, 40),
    Target("what another agent answers", st.tuples(lines(CARD), RESULTS), answered, 30),
]
