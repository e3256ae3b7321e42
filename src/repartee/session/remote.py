"""Agents of somebody else's as tools of ours: what is asked of them, and what comes back, passes the toolbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from repartee.agent import Agent, Tool
from repartee.agent.mcp import VARIABLE
from repartee.agent.team import Remote
from repartee.agent.tools import ToolOptions
from repartee.providers.a2a import RemoteAgent

log = structlog.get_logger()
MAX_QUESTION = 2000
_NOTE = (
    "What to ask, with all it must know to answer: it has not heard the call. Nothing about the caller that it does "
    "not need."
)


class RemoteAgents:
    """The agents that one of ours may ask in a call.

    Args:
        agent: Whose file names them.
        variables: The environment, asked by name.
        hops: How many agents have passed on what this call is about.
    """

    def __init__(self, agent: Agent, variables: Callable[[str], str | None], hops: int = 0) -> None:
        self._remotes: list[RemoteAgent] = []
        tools: list[Tool] = []
        for remote in agent.team.ask:
            headers = _headers(remote, variables)
            if headers is None:
                continue
            known = RemoteAgent(remote.url, headers, hops=hops)
            self._remotes.append(known)
            tools.append(_tool(remote, known))
        self.tools = tuple(tools)
        """One for each whose key is there."""

    async def aclose(self) -> None:
        """Leave them."""
        await asyncio.gather(*(remote.aclose() for remote in self._remotes))


def _tool(remote: Remote, known: RemoteAgent) -> Tool:
    async def ask(question: str) -> dict[str, Any]:
        answer = await known.ask(question[:MAX_QUESTION])
        if answer.asks:
            return {"it_wants_to_know_first": answer.text, "then": "Ask again with that."}
        return {"it_said": answer.text}

    parameters = {
        "type": "object",
        "properties": {"question": {"type": "string", "description": _NOTE}},
        "required": ["question"],
    }
    options = ToolOptions(
        side_effect=remote.side_effect,
        timeout_s=remote.timeout_s,
        confirm=remote.confirm,
        says=remote.says,
    )
    description = f"Ask an agent outside this call. It knows: {' '.join(remote.about.split())}"
    return Tool(f"ask_{remote.name}", description, parameters, ask, None, None, options)


def _headers(remote: Remote, variables: Callable[[str], str | None]) -> dict[str, str] | None:
    """Return the headers with their variables; None, and a word in the log, where one is not set."""
    headers = {}
    for name, value in remote.headers.items():
        wanted = VARIABLE.findall(value)
        if missing := [variable for variable in wanted if variables(variable) is None]:
            log.error("a2a.config", agent=remote.name, missing=missing)
            return None
        headers[name] = VARIABLE.sub(lambda match: variables(match.group(1)) or "", value)
    return headers
