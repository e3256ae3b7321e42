"""Intents, forms and MCP servers in an agent file: what is right, and what is said about what is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from repartee.agent import load_agent
from repartee.errors import ConfigError
from tests.agent.test_loader import GOOD, write

TOOLS = '''
from repartee import tool

@tool(side_effect=True, confirm="Register {name}?")
def register(name: str, born: str, card: str = "") -> str:
    """Register.

    Args:
        name: Who.
    """
    return name
'''
HEAD = GOOD + "tools: tools.py\n"
FORM = """forms:
  - name: register
    description: A new patient.
    tool: register
    steps:
      - name: person
        slots: {name: {type: name, ask: Name}, born: {type: date, ask: Born}}
      - name: insurance
        slots: {card: {ask: Card, optional: true}}
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "intents:\n  - {name: a, description: A., examples: []}\n", r"6: 'intents.0.examples'"),
        (HEAD + "intents:\n  - {name: A, description: A., examples: [x]}\n", r"'intents.0.name'"),
        (
            HEAD + "intents:\n  - {name: a, description: A., examples: [x], tool: registr}\n",
            r"6: there is no tool 'registr'; did you mean 'register'\?",
        ),
        (
            HEAD + "intents:\n  - {name: a, description: A., examples: [x], slots: {n: {ask: N}}}\n",
            r"intent 'a' has slots but no tool",
        ),
        (
            HEAD
            + "intents:\n  - name: a\n    description: A.\n    examples: [x]\n    tool: register\n"
            + "    slots:\n      nam: {ask: N}\n",
            r"11: tool 'register' has no parameter 'nam'; did you mean 'name'\?",
        ),
        (
            HEAD + "intents:\n" + "  - {name: a, description: A., examples: [x]}\n" * 2,
            r"7: two intents have the name 'a'",
        ),
        (
            HEAD + FORM.replace("card: {ask: Card", "crd: {ask: Card"),
            r"has no parameter 'crd'; did you mean",
        ),
        (HEAD + FORM.replace(", born: {type: date, ask: Born}", ""), r"8: tool 'register' needs 'born'"),
        (
            HEAD + FORM.replace("ask: Born}", "ask: Born, optional: true}"),
            r"needs 'born', which is optional",
        ),
        (HEAD + FORM + "        next: persn\n", r"step 'insurance' leads to 'persn'; did you mean 'person'"),
        (HEAD + FORM + "        next: person\n", r"leads back to 'person'; steps lead forward"),
        (
            HEAD + FORM + "        next: {slot: nme, cases: {x: end}}\n",
            r"branches on 'nme'.*did you mean 'name'",
        ),
        (
            HEAD + FORM.replace("      - name: insurance\n", "        next: end\n      - name: insurance\n"),
            r"step 'insurance' of form 'register' is never reached",
        ),
        (HEAD + FORM.replace("{ask: Card", "{ask: Card, pattern: '('"), r"no regular expression"),
        (HEAD + FORM.replace("{ask: Card", "{ask: Card, minimum: 3"), r"belong to a slot of type number"),
        (GOOD + "mcp: [{name: a}]\n", r"MCP server 'a' needs either 'command' or 'url'"),
        (GOOD + "mcp: [{name: a, command: x, url: 'http://x'}]\n", r"needs either 'command' or 'url'"),
        (GOOD + "mcp: [{name: a, command: x, env: ['KEY=secret']}]\n", r"names of variables.*'KEY'"),
        (GOOD + "mcp: [{name: a, url: 'ftp://x'}]\n", r"begins with http"),
        (
            GOOD + "mcp: [{name: a, command: x, tools: [b], says: {c: Wait.}}]\n",
            r"'c' is not among its tools",
        ),
        (GOOD + "mcp: [{name: a, command: x, confirm: {b: Sure}}]\n", r"'b' has a confirm but is no side"),
        (GOOD + "mcp: [{name: a, comand: x}]\n", r"unknown key 'comand'; did you mean 'command'"),
        (
            HEAD + "answers:\n  - {id: a, ask: [x], do: register, slots: {born: {ask: B}}}\n",
            r"confirms with",
        ),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_agent(write(tmp_path, text, TOOLS))
    assert re.search(said, str(error.value)), str(error.value)
    assert "secret" not in str(error.value)


def test_a_good_file_loads_and_answers_take_the_tool_s_confirmation(tmp_path: Path) -> None:
    answer = (
        "answers:\n  - id: a\n    ask: [x]\n    do: register\n"
        "    slots: {name: {ask: N}, born: {ask: B}}\n    say: '{result}'\n"
    )
    agent = load_agent(write(tmp_path, HEAD + FORM + answer, TOOLS))
    assert agent.forms[0].slots["card"].optional
    assert agent.answers[0].confirm == "Register {name}?"


def test_a_tool_undoes_only_what_is_there(tmp_path: Path) -> None:
    tools = TOOLS.replace('confirm="Register {name}?"', 'undoes="regster"')
    with pytest.raises(ConfigError, match="undoes 'regster', which is no tool"):
        load_agent(write(tmp_path, HEAD, tools))


def test_a_tool_named_look_and_vision_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(
        'from repartee import tool\n\n@tool\ndef look() -> str:\n    """Look."""\n    return "x"\n'
    )
    load_agent(write(tmp_path, HEAD))
    with pytest.raises(
        ConfigError, match="with vision there is a tool 'look' already; give yours another name"
    ):
        load_agent(write(tmp_path, HEAD + "vision: {enabled: true}\n"))
