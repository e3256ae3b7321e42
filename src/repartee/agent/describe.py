"""What a model must know of a tool, read from the function itself: its signature, types and docstring."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from string import Formatter
from typing import Any

from pydantic import ConfigDict, Field, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from repartee.agent.definition import nearest
from repartee.agent.tools import MARK, Tool, ToolContext, ToolOptions
from repartee.errors import ConfigError

_SECTION = re.compile(
    r"^(Args|Arguments|Parameters|Returns|Return|Raises|Yields|Examples?|Notes?|Attributes):\s*$"
)
_ARGUMENT = re.compile(r"^(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")
_VALUES = frozenset({"default", "const", "enum", "examples"})
"""Keys of a JSON Schema that hold values, not schemas."""


def tools_of(module: object) -> tuple[Tool, ...]:
    """Return the tools a module defines, in the order of their definition.

    Raises:
        ConfigError: A tool's signature cannot be described.
    """
    functions = [f for f in vars(module).values() if callable(f) and hasattr(f, MARK)]
    tools = tuple(describe(function) for function in functions)
    names = {tool.name for tool in tools}
    for tool in tools:
        for name in tool.options.undoes:
            if name not in names:
                raise ConfigError(
                    f"{_where(tool.function)}: tool '{tool.name}' undoes '{name}', which is no tool"
                    f"{nearest(name, names - {tool.name})}"
                )
    return tools


def describe(function: Callable[..., Any]) -> Tool:
    """Build a tool from a marked function's signature and docstring.

    Raises:
        ConfigError: A parameter has no type or one that JSON cannot carry, or the function no docstring.
    """
    options: ToolOptions = getattr(function, MARK)
    name, where = function.__name__, _where(function)
    doc = inspect.getdoc(function)
    if not doc:
        raise ConfigError(f"{where}: tool '{name}' needs a docstring; the model chooses by it")
    summary, notes = read_docstring(doc)
    hints = typing.get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    context_parameter = None
    parameters = inspect.signature(function).parameters
    for parameter_name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigError(
                f"{where}: tool '{name}' must name each of its parameters ('{parameter}' does not)"
            )
        if parameter_name not in hints:
            raise ConfigError(f"{where}: parameter '{parameter_name}' of tool '{name}' needs a type")
        if hints[parameter_name] is ToolContext:
            context_parameter = parameter_name
            continue
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        note = notes.get(parameter_name)
        fields[parameter_name] = (hints[parameter_name], Field(default, description=note))
    for noted in notes:
        if noted not in parameters:
            raise ConfigError(
                f"{where}: the docstring of tool '{name}' explains '{noted}', which is no parameter"
                f"{nearest(noted, fields)}"
            )
    _check_options(function, options, fields)
    try:
        arguments = create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)
        schema = without_references(arguments.model_json_schema())
    except (PydanticSchemaGenerationError, PydanticUserError, RecursionError) as error:
        raise ConfigError(
            f"{where}: a parameter of tool '{name}' has a type that cannot be told to a model: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return Tool(name, summary, schema, function, arguments, context_parameter, options)


def _check_options(function: Callable[..., Any], options: ToolOptions, fields: dict[str, Any]) -> None:
    name, where = function.__name__, _where(function)
    if options.timeout_s <= 0 or options.says_after_s < 0:
        raise ConfigError(f"{where}: tool '{name}': timeout_s and says_after_s are seconds, and not negative")
    if options.confirm is not None and not options.side_effect:
        raise ConfigError(
            f"{where}: tool '{name}' asks for a confirmation but changes nothing; add side_effect=True"
        )
    cancels_thread = options.on_interrupt == "cancel" and not inspect.iscoroutinefunction(function)
    if options.side_effect and cancels_thread:
        raise ConfigError(
            f"{where}: tool '{name}' cannot be cancelled half way: write it as 'async def', or let it finish"
        )
    check_template(f"{where}: tool '{name}'", options.confirm, fields)


def check_template(what: str, template: str | None, names: typing.Iterable[str]) -> None:
    """Check that a text uses only these `{names}`.

    Raises:
        ConfigError: It uses another, or its braces are wrong.
    """
    known = list(names)
    try:
        used = [name for _, name, _, _ in Formatter().parse(template or "") if name is not None]
    except ValueError as error:
        raise ConfigError(f"{what}: the braces in its confirmation are wrong: {error}") from error
    for name in used:
        if name not in known:
            raise ConfigError(
                f"{what} confirms with {{{name}}}, which is no parameter of it{nearest(name, known)}"
            )


def _where(function: Callable[..., Any]) -> str:
    code = inspect.unwrap(function).__code__
    return f"{inspect.getsourcefile(function)}:{code.co_firstlineno}"


def read_docstring(doc: str) -> tuple[str, dict[str, str]]:
    """Split a Google-style docstring into its text and the notes on its arguments."""
    text: list[str] = []
    notes: dict[str, str] = {}
    section, noted, indent = "", "", 0
    for line in doc.splitlines():
        if match := _SECTION.match(line):
            section, noted, indent = match.group(1), "", 0
            continue
        if not section:
            text.append(line)
        elif section in ("Args", "Arguments", "Parameters") and line.strip():
            depth = len(line) - len(line.lstrip())
            indent = indent or depth
            entry = _ARGUMENT.match(line.strip()) if depth <= indent else None
            if entry:
                noted = entry.group(1)
                notes[noted] = entry.group(2).strip()
            elif noted:
                notes[noted] = f"{notes[noted]} {line.strip()}".strip()
    return " ".join(" ".join(text).split()), notes


def without_references(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema with every `$ref` written out and no titles; models read such a one best.

    Raises:
        RecursionError: A type contains itself.
    """
    listed = schema.get("$defs")
    definitions = listed if isinstance(listed, dict) else {}

    def resolve(node: Any, inside: tuple[str, ...]) -> Any:
        if isinstance(node, list):
            return [resolve(item, inside) for item in node]
        if not isinstance(node, dict):
            return node
        if isinstance(reference := node.get("$ref"), str):
            name = reference.rsplit("/", 1)[-1]
            if name in inside:
                raise RecursionError(f"'{name}' contains itself")
            rest = {key: value for key, value in node.items() if key != "$ref"}
            found = resolve(definitions.get(name, {}), (*inside, name))
            return {**(found if isinstance(found, dict) else {}), **resolve(rest, inside)}
        written: dict[str, Any] = {}
        for key, value in node.items():
            if key == "properties" and isinstance(value, dict):
                written[key] = {name: resolve(part, inside) for name, part in value.items()}
            elif key in _VALUES:
                written[key] = value
            elif key not in ("title", "$defs", "$schema"):
                written[key] = resolve(value, inside)
        return written

    flat: dict[str, Any] = resolve(schema, ())
    return flat
