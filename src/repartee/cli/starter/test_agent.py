"""What must stay true of this agent. Run with `pytest`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from repartee import ToolContext, ToolError
from repartee.agent import load_agent

HERE = Path(__file__).parent


def context(folder: Path) -> ToolContext:
    return ToolContext("a-call", "a-caller", folder)


def test_the_file_is_sound() -> None:
    agent = load_agent(HERE / "agent.yaml")
    assert [tool.name for tool in agent.tools] == ["take_message"]
    assert {answer.id for answer in agent.answers} == {"hours", "where"}


def test_a_message_is_kept(tmp_path: Path) -> None:
    take_message = load_agent(HERE / "agent.yaml").tools[0]
    assert take_message.side_effect, "never for a reply that may be thrown away"
    assert take_message.function(context(tmp_path), name="Ann", about="the roof") == "noted"
    kept = json.loads((tmp_path / "messages.jsonl").read_text(encoding="utf-8"))
    assert (kept["from"], kept["about"]) == ("Ann", "the roof")


def test_a_full_box_is_said(tmp_path: Path) -> None:
    (tmp_path / "messages.jsonl").write_text("{}\n" * 200, encoding="utf-8")
    with pytest.raises(ToolError, match="full"):
        load_agent(HERE / "agent.yaml").tools[0].function(context(tmp_path), name="Ann", about="the roof")
