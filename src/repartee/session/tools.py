"""Tool permits: a tool with side effects waits until its reply is sure to be wanted.

A speculative reply may call tools that only look something up; one that books waits here until the core releases
the reply, and never runs when the core throws it away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from repartee.agent import Tool, ToolContext
from repartee.errors import ToolError


@dataclass
class _Permit:
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    granted: bool = False


class ToolPermits:
    """Permission to act, one per live reply, newest counts."""

    def __init__(self) -> None:
        self._permits: dict[int, _Permit] = {}

    def open(self, reply_id: int, *, held: bool) -> None:
        """A reply was started; only a held one must wait."""
        self._permits = {reply_id: _Permit()}
        if not held:
            self.release(reply_id)

    def release(self, reply_id: int) -> None:
        """The reply may be heard, so its tools may act."""
        self._decide(reply_id, granted=True)

    def cancel(self, reply_id: int) -> None:
        """The reply was thrown away; a tool that has not begun never will."""
        self._decide(reply_id, granted=False)

    def _decide(self, reply_id: int, *, granted: bool) -> None:
        permit = self._permits.get(reply_id)
        if permit is not None and not permit.decided.is_set():
            permit.granted = granted
            permit.decided.set()

    async def acquire(self) -> None:
        """Wait until the present reply is decided.

        Raises:
            ToolError: The reply was thrown away.
        """
        permit = next(iter(self._permits.values()), None)
        if permit is None:
            raise ToolError("no reply is being made")
        await permit.decided.wait()
        if not permit.granted:
            raise ToolError("the user went on speaking, so nothing was done")


class PermittedTool:
    """A tool of the agent that asks for its permit first. Offers all the tool offers."""

    def __init__(self, tool: Tool, permits: ToolPermits) -> None:
        self._tool = tool
        self._permits = permits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tool, name)

    async def call(self, arguments: Mapping[str, Any], ctx: ToolContext) -> Any:
        """Call the tool; one with side effects waits for its permit."""
        if self._tool.side_effect:
            await self._permits.acquire()
        return await self._tool.call(dict(arguments), ctx)
