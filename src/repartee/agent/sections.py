"""What the sections of an agent file must know of each other: intents, forms and answers of the tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from string import Formatter
from typing import Any

from repartee.agent.definition import AgentFile, Answer
from repartee.agent.privacy import check_privacy
from repartee.agent.realtime import check_one_voice
from repartee.agent.slots import nearest
from repartee.agent.telephony import telephone_tools
from repartee.agent.tools import Tool
from repartee.agent.voice import DEFAULT_VOICE

LOOK = "look"
"""The tool that comes with vision."""
Location = tuple[str | int, ...]
Problem = tuple[Location, str]
"""Where in the file, and a sentence."""


def check_sections(definition: AgentFile, tools: tuple[Tool, ...]) -> Iterator[Problem]:
    """Yield what is wrong between the sections."""
    by_name = {tool.name: tool for tool in tools}
    yield from _telephone(definition, [tool.name for tool in tools])
    yield from check_privacy(definition)
    yield from check_one_voice(definition)
    yield from _of_vision(definition, by_name)
    yield from _languages(definition)
    yield from _unique("intents", [intent.name for intent in definition.intents])
    yield from _unique("forms", [form.name for form in definition.forms])
    yield from _unique("mcp", [server.name for server in definition.mcp])
    for index, remote in enumerate(definition.team.ask):
        if (name := f"ask_{remote.name}") in by_name:
            yield (
                ("team", "ask", index, "name"),
                f"'{name}' is a tool of the agent already; choose another name",
            )
    for index, intent in enumerate(definition.intents):
        if intent.tool is None or (intent.tool not in by_name and definition.mcp):
            continue  # a server may bring it; that is only known in the call
        yield from _fits(("intents", index), intent.tool, intent.slots, by_name, whole=False)
    for index, form in enumerate(definition.forms):
        required = {name for name, slot in form.slots.items() if not slot.optional}
        yield from _fits(("forms", index), form.tool, form.slots, by_name, whole=True)
        tool = by_name.get(form.tool)
        for name in _required(tool) if tool is not None else ():
            if name in form.slots and name not in required:
                yield (
                    ("forms", index, "tool"),
                    f"tool '{form.tool}' needs '{name}', which is optional in the form",
                )
    for index, answer in enumerate(definition.answers):
        tool = by_name.get(answer.do or "")
        if tool is not None and answer.confirm is None and (text := tool.options.confirm):
            for name in _named(text):
                if name not in answer.slots:
                    yield (
                        ("answers", index, "do"),
                        f"tool '{tool.name}' confirms with {{{name}}}, which is no slot of this answer",
                    )


def _telephone(definition: AgentFile, names: list[str]) -> Iterator[Problem]:
    for tool in telephone_tools(definition.telephony):
        if names.count(tool.name) > 1:
            yield ("telephony",), f"the tools file has a '{tool.name}' of its own; leave out one of the two"


def _of_vision(definition: AgentFile, by_name: dict[str, Tool]) -> Iterator[Problem]:
    if definition.vision.enabled and LOOK in by_name:
        yield ("tools",), f"with vision there is a tool '{LOOK}' already; give yours another name"


def _languages(definition: AgentFile) -> Iterator[Problem]:
    if DEFAULT_VOICE in definition.voices:
        yield (
            ("voices", DEFAULT_VOICE),
            f"'{DEFAULT_VOICE}' is what 'voice' has; give this voice another name",
        )
    spoken = [definition.language[:2]]
    for code in definition.languages:
        if code[:2] in spoken:
            yield (
                ("languages", code),
                f"'{code[:2]}' is spoken already; a language is written once, or as 'language'",
            )
        spoken.append(code[:2])


def confirmed_answers(answers: tuple[Answer, ...], tools: tuple[Tool, ...]) -> tuple[Answer, ...]:
    """Give every answer that calls a tool the tool's own confirmation, where it has none itself."""
    texts = {tool.name: tool.options.confirm for tool in tools}
    return tuple(
        answer.model_copy(update={"confirm": texts[answer.do]})
        if answer.confirm is None and answer.do in texts
        else answer
        for answer in answers
    )


def _fits(
    at: Location, name: str, slots: Iterable[str], by_name: dict[str, Tool], *, whole: bool
) -> Iterator[Problem]:
    tool = by_name.get(name)
    if tool is None:
        yield (*at, "tool"), f"there is no tool '{name}'{nearest(name, by_name)}"
        return
    parameters: dict[str, Any] = tool.parameters.get("properties", {})
    for slot in slots:
        if slot not in parameters:
            yield (*at, "slots", slot), f"tool '{name}' has no parameter '{slot}'{nearest(slot, parameters)}"
    if whole:
        for required in _required(tool):
            if required not in slots:
                yield (*at, "tool"), f"tool '{name}' needs '{required}', which the form does not ask for"


def _required(tool: Tool) -> list[str]:
    return list(tool.parameters.get("required", ()))


def _named(template: str) -> list[str]:

    return [name for _, name, _, _ in Formatter().parse(template) if name is not None]


def _unique(section: str, names: list[str]) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield (section, index), f"two {section} have the name '{name}'"
