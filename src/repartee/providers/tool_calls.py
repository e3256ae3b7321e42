"""Tools on a Pipecat model: their schema, and a handler whose every outcome a model can speak about."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.services.llm_service import FunctionCallParams, LLMService
from pydantic_core import to_jsonable_python

from repartee.agent import ToolContext
from repartee.agent.tools import AskFirstError
from repartee.conversation.quoting import disarmed
from repartee.errors import ToolError

TOOL_GRACE_S = 30.0
"""Beyond a tool's own limit: the time it may wait for its permit."""
MAX_RESULT_CHARACTERS = 8000
"""More than this is not read aloud by anybody, and is paid for in every request that follows."""
APOLOGY = (
    "It was not done. Say in one short sentence that you are sorry and what did not work, in your own words, and "
    "offer what can be done instead."
)


class Question(dict[str, str]):
    """The result of a tool that asks first: the user is asked in exactly these words, without the model."""

    def __init__(self, text: str) -> None:
        super().__init__(status="not done yet", the_user_is_asked=text)

    @property
    def text(self) -> str:
        """What the user is asked."""
        return self["the_user_is_asked"]


class Passed(dict[str, Any]):
    """The result of passing the call to another agent: from here on that one answers.

    Args:
        line: Said by the agent who passes it on, where they have said nothing themselves.
        to: Who has the call now.
        told: What they are to know, for their model.
    """

    def __init__(self, line: str, to: str, told: str) -> None:
        super().__init__(status="done", the_call_was_passed_to=to, what_you_must_know=told)
        self.line = line
        self.to = to


def register(service: Any, tool: Any, context: ToolContext) -> None:
    """Register a tool with a Pipecat model.

    Args:
        service: The `LLMService`.
        tool: A `Tool` or what stands for one; given the reply's id where it takes one.
        context: What the tool may know of the call.
    """
    llm: LLMService = service
    llm.register_function(
        tool.name,
        _handler(tool, context),
        # Interruption is the core's decision: a tool that has begun to act is never cut off half way.
        cancel_on_interruption=tool.on_interrupt == "cancel",
        timeout_secs=tool.timeout_s + TOOL_GRACE_S,
    )


def schema_of(tools: Iterable[Any]) -> ToolsSchema | None:
    """Return the schema of tools as the model is told it, None when there are none."""
    described = [
        FunctionSchema(
            name=tool.name,
            description=tool.description,
            properties=tool.parameters.get("properties", {}),
            required=tool.parameters.get("required", []),
        )
        for tool in tools
    ]
    return ToolsSchema(standard_tools=described) if described else None


def _handler(tool: Any, context: ToolContext) -> Any:
    async def call(params: FunctionCallParams) -> None:
        reply_id = getattr(params.context, "reply_id", None)
        await params.result_callback(await outcome(tool, dict(params.arguments), context, reply_id))

    return call


async def outcome(tool: Any, arguments: dict[str, Any], context: ToolContext, reply_id: int | None) -> Any:
    """Call a tool; return its result as JSON, a question to the user, or what went wrong."""
    try:
        if reply_id is None:
            result = await tool.call(arguments, context)
        else:
            result = await tool.call(arguments, context, reply_id)
    except AskFirstError as ask:
        return Question(ask.question)
    except ToolError as error:
        return {"error": disarmed(str(error)), "instruction": APOLOGY}
    if isinstance(result, Passed):
        return result
    plain = harmless(_jsonable(result))
    if isinstance(plain, str) and len(plain) > MAX_RESULT_CHARACTERS:
        return f"{plain[:MAX_RESULT_CHARACTERS]} (cut off here)"
    if not isinstance(plain, str) and len(json.dumps(plain)) > MAX_RESULT_CHARACTERS:
        return f"{json.dumps(plain, ensure_ascii=False)[:MAX_RESULT_CHARACTERS]} (cut off here)"
    return plain


def _jsonable(result: Any) -> Any:
    try:
        return to_jsonable_python(result, fallback=str)
    except ValueError:  # a circle, or half a character
        return str(result).encode("utf-8", "replace").decode()


def harmless(value: Any) -> Any:
    """Return a result without marks that would end its being a result."""
    match value:
        case str():
            return disarmed(value)
        case list():
            return [harmless(item) for item in value]
        case dict():
            return {name: harmless(item) for name, item in value.items()}
        case _:
            return value
