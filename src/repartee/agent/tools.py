"""Tools: ordinary typed Python functions an agent may call, with schema, limits and checked arguments."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from repartee.errors import ToolError
from repartee.goals import NO_GOALS, Goals

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__repartee_tool__"
DEFAULT_TIMEOUT_S = 10.0
OnInterrupt = Literal["finish", "cancel"]
"""What happens to a running tool when the user interrupts the reply it was called for."""


async def _no_client(_method: str, _payload: str = "") -> str:
    raise ToolError("nobody is on the line")


def _one_voice(name: str) -> None:
    raise ToolError(f"there is no voice '{name}'; this agent has one")


def _one_language(code: str) -> None:
    raise ToolError(f"there is no language '{code}'; this agent speaks one")


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know about the call; annotate a parameter with it to receive it."""

    call_id: str
    caller: str | None
    data_dir: Path
    goals: Goals = NO_GOALS
    """What the call is about, as known when the tool was called."""
    idempotency_key: str = ""
    """The same for the same tool with the same arguments in the same call: hand it to services that take one."""
    caller_id: str | None = None
    """Who the operator's token says is calling: decide by this what somebody may see and do, never by an argument."""
    ask_client: Callable[[str, str], Awaitable[str]] = field(default=_no_client, compare=False, repr=False)
    """Asks the caller's client by RPC: method and payload, returns its answer. What comes back is the word of whoever
    sits there. Raises `ToolError` where it does not answer."""
    phone: str | None = None
    """The caller's number, where they call by telephone and the agent file says `telephony.keep_number`. Numbers can
    be forged: it says nothing of who somebody is."""

    set_voice: Callable[[str], None] = _one_voice
    """Speak with another of the agent file's `voices` from the next reply on; `default` goes back. Call it in a tool
    with `side_effect=True`, so that a reply that is thrown away changes nothing. `ToolError`: there is no such voice.
    """
    set_language: Callable[[str], None] = _one_language
    """Speak another of the agent file's `languages` from the next reply on. As above."""


@dataclass(frozen=True, slots=True)
class ToolOptions:
    """What `@tool` was told."""

    side_effect: bool = False
    timeout_s: float = DEFAULT_TIMEOUT_S
    confirm: str | None = None
    on_interrupt: OnInterrupt | None = None
    says: str | None = None
    says_after_s: float = 1.0
    undoes: tuple[str, ...] = ()


class AskFirstError(ToolError):
    """The user must say yes to these arguments before the tool may act; `question` is what they are asked."""

    def __init__(self, question: str) -> None:
        super().__init__("the user has not said yes to this yet")
        self.question = question


@overload
def tool(function: F) -> F: ...
@overload
def tool(
    *,
    side_effect: bool = False,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    confirm: str | None = None,
    on_interrupt: OnInterrupt | None = None,
    says: str | None = None,
    says_after_s: float = 1.0,
    undoes: str | tuple[str, ...] = (),
) -> Callable[[F], F]: ...
def tool(
    function: F | None = None,
    *,
    side_effect: bool = False,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    confirm: str | None = None,
    on_interrupt: OnInterrupt | None = None,
    says: str | None = None,
    says_after_s: float = 1.0,
    undoes: str | tuple[str, ...] = (),
) -> F | Callable[[F], F]:
    """Mark a function as a tool of the agent.

    Args:
        function: The function, when used without parentheses.
        side_effect: It changes something: never called speculatively, never twice with the same arguments.
        timeout_s: Longest time it may take.
        confirm: Read to the user, who must say yes before it acts; `{parameter}` stands for a value.
        on_interrupt: Whether an interruption lets it finish or cancels it. Left out, what changes something
            finishes and what only looks something up is cancelled.
        says: Spoken while it runs, when it takes longer than `says_after_s` and nothing else is being said.
        says_after_s: See `says`.
        undoes: Tools whose results are void once this one has succeeded, so that they may act again.
    """
    undone = (undoes,) if isinstance(undoes, str) else tuple(undoes)
    options = ToolOptions(side_effect, timeout_s, confirm, on_interrupt, says, says_after_s, undone)

    def mark(target: F) -> F:
        setattr(target, MARK, options)
        return target

    return mark(function) if function is not None else mark


@dataclass(frozen=True)
class Tool:
    """A callable tool with its schema."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments object, without references."""
    function: Callable[..., Any] = field(repr=False)
    arguments: type[BaseModel] | None = field(default=None, repr=False)
    """Checks and converts the arguments; None hands them on as they come."""
    context_parameter: str | None = None
    options: ToolOptions = ToolOptions()

    @property
    def side_effect(self) -> bool:
        """It changes something."""
        return self.options.side_effect

    @property
    def timeout_s(self) -> float:
        """Longest time it may take."""
        return self.options.timeout_s

    @property
    def on_interrupt(self) -> OnInterrupt:
        """What an interruption does to it."""
        return self.options.on_interrupt or ("finish" if self.side_effect else "cancel")

    @property
    def cancellable(self) -> bool:
        """A coroutine can be stopped; a function in a thread cannot."""
        return inspect.iscoroutinefunction(self.function)

    def check(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments, checked and converted.

        Raises:
            ToolError: They are wrong; the sentence is safe for a model.
        """
        if self.arguments is None:
            missing = [name for name in self.parameters.get("required", ()) if name not in arguments]
            if missing:
                raise ToolError(f"{self.name} was called without {', '.join(missing)}")
            return dict(arguments)
        try:
            checked = self.arguments.model_validate(arguments)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in item['loc']) or 'arguments'}: {item['msg']}"
                for item in error.errors()
            )
            raise ToolError(f"{self.name} was called with wrong arguments: {problems}") from error
        return {name: getattr(checked, name) for name in type(checked).model_fields}

    def canonical(self, values: dict[str, Any]) -> str:
        """Return checked arguments in one form, so that "10:00" and "10:00:00" are the same."""
        plain = to_jsonable_python(values, fallback=str)
        return json.dumps(plain, sort_keys=True, ensure_ascii=False)

    def execute(self, values: dict[str, Any], ctx: ToolContext) -> Coroutine[Any, Any, Any]:
        """Run the function on checked arguments, without a time limit.

        Raises:
            ToolError: The function raised; nothing but its own `ToolError` tells its text.
        """
        given = dict(values)
        if self.context_parameter is not None:
            given[self.context_parameter] = ctx
        return self._execute(given)

    async def _execute(self, given: dict[str, Any]) -> Any:
        try:
            if self.cancellable:
                return await self.function(**given)
            return await asyncio.to_thread(self.function, **given)
        except ToolError:
            raise
        except Exception as error:  # the boundary to code that is not ours
            raise ToolError("that did not work because of a technical problem") from error

    async def call(self, arguments: dict[str, Any], ctx: ToolContext) -> Any:
        """Check the arguments, run the function within its time limit, return its result.

        Raises:
            ToolError: Wrong arguments, too slow, or the function raised; the sentence is safe for a model.
        """
        values = self.check(arguments)
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self.execute(values, ctx)
        except TimeoutError as error:
            raise ToolError(f"that took longer than {self.timeout_s:g} seconds") from error
