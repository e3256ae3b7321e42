"""MCP servers as sources of tools: connected while the call warms up, never in the way of the greeting.

Pipecat's client keeps the connection, and opens it again when it breaks. What a server's tools are for us (names,
side effects, confirmations) is in the agent file; they run in the same toolbox as the agent's own.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import anyio
import structlog
from mcp import StdioServerParameters
from mcp.client.session_group import StreamableHttpParameters
from mcp.shared.exceptions import MCPError
from mcp.types import PaginatedRequestParams, TextContent
from pipecat.services.mcp_service import MCPClient

from repartee.agent.describe import check_template, without_references
from repartee.agent.mcp import VARIABLE, McpServer
from repartee.agent.tools import Tool, ToolOptions
from repartee.errors import ConfigError, ToolError

log = structlog.get_logger()
CLOSE_S = 5.0
MAX_TOOLS = 64
"""Of one server: more would drown the model, and cost in every request."""
MAX_PAGES = 8
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_LOST = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream)


class CallingClient(MCPClient):
    """Pipecat's MCP client, called from outside a pipeline.

    Closes: a tool's own error (`is_error`) handed on as if it were a result; a broken connection told to the model in
    the transport's words; arguments and results in the debug log; `$defs` of a schema lost.
    """

    async def listed(self) -> list[Any]:
        """Connect if need be, and return the server's tools."""
        session = await self._open_session(as_owner=True)
        tools: list[Any] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            params = PaginatedRequestParams(cursor=cursor) if cursor else None
            page = await session.list_tools(params=params)
            tools.extend(page.tools)
            cursor = page.next_cursor
            if not cursor:
                break
        return tools

    async def called(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Call a tool and return its text.

        Raises:
            ToolError: The tool said it failed, or the server is not there.
        """
        session = None
        try:
            session = await self._open_session(as_owner=False)
            result = await session.call_tool(name, arguments=dict(arguments))
        except (MCPError, *_LOST, OSError, RuntimeError, BaseExceptionGroup) as error:
            if session is not None:
                await self._drop_session(session)  # the next call connects again
            raise ToolError("that did not work because the service behind it does not answer") from error
        text = " ".join(part.text for part in result.content if isinstance(part, TextContent) and part.text)
        if result.is_error:
            raise ToolError(text[:300] or "that did not work")
        return text or "done"


class McpSource:
    """The servers of one agent, for one call.

    Args:
        servers: As the agent file names them.
        folder: Where commands run.
        variables: The environment, asked by name.
        taken: Names of tools that are there already.
        mark: Marks the timeline.
        on_tools: Called with a server's tools when it is connected.
    """

    def __init__(
        self,
        servers: Iterable[McpServer],
        folder: Path,
        variables: Callable[[str], str | None],
        taken: Iterable[str],
        mark: Callable[..., None],
        on_tools: Callable[[list[Tool]], None],
    ) -> None:
        self._servers = tuple(servers)
        self._folder = folder
        self._variables = variables
        self._taken = set(taken)
        self._mark = mark
        self._on_tools = on_tools
        self._clients: list[CallingClient] = []
        self._connecting: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._connecting = [
            asyncio.create_task(self._connect(server), name=f"mcp {server.name}") for server in self._servers
        ]

    async def connected(self) -> None:
        """Wait until every server is connected or given up; for tests and checks, never in a call."""
        await asyncio.gather(*self._connecting)

    async def aclose(self) -> None:
        """Leave every server."""
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        closing = [asyncio.create_task(client.close(), name="mcp close") for client in self._clients]
        if closing:
            _, late = await asyncio.wait(closing, timeout=CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*closing, return_exceptions=True)

    async def _connect(self, server: McpServer) -> None:
        """Connect one server; failing to is said, and the call goes on without its tools."""
        why = ""
        try:
            client = CallingClient(self._parameters(server))
            self._clients.append(client)
            async with asyncio.timeout(server.connect_s):
                listed = await client.listed()
            tools = self._tools(server, client, listed)
        except TimeoutError:
            why = "timeout"
        except ConfigError as error:
            why = "config"
            log.error("mcp.config", server=server.name, error=str(error))  # noqa: TRY400 - one sentence says it
        except Exception as error:  # noqa: BLE001 - the boundary to a program that is not ours
            why = type(error).__name__
        else:
            self._mark("mcp.connected", server=server.name, tools=len(tools))
            self._on_tools(tools)
            return
        log.warning("mcp.failed", server=server.name, why=why)
        self._mark("mcp.failed", server=server.name, why=why)

    def _parameters(self, server: McpServer) -> StdioServerParameters | StreamableHttpParameters:
        if server.command is not None:
            env = {name: self._variable(server, name) for name in server.env}
            return StdioServerParameters(
                command=server.command, args=list(server.args), env=env, cwd=self._folder
            )
        headers = {
            name: VARIABLE.sub(lambda match: self._variable(server, match.group(1)), value)
            for name, value in server.headers.items()
        }
        return StreamableHttpParameters(url=server.url or "", headers=headers)

    def _variable(self, server: McpServer, name: str) -> str:
        value = self._variables(name)
        if value is None:
            raise ConfigError(
                f"MCP server '{server.name}' needs the environment variable {name}, which is not set"
            )
        return value

    def _tools(self, server: McpServer, client: CallingClient, listed: list[Any]) -> list[Tool]:
        there = {tool.name for tool in listed}
        for name in (*(server.tools or ()), *server.side_effects, *server.says):
            if name not in there:
                log.warning("mcp.no_such_tool", server=server.name, tool=name)
        tools: list[Tool] = []
        for tool in listed[:MAX_TOOLS]:
            if server.tools is not None and tool.name not in server.tools:
                continue
            name = _NOT_IN_A_NAME.sub("_", f"{server.prefix}{tool.name}")[:64]
            if name in self._taken:
                log.warning("mcp.name_taken", server=server.name, tool=name)
                continue
            self._taken.add(name)
            tools.append(_tool(server, client, name, tool))
        return tools


def _tool(server: McpServer, client: CallingClient, name: str, listed: Any) -> Tool:
    parameters = without_references(listed.input_schema)
    confirm = server.confirm.get(listed.name)
    check_template(f"MCP tool '{listed.name}'", confirm, parameters.get("properties", {}))
    hints = listed.annotations
    options = ToolOptions(
        side_effect=listed.name in server.side_effects or bool(hints and hints.destructive_hint),
        timeout_s=server.timeout_s,
        confirm=confirm,
        says=server.says.get(listed.name),
    )
    original = listed.name

    async def call(**arguments: Any) -> str:
        return await client.called(original, arguments)

    description = inspect.cleandoc(listed.description or original)
    return Tool(name, description, parameters, call, None, None, options)
