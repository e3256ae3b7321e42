"""A small MCP server for tests: over stdio when run, over HTTP by its `app`."""

from __future__ import annotations

import os
import sys
from typing import Literal

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

server = MCPServer("stock")


class Item(BaseModel):
    name: str
    count: int = 1


@server.tool()
def in_stock(name: str, size: Literal["small", "large"] = "small") -> str:
    """Say whether something is in stock."""
    return f"There are two {size} {name}."


@server.tool()
def order(item: Item) -> str:
    """Order an item."""
    return f"Ordered {item.count} {item.name}."


@server.tool()
def secrets() -> str:
    """Show the environment."""
    return ",".join(sorted(name for name in os.environ if name.startswith("STOCK_")))


@server.tool()
def broken() -> str:
    """Fail."""
    raise ToolError("no such shelf")


@server.tool()
def die() -> str:
    """Take the server down."""
    os._exit(1)


if __name__ == "__main__":
    if sys.argv[1:] == ["hang"]:
        sys.stdin.read()
    server.run()
