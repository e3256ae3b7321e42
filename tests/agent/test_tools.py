"""What a model is told of a tool: types, docstring, options, and what is wrong with them."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from repartee.agent.describe import describe, read_docstring
from repartee.agent.saying import say_value
from repartee.agent.tools import Tool, ToolContext, tool
from repartee.errors import ConfigError, ToolError

CTX = ToolContext("call", None, Path("nowhere"))


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Address:
    street: str
    number: int = 1


class Pet(BaseModel):
    name: str
    title: str = "none"


@tool(side_effect=True, timeout_s=3, confirm="For {name}?", says="One moment.", undoes="other")
async def everything(  # noqa: PLR0917 - all kinds of parameters there are
    ctx: ToolContext,
    name: str,
    day: date,
    colour: Colour,
    size: Literal["small", "large"] = "small",
    note: str | None = None,
    tags: list[str] = [],  # noqa: B006 - a default as operators write it
    address: Address | None = None,
    pets: list[Pet] | None = None,
    seats: Annotated[int, Field(ge=1, le=8)] = 1,
) -> str:
    """Do everything
    at once.

    Args:
        name: The full name, as it
            is in the passport.
        day (date): The day.
        colour: The colour: red or blue.

    Returns:
        What was done.

    Raises:
        ToolError: It cannot be done.
    """
    return f"{ctx.call_id} {name} {day:%A} {colour.name} {size} {note} {tags} {address} {pets} {seats}"


def test_the_schema_is_whole_and_has_no_references() -> None:
    described = describe(everything)
    properties = described.parameters["properties"]
    assert described.description == "Do everything at once."
    assert described.parameters["required"] == ["name", "day", "colour"]
    assert "ctx" not in properties
    assert properties["name"] == {"type": "string", "description": "The full name, as it is in the passport."}
    assert properties["day"]["format"] == "date"
    assert properties["colour"] == {
        "type": "string",
        "enum": ["red", "blue"],
        "description": "The colour: red or blue.",
    }
    assert properties["size"]["enum"] == ["small", "large"]
    assert properties["tags"]["items"] == {"type": "string"}
    address = next(option for option in properties["address"]["anyOf"] if option["type"] == "object")
    assert address["properties"]["number"] == {"type": "integer", "default": 1}
    pet = next(option for option in properties["pets"]["anyOf"] if option["type"] == "array")["items"]
    assert set(pet["properties"]) == {"name", "title"}, "a property may be called title"
    assert (properties["seats"]["minimum"], properties["seats"]["maximum"]) == (1, 8)
    assert "$ref" not in str(described.parameters)
    assert "$defs" not in str(described.parameters)


async def test_arguments_arrive_as_their_types() -> None:
    arguments: dict[str, Any] = {
        "name": "Ann",
        "day": "2031-03-04",
        "colour": "red",
        "address": {"street": "River"},
        "pets": [{"name": "Rex"}],
        "seats": "2",
    }
    result = await describe(everything).call(arguments, CTX)
    assert result == (
        "call Ann Tuesday RED small None [] Address(street='River', number=1) [Pet(name='Rex', title='none')] 2"
    )
    with pytest.raises(ToolError, match=r"wrong arguments: seats"):
        await describe(everything).call({**arguments, "seats": 9}, CTX)
    with pytest.raises(ToolError, match=r"wrong arguments: colour"):
        await describe(everything).call({**arguments, "colour": "green"}, CTX)


def test_options_and_what_follows_from_them() -> None:
    described = describe(everything)
    assert described.side_effect
    assert described.on_interrupt == "finish"
    assert described.options.undoes == ("other",)

    @tool
    def look() -> str:
        """Look."""
        return ""

    assert describe(look).on_interrupt == "cancel"


def test_the_same_arguments_are_the_same_in_any_spelling() -> None:
    @tool
    def at(when: time, day: date, names: list[str] | None = None) -> str:
        """At."""
        return ""

    described = describe(at)
    one = described.canonical(described.check({"when": "10:00", "day": "2031-03-04"}))
    two = described.canonical(described.check({"day": "2031-03-04", "when": "10:00:00", "names": None}))
    assert one == two
    assert one != described.canonical(described.check({"day": "2031-03-04", "when": "10:01"}))


async def test_what_breaks_is_not_told() -> None:
    @tool
    def broken() -> str:
        """Break."""
        raise KeyError("Ann Hill")

    with pytest.raises(ToolError) as error:
        await describe(broken).call({}, CTX)
    assert "Ann" not in str(error.value)
    assert "KeyError" not in str(error.value)


async def test_what_takes_too_long_is_stopped() -> None:
    @tool(timeout_s=0.01)
    async def stuck() -> str:
        """Wait."""
        await asyncio.Event().wait()
        return ""

    with pytest.raises(ToolError, match=r"longer than 0\.01 seconds"):
        await describe(stuck).call({}, CTX)


def refused(function: Any, said: str, **options: Any) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        describe(tool(**options)(function))
    assert "test_tools.py:" in str(error.value), "file and line are told"


def test_mistakes_are_told() -> None:
    def no_docstring(name: str) -> str:
        return name

    def no_type(name) -> str:  # type: ignore[no-untyped-def]
        """Doc."""
        return str(name)

    def many(*names: str) -> str:
        """Doc."""
        return str(names)

    def unknown(name: str) -> str:
        """Doc.

        Args:
            nam: A name.
        """
        return name

    def callback(what: asyncio.Event) -> str:
        """Doc."""
        return str(what)

    def fine(name: str) -> str:
        """Doc."""
        return name

    refused(no_docstring, "needs a docstring", side_effect=False)
    refused(no_type, "needs a type")
    refused(many, r"must name each of its parameters")
    refused(unknown, r"explains 'nam', which is no parameter; did you mean 'name'")
    refused(callback, "has a type that cannot be told to a model")
    refused(fine, "asks for a confirmation but changes nothing", confirm="{name}?")
    refused(fine, r"confirms with \{nam\}.*did you mean 'name'", confirm="{nam}?", side_effect=True)
    refused(fine, "the braces in its confirmation", confirm="{name", side_effect=True)
    refused(fine, "cannot be cancelled half way", on_interrupt="cancel", side_effect=True)
    refused(fine, "timeout_s", timeout_s=0)


def test_docstrings() -> None:
    assert read_docstring("One line.") == ("One line.", {})
    text, notes = read_docstring(
        "First.\n\nSecond.\n\nArgs:\n    a: One\n        more.\n    b (int): Two.\n\nNote:\n    x: no argument.\n"
    )
    assert text == "First. Second."
    assert notes == {"a": "One more.", "b": "Two."}


@pytest.mark.parametrize(
    ("value", "language", "said"),
    [
        (date(2031, 3, 4), "en", "Tuesday, March 4"),
        (date(2031, 3, 4), "de-AT", "Dienstag, 4. März"),
        (date(2031, 3, 4), "es", "martes, 4 de marzo"),
        (time(14, 20), "en", "2:20 in the afternoon"),
        (time(9), "de", "9 Uhr"),
        (time(9), "fr", "9 in the morning"),
        (["a", "b", "c"], "en", "a, b and c"),
        (True, "de", "ja"),
        (None, "en", ""),
        (Colour.RED, "en", "red"),
        (Address("River", 3), "en", "River and 3"),
        (4, "en", "4"),
    ],
)
def test_values_as_they_are_said(value: Any, language: str, said: str) -> None:
    assert say_value(value, language) == said


def test_a_tool_without_a_model_checks_what_is_required() -> None:
    async def anything(**arguments: Any) -> str:
        return str(arguments)

    plain = Tool("x", "X.", {"properties": {"a": {}}, "required": ["a"]}, anything)
    with pytest.raises(ToolError, match="without a"):
        plain.check({})
    assert plain.check({"a": 1, "b": 2}) == {"a": 1, "b": 2}
