"""Tools: ordinary typed Python functions an agent may call, with schema, limits and checked arguments."""

from __future__ import annotations

import asyncio
import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from repartee.errors import ConfigError, ToolError

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__repartee_tool__"
DEFAULT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know about the call; annotate a parameter with it to receive it."""

    call_id: str
    caller: str | None
    data_dir: Path


@dataclass(frozen=True, slots=True)
class _Options:
    side_effect: bool
    timeout_s: float


@overload
def tool(function: F) -> F: ...
@overload
def tool(*, side_effect: bool = False, timeout_s: float = DEFAULT_TIMEOUT_S) -> Callable[[F], F]: ...
def tool(
    function: F | None = None, *, side_effect: bool = False, timeout_s: float = DEFAULT_TIMEOUT_S
) -> F | Callable[[F], F]:
    """Mark a function as a tool of the agent.

    Args:
        function: The function, when used without parentheses.
        side_effect: It changes something: never called speculatively, never cancelled half way.
        timeout_s: Longest time it may take.
    """

    def mark(target: F) -> F:
        setattr(target, _MARK, _Options(side_effect, timeout_s))
        return target

    return mark(function) if function is not None else mark


@dataclass(frozen=True)
class Tool:
    """A callable tool with its schema."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments object."""
    side_effect: bool
    timeout_s: float
    function: Callable[..., Any] = field(repr=False)
    arguments: type[BaseModel] = field(repr=False)
    context_parameter: str | None = None

    async def call(self, arguments: dict[str, Any], ctx: ToolContext) -> Any:
        """Check the arguments, run the function within its time limit, return its result.

        Raises:
            ToolError: Wrong arguments, too slow, or the function raised; the sentence is safe for a model.
        """
        try:
            checked = self.arguments.model_validate(arguments)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in item['loc']) or 'arguments'}: {item['msg']}"
                for item in error.errors()
            )
            raise ToolError(f"{self.name} was called with wrong arguments: {problems}") from error
        values = {name: getattr(checked, name) for name in type(checked).model_fields}
        if self.context_parameter is not None:
            values[self.context_parameter] = ctx
        try:
            async with asyncio.timeout(self.timeout_s):
                if inspect.iscoroutinefunction(self.function):
                    return await self.function(**values)
                return await asyncio.to_thread(self.function, **values)
        except TimeoutError as error:
            raise ToolError(f"{self.name} took longer than {self.timeout_s:g} seconds") from error
        except ToolError:
            raise
        except Exception as error:  # the boundary to code that is not ours
            raise ToolError(f"{self.name} failed: {type(error).__name__}") from error


def tools_of(module: object) -> tuple[Tool, ...]:
    """Return the tools a module defines, in the order of their definition.

    Raises:
        ConfigError: A tool's signature cannot be described.
    """
    return tuple(
        describe(function)
        for function in vars(module).values()
        if callable(function) and hasattr(function, _MARK)
    )


def describe(function: Callable[..., Any]) -> Tool:
    """Build a tool from a marked function's signature and docstring.

    Raises:
        ConfigError: A parameter has no type, or the function no docstring.
    """
    options: _Options = getattr(function, _MARK)
    where = f"{inspect.getsourcefile(function)}:{function.__code__.co_firstlineno}"
    doc = inspect.getdoc(function)
    if not doc:
        raise ConfigError(f"{where}: tool '{function.__name__}' needs a docstring; the model chooses by it")
    summary, notes = _docstring(doc)
    hints = typing.get_type_hints(function)
    fields: dict[str, Any] = {}
    context_parameter = None
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in hints:
            raise ConfigError(f"{where}: parameter '{name}' of tool '{function.__name__}' needs a type")
        if hints[name] is ToolContext:
            context_parameter = name
            continue
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (hints[name], Field(default, description=notes.get(name)))
    arguments = create_model(
        f"{function.__name__}_arguments", __config__=ConfigDict(extra="forbid"), **fields
    )
    schema = arguments.model_json_schema()
    schema.pop("title", None)
    for properties in schema.get("properties", {}).values():
        properties.pop("title", None)
    return Tool(
        function.__name__,
        summary,
        schema,
        options.side_effect,
        options.timeout_s,
        function,
        arguments,
        context_parameter,
    )


def _docstring(doc: str) -> tuple[str, dict[str, str]]:
    """Split a Google-style docstring into its text and the notes on its arguments."""
    head, _, rest = doc.partition("\nArgs:\n")
    notes: dict[str, str] = {}
    for line in rest.splitlines():
        if match := re.match(r"\s+(\w+)(?: \(.*?\))?:\s*(.+)", line):
            notes[match.group(1)] = match.group(2).strip()
        elif not line.startswith(" ") and line.strip():
            break
    return " ".join(head.split()), notes
