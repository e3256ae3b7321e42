"""The section `telephony`: what it may say, and what is told where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from repartee.agent import Agent, ToolContext, load_agent
from repartee.agent.telephony import Telephony, is_telephone_tool
from repartee.errors import ConfigError, ToolError

BASE = "name: Desk\npersona: You are short.\ngreeting: Hello.\n"
WHOLE = """\
telephony:
  keys: {1: I want to book., "0": "I want to talk to a person.", "#": "Say that again."}
  hang_up: true
  send_keys: true
  transfer:
    reception: {to: "tel:+15551230000", when: billing}
    nurse: {to: "sip:nurse@pbx.example"}
"""


def load(tmp_path: Path, more: str, tools: str = "") -> Agent:
    if tools:
        (tmp_path / "tools.py").write_text(tools)
    (tmp_path / "agent.yaml").write_text(BASE + more)
    return load_agent(tmp_path / "agent.yaml")


def test_it_is_off_by_default(tmp_path: Path) -> None:
    agent = load(tmp_path, "")
    assert agent.telephony == Telephony()
    assert agent.tools == ()
    assert not agent.telephony.keep_number


def test_it_brings_its_tools(tmp_path: Path) -> None:
    agent = load(tmp_path, WHOLE)
    tools = {tool.name: tool for tool in agent.tools}
    assert set(tools) == {"hang_up", "transfer_call", "send_keys"}
    assert all(is_telephone_tool(tool) and tool.side_effect for tool in tools.values())
    to = tools["transfer_call"].parameters["properties"]["to"]
    assert to["enum"] == ["reception", "nurse"]
    assert "billing" in to["description"]
    assert "15551230000" not in str([tool.parameters for tool in agent.tools]), (
        "a model need not know numbers"
    )
    assert agent.telephony.keys["1"] == "I want to book.", "YAML reads a bare 1 as a number"


async def test_outside_a_call_they_say_so(tmp_path: Path) -> None:
    (hang_up,) = load(tmp_path, "telephony: {hang_up: true}\n").tools
    with pytest.raises(ToolError, match="in a call only"):
        await hang_up.call({}, ToolContext("c", None, tmp_path))


def test_an_answer_may_hang_up(tmp_path: Path) -> None:
    bye = "answers:\n  - {id: bye, ask: [Goodbye.], do: hang_up, say: Goodbye!}\n"
    assert load(tmp_path, bye + "telephony: {hang_up: true}\n").answers[0].do == "hang_up"
    with pytest.raises(ConfigError, match="there is no tool 'hang_up'"):
        load(tmp_path, bye)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("telephony: {transfers: {}}", "did you mean 'transfer'"),
        ("telephony: {keys: {12: x}}", "telephony.keys"),
        ("telephony: {keys: {a: x}}", "telephony.keys"),
        ("telephony: {keys: [x]}", "telephony.keys"),
        ("telephony: {transfer: {desk: {to: '+1555'}}}", "telephony.transfer.desk.to"),
        ("telephony: {transfer: {desk: {to: 'https://x'}}}", "telephony.transfer.desk.to"),
        ("telephony: {transfer: {'The Desk': {to: 'tel:+15551230000'}}}", "telephony.transfer"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, section: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as told:
        load(tmp_path, section + "\n")
    assert "agent.yaml:4" in str(told.value)


def test_a_tool_of_the_same_name_is_a_mistake(tmp_path: Path) -> None:
    tools = "from repartee.agent import tool\n\n@tool\ndef hang_up() -> str:\n    'Mine.'\n    return ''\n"
    with pytest.raises(ConfigError, match="has a 'hang_up' of its own"):
        load(tmp_path, "tools: tools.py\ntelephony: {hang_up: true}\n", tools)
    (own,) = load(tmp_path, "tools: tools.py\n", tools).tools
    assert not is_telephone_tool(own)
