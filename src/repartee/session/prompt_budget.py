"""What a request to the model may take, by the agent file: the persona and the tools are counted in."""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import lru_cache
from typing import Any, Protocol

from repartee.agent import Agent
from repartee.conversation.history import ENDLESS, History
from repartee.conversation.memory import ROOM_MIN_TOKENS, Memory
from repartee.conversation.notes import Budget, Notes
from repartee.conversation.tokens import PER_MESSAGE, text_tokens
from repartee.errors import ConfigError


class Schema(Protocol):
    """The tools as a model is shown them."""

    @property
    def standard_tools(self) -> list[Any]:
        """Each has `to_default_dict`."""
        ...


def tool_tokens(schema: Schema | None) -> int:
    """Reckon what the tools take of every request."""
    if schema is None:
        return 0
    return sum(_tokens(json.dumps(tool.to_default_dict())) + PER_MESSAGE for tool in schema.standard_tools)


@lru_cache(maxsize=256)
def _tokens(schema: str) -> int:
    """Reckoned for every request, of texts that seldom change."""
    return text_tokens(schema)


def agent_tool_tokens(agent: Agent) -> int:
    """Reckon the same from the agent's own tools, before there is a call."""
    return sum(
        text_tokens(json.dumps({"n": tool.name, "d": tool.description, "p": tool.parameters})) + PER_MESSAGE
        for tool in agent.tools
    )


def check_budget(agent: Agent, tools_tokens: int | None = None) -> int:
    """Return the tokens that persona and tools take of every request.

    Raises:
        ConfigError: They leave no room for the conversation.
    """
    fixed = _fixed(agent, agent_tool_tokens(agent) if tools_tokens is None else tools_tokens)
    needed = fixed + ROOM_MIN_TOKENS
    if agent.memory.enabled and agent.memory.tokens < needed:
        raise ConfigError(
            f"{agent.path}: memory.tokens is {agent.memory.tokens}, but persona and tools take about {fixed} of "
            f"every request; give it at least {-(-needed // 100) * 100}, or shorten them"
        )
    return fixed


def history_for(agent: Agent, schema: Schema | None, *, by_answers: bool) -> History:
    """Return an empty history with the budget of an agent.

    Args:
        agent: The agent.
        schema: The tools its model is shown.
        by_answers: There is no model; the answers follow the user's turns themselves.
    """
    section = agent.memory
    acting = frozenset(tool.name for tool in agent.tools if tool.side_effect)
    budget = Budget(section.turns, section.tokens, check_budget(agent, tool_tokens(schema)))
    if not section.enabled:
        return History(Memory(ENDLESS, notes=Notes(acting=acting)))
    return History(Memory(budget, notes=Notes(acting=acting)), keeps_user_turns=by_answers)


def reserve(history: History, agent: Agent, schema: Schema | None, acting: Collection[str]) -> None:
    """Take from a history's budget what the tools on offer take: servers bring theirs during the call.

    Some room is always left: a call goes on over its budget rather than without its words.
    """
    if agent.memory.enabled:
        most = agent.memory.tokens - ROOM_MIN_TOKENS
        history.reserve(min(most, _fixed(agent, tool_tokens(schema))), frozenset(acting))


def _fixed(agent: Agent, tools_tokens: int) -> int:
    return text_tokens(agent.instruction) + PER_MESSAGE + tools_tokens
