"""MCP servers as sources of tools: a real server over stdio and over HTTP, and every way in which it is not there."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvicorn

from repartee.agent import Tool, ToolContext
from repartee.agent.mcp import McpServer
from repartee.conversation import Idle, Speaking
from repartee.errors import ToolError
from repartee.session.mcp import McpSource
from tests.session.desk import Does, Marks, call_with, write
from tests.session.mcp_server import server as stock
from tests.session.test_call import said

SERVER = Path(__file__).with_name("mcp_server.py")
CTX = ToolContext("call", None, Path("nowhere"))
VARIABLES = {"STOCK_KEY": "secret-key", "STOCK_OTHER": "secret-other", "TOKEN": "secret-token"}


def over_stdio(**more: Any) -> McpServer:
    return McpServer(name="stock", command=sys.executable, args=(str(SERVER),), **more)


@asynccontextmanager
async def connected(server: McpServer, *taken: str) -> AsyncIterator[tuple[dict[str, Tool], Marks]]:
    tools: dict[str, Tool] = {}
    marks = Marks()

    def take(found: list[Tool]) -> None:
        tools.update({tool.name: tool for tool in found})

    source = McpSource([server], SERVER.parent, VARIABLES.get, taken, marks, take)
    source.start()
    try:
        await source.connected()
        yield tools, marks
    finally:
        await source.aclose()


async def test_tools_of_a_command_are_ours() -> None:
    server = over_stdio(
        tools=("in_stock", "order"),
        side_effects=("order",),
        confirm={"order": "Shall I order {item}?"},
        says={"in_stock": "I look in the shelf."},
        prefix="shop_",
        timeout_s=20,
    )
    async with connected(server) as (tools, marks):
        assert set(tools) == {"shop_in_stock", "shop_order"}
        look, order = tools["shop_in_stock"], tools["shop_order"]
        assert look.description == "Say whether something is in stock."
        assert look.parameters["properties"]["size"]["enum"] == ["small", "large"]
        assert look.parameters["required"] == ["name"]
        assert (look.side_effect, look.on_interrupt) == (False, "cancel")
        assert look.options.says == "I look in the shelf."
        assert (order.side_effect, order.on_interrupt) == (True, "finish")
        assert order.parameters["properties"]["item"]["properties"]["count"]["default"] == 1
        assert await look.call({"name": "cups"}, CTX) == "There are two small cups."
        assert await order.call({"item": {"name": "cup", "count": 3}}, CTX) == "Ordered 3 cup."
        with pytest.raises(ToolError, match="without name"):
            await look.call({}, CTX)
    assert marks.named("mcp.connected") == [{"server": "stock", "tools": 2}]


async def test_a_command_gets_the_variables_that_are_listed_and_no_others() -> None:
    async with connected(over_stdio(env=("STOCK_KEY",))) as (tools, marks):
        assert await tools["secrets"].call({}, CTX) == "STOCK_KEY"
    assert "secret" not in str(marks)


async def test_a_tool_s_own_error_is_told_and_a_dead_server_comes_back() -> None:
    async with connected(over_stdio()) as (tools, _):
        with pytest.raises(ToolError, match="no such shelf"):
            await tools["broken"].call({}, CTX)
        with pytest.raises(ToolError, match="the service behind it does not answer"):
            await tools["die"].call({}, CTX)
        assert await tools["in_stock"].call({"name": "cups"}, CTX) == "There are two small cups."


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (McpServer(name="stock", command="no-such-command-anywhere"), "FileNotFoundError"),
        (McpServer(name="stock", command=sys.executable, args=("-c", "pass")), None),
        (McpServer(name="stock", command=sys.executable, env=("NOT_SET",)), "config"),
        (over_stdio(connect_s=0.001), "timeout"),
        (McpServer(name="stock", url="http://127.0.0.1:9/mcp"), None),
        (McpServer(name="stock", url="http://127.0.0.1:9/mcp", headers={"A": "Bearer ${NOT_SET}"}), "config"),
    ],
    ids=["no command", "ends at once", "no variable", "too slow", "nobody there", "no header variable"],
)
async def test_a_server_that_is_not_there_is_said_and_nothing_more(
    server: McpServer, why: str | None
) -> None:
    with structlog.testing.capture_logs() as logged:
        async with connected(server) as (tools, marks):
            assert tools == {}
    (failed,) = marks.named("mcp.failed")
    assert failed["server"] == "stock"
    assert why is None or failed["why"] == why
    assert [entry for entry in logged if entry["event"] == "mcp.failed"]
    assert "secret" not in str(logged)


async def test_a_name_that_is_taken_stays_whose_it_was() -> None:
    async with connected(over_stdio(), "order") as (tools, _):
        assert "order" not in tools
        assert "in_stock" in tools


@asynccontextmanager
async def over_http() -> AsyncIterator[tuple[str, list[str | None]]]:
    """The same server over HTTP; and the authorization it was sent."""
    seen: list[str | None] = []
    app = stock.streamable_http_app()

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            seen.append(headers.get(b"authorization", b"").decode() or None)
        await app(scope, receive, send)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        config = uvicorn.Config(noting, log_level="error", lifespan="on")
        http = uvicorn.Server(config)
        serving = asyncio.create_task(http.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{port}/mcp", seen
        finally:
            http.should_exit = True
            await serving


async def test_tools_over_http_with_a_secret_header() -> None:
    async with over_http() as (url, seen):
        server = McpServer(
            name="stock", url=url, headers={"Authorization": "Bearer ${TOKEN}"}, tools=("in_stock",)
        )
        async with connected(server) as (tools, marks):
            assert await tools["in_stock"].call({"name": "cups"}, CTX) == "There are two small cups."
    assert set(seen) == {"Bearer secret-token"}
    assert "secret" not in str(marks)


async def test_a_call_goes_on_while_a_server_connects_and_has_its_tools_afterwards(tmp_path: Path) -> None:
    more = f"mcp: [{{name: stock, command: {sys.executable}, args: [{SERVER}], tools: [in_stock], prefix: s_}}]\n"
    tools = '@tool\ndef own() -> str:\n    """Own."""\n    return "own"\n'
    look = Does(calls=[("s_in_stock", {"name": "cups"})])
    call, model, marks = call_with(write(tmp_path, tools, more), Does("Hello."), look, Does("Two cups."))
    async with call:
        assert call.agenda is not None
        said(call, "Hello?")
        await call.until(lambda: isinstance(call.state, Speaking))
        call.agenda.start()
        await call.play_until(lambda: isinstance(call.state, Idle))
        assert call.agenda._desk._mcp is not None
        await call.agenda._desk._mcp.connected()
        said(call, "Are there cups?", segment=2)
        await call.until(lambda: len(model.asked) == 3)
        await call.play_until(lambda: isinstance(call.state, Idle))
        await call.agenda.aclose()
    assert model.offered == [{"own"}, {"own", "s_in_stock"}, {"own", "s_in_stock"}]
    assert model.asked[2][-1]["content"] == "There are two small cups."
    assert marks.named("mcp.connected")
