"""The tools on offer are counted into every request, also those that come during the call."""

from __future__ import annotations

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema

from repartee.agent import load_agent
from repartee.conversation.memory import ROOM_MIN_TOKENS
from repartee.session.prompt_budget import check_budget, history_for, reserve, tool_tokens
from tests.conftest import FRONT_DESK


def schema(tools: int) -> ToolsSchema:
    described = "Looks something up in one of the many lists of the house. " * 4
    return ToolsSchema(
        standard_tools=[FunctionSchema(f"look_up_{number}", described, {}, []) for number in range(tools)]
    )


def test_tools_of_a_server_take_their_room_and_count_as_acting() -> None:
    agent = load_agent(FRONT_DESK)
    history = history_for(agent, None, by_answers=False)
    before = history.memory.budget.fixed_tokens
    reserve(history, agent, schema(5), {"look_up_1"})
    assert (
        history.memory.budget.fixed_tokens
        == before + tool_tokens(schema(5))
        == check_budget(agent, tool_tokens(schema(5)))
    )
    assert history.memory.notes.acting == {"look_up_1"}
    reserve(history, agent, None, set())
    assert history.memory.budget.fixed_tokens == before


def test_too_many_tools_leave_the_call_its_newest_words() -> None:
    agent = load_agent(FRONT_DESK)
    history = history_for(agent, None, by_answers=False)
    reserve(history, agent, schema(400), ())
    assert history.memory.budget.tokens - history.memory.budget.fixed_tokens == ROOM_MIN_TOKENS
    assert history.messages("Are you open on Tuesday?")[-1]["content"] == "Are you open on Tuesday?"
