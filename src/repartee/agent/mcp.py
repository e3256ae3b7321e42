"""The `mcp` section of an agent file: servers that bring tools (Model Context Protocol)."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from repartee.agent.slots import Name, Strict, Text

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_VARIABLE_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
MAX_SERVERS = 8


class McpServer(Strict):
    """One server: a command that is started for the call, or a URL."""

    name: Name
    command: Text | None = None
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    """Names of environment variables the command gets; it gets no others but PATH and the like."""
    url: Text | None = None
    """A streamable HTTP endpoint."""
    headers: dict[str, str] = Field(default_factory=dict)
    """`${NAME}` stands for an environment variable."""
    tools: tuple[str, ...] | None = None
    """Which of its tools are offered; left out, all."""
    side_effects: tuple[str, ...] = ()
    """Those that change something."""
    confirm: dict[str, Text] = Field(default_factory=dict)
    """By tool: read to the user, who must say yes first; `{argument}` stands for a value."""
    says: dict[str, Text] = Field(default_factory=dict)
    """By tool: said while it runs, when that takes long."""
    prefix: Annotated[str, Field(pattern=r"^[a-z0-9_]*$", max_length=24)] = ""
    """Put before the names of its tools."""
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    """Longest time a call of a tool may take."""
    connect_s: float = Field(default=10.0, gt=0, le=60)
    """Longest time until it must be connected."""

    @field_validator("env")
    @classmethod
    def _names_only(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not _VARIABLE_NAME.match(name):
                shown = name.split("=", maxsplit=1)[0]
                raise ValueError(f"env lists names of variables, without values: '{shown}'")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> McpServer:
        if (self.command is None) == (self.url is None):
            raise ValueError(f"MCP server '{self.name}' needs either 'command' or 'url'")
        if self.url is not None and (self.args or self.env):
            raise ValueError(f"MCP server '{self.name}': 'args' and 'env' belong to a command")
        if self.command is not None and self.headers:
            raise ValueError(f"MCP server '{self.name}': 'headers' belong to a url")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"MCP server '{self.name}': the url begins with http:// or https://")
        for tool in self.confirm:
            if tool not in self.side_effects:
                raise ValueError(f"MCP server '{self.name}': '{tool}' has a confirm but is no side effect")
        if self.tools is not None:
            for tool in (*self.side_effects, *self.says):
                if tool not in self.tools:
                    raise ValueError(f"MCP server '{self.name}': '{tool}' is not among its tools")
        return self


McpServers = Annotated[tuple[McpServer, ...], Field(max_length=MAX_SERVERS)]
