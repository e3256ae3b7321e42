"""Agent files: the good one loads, and every mistake is told with file, line and the nearest name."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from repartee.agent import ToolContext, agent_json_schema, load_agent
from repartee.errors import ConfigError, ToolError
from tests.conftest import FRONT_DESK, ROOT

GOOD = "name: A\npersona: You are A.\ngreeting: Hello.\n"


def write(folder: Path, text: str, tools: str | None = None) -> Path:
    if tools is not None:
        (folder / "tools.py").write_text(tools)
    file = folder / "a.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "persna: x\n", r":4: unknown key 'persna'; did you mean 'persona'\?"),
        (GOOD + "voice:\n  opnai: x\n", r":5: unknown key 'opnai'; did you mean 'openai'\?"),
        ("name: A\npersona: x\n", r"'greeting' is missing"),
        (GOOD + "limits:\n  max_call_s: soon\n", r":5: 'limits.max_call_s': .* \(got str 'soon'\)"),
        (GOOD + "models:\n  llm: opnai:gpt\n", r":5: unknown provider 'opnai'; did you mean 'openai'\?"),
        (GOOD + "models:\n  llm: gpt\n", r":5: 'gpt' is not of the form provider:model"),
        (GOOD + "name: B\n", r":4: key 'name' is given twice"),
        (GOOD + "answers: [\n", r":\d: not valid YAML"),
        (GOOD + "memory:\n  turn: 3\n", r":5: unknown key 'turn'; did you mean 'turns'\?"),
        (
            GOOD + "memory:\n  summary: extractiv\n",
            r":5: 'extractiv' is neither.*; did you mean 'extractive'\?",
        ),
        (
            GOOD + "memory:\n  summary: opnai:x\n",
            r":5: notes cannot be written by 'opnai'; did you mean 'openai'",
        ),
        (GOOD + "memory:\n  enabled: no\n  between_calls: yes\n", r":4: between_calls needs the memory"),
        (GOOD + "memory:\n  tokens: 10\n", r":5: 'memory.tokens': .* \(got int 10\)"),
        ("- a\n", r":1: an agent file is a mapping"),
        (GOOD + "tools: tols.py\n", r":4: there is no tools file 'tols.py'"),
        (GOOD + "tools: ../x.py\n", r":4: tools '../x.py' must be beside the agent file"),
        (GOOD + "answers:\n  - id: a\n    ask: [x]\n", r":5: answer 'a' needs 'say' \(a text\) or 'do'"),
        (GOOD + "answers:\n  - id: a\n    ask: [x]\n    say: '{naem}'\n", r":5: .*uses \{naem\}"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load_agent(file)
    assert re.search(re.escape(str(file)) + ".*" + said, str(error.value)), str(error.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_agent(write(tmp_path, GOOD + "persna: x\nlimits:\n  max_call_s: 1\n"))
    assert len(str(error.value).splitlines()) == 2


TOOLS = '''
from repartee import tool

@tool
def look_up(name: str) -> str:
    """Look up.

    Args:
        name: Whom.
    """
    return name
'''
ANSWER = (
    GOOD
    + "tools: tools.py\nanswers:\n  - id: a\n    ask: [x]\n    do: {do}\n    slots:\n      {slot}: {{ask: 'Who?'}}\n"
)


@pytest.mark.parametrize(
    ("tools", "do", "slot", "said"),
    [
        (TOOLS, "lookup", "name", r"a.yaml:8: there is no tool 'lookup'; did you mean 'look_up'\?"),
        (TOOLS, "look_up", "nam", r"a.yaml:10: tool 'look_up' has no parameter 'nam'; did you mean 'name'\?"),
        (
            TOOLS.replace("name: str", "name"),
            "look_up",
            "name",
            r"tools.py:\d+: parameter 'name'.* needs a type",
        ),
        (
            TOOLS.replace("return name", "return ("),
            "look_up",
            "name",
            r"tools.py:\d+: tools cannot be loaded",
        ),
    ],
)
def test_a_mistake_about_tools_is_told(tmp_path: Path, tools: str, do: str, slot: str, said: str) -> None:
    file = write(tmp_path, ANSWER.format(do=do, slot=slot), tools)
    with pytest.raises(ConfigError, match=said):
        load_agent(file)


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(ConfigError, match=r"there is no such agent file; did you mean 'a.yaml'\?"):
        load_agent(tmp_path / "aa.yaml")


def test_a_missing_folder_names_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"there is no such agent file; .*'?a\.yaml"):
        load_agent(Path("agents/front-desk.yaml"))


def test_a_folder_names_the_file_in_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder; .* `repartee init FOLDER` makes one"):
        load_agent(tmp_path)
    file = write(tmp_path, GOOD)
    with pytest.raises(ConfigError, match=f"is a folder; name the agent file in it, as {file}"):
        load_agent(tmp_path)


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="it is no text in UTF-8"):
        load_agent(tmp_path / "a.yaml")


def test_the_version_changes_with_file_and_tools(tmp_path: Path) -> None:
    versions = {load_agent(write(tmp_path, GOOD)).version}
    versions.add(load_agent(write(tmp_path, GOOD + "tools: tools.py\n", TOOLS)).version)
    versions.add(load_agent(write(tmp_path, GOOD + "tools: tools.py\n", TOOLS + "\n# more\n")).version)
    assert len(versions) == 3


def test_the_published_schema_is_the_code_s() -> None:
    published = json.loads((ROOT / "agents" / "agent.schema.json").read_text())
    assert published == agent_json_schema()


class TestFrontDesk:
    """The example agent's calendar."""

    def setup_method(self) -> None:
        self.agent = load_agent(FRONT_DESK)
        self.tools = {tool.name: tool for tool in self.agent.tools}
        ahead = datetime.now() + timedelta(days=1)  # noqa: DTZ005 - as the desk's own clock
        while ahead.weekday() >= 5:
            ahead += timedelta(days=1)
        self.day = ahead.date()

    async def test_a_slot_is_booked_found_taken_and_cancelled(self, tmp_path: Path) -> None:
        ctx = ToolContext("call", None, tmp_path)
        booking = {"name": "Jennifer Smith", "day": self.day.isoformat(), "at": "10:00"}
        assert "10 in the morning" in await self.tools["free_slots"].call(
            {"day": self.day.isoformat(), "around": "10:00"}, ctx
        )
        first = await self.tools["book_appointment"].call(booking, ctx)
        assert first == await self.tools["book_appointment"].call(booking, ctx), "saying it twice books once"
        with pytest.raises(ToolError, match=r"is taken\. I could offer"):
            await self.tools["book_appointment"].call({**booking, "name": "Bob Hill"}, ctx)
        assert "10 in the morning" in await self.tools["find_appointment"].call(
            {"name": "jennifer smith"}, ctx
        )
        assert "cancelled" in await self.tools["cancel_appointment"].call({"name": "Jennifer Smith"}, ctx)
        assert "can't find" in await self.tools["find_appointment"].call({"name": "Jennifer Smith"}, ctx)

    async def test_an_appointment_is_moved_to_a_free_slot(self, tmp_path: Path) -> None:
        ctx = ToolContext("call", None, tmp_path)
        day = self.day.isoformat()
        for name, at in (("Ann Hill", "10:00"), ("Bob Hill", "10:20")):
            await self.tools["book_appointment"].call({"name": name, "day": day, "at": at}, ctx)
        move = self.tools["move_appointment"]
        with pytest.raises(ToolError, match="is taken"):
            await move.call({"name": "Ann Hill", "day": day, "at": "10:20"}, ctx)
        assert "11 in the morning" in await move.call({"name": "Ann Hill", "day": day, "at": "11:00"}, ctx)
        assert "11 in the morning" in await self.tools["find_appointment"].call({"name": "Ann Hill"}, ctx)
        with pytest.raises(ToolError, match="can't find"):
            await move.call({"name": "Nobody", "day": day, "at": "12:00"}, ctx)

    @pytest.mark.parametrize("at", ["07:00", "18:00", "10:05"])
    async def test_a_time_that_is_none_is_refused(self, tmp_path: Path, at: str) -> None:
        booking = {"name": "Ann", "day": self.day.isoformat(), "at": at}
        with pytest.raises(ToolError):
            await self.tools["book_appointment"].call(booking, ToolContext("call", None, tmp_path))

    async def test_wrong_arguments_are_explained_to_the_model(self, tmp_path: Path) -> None:
        with pytest.raises(ToolError, match=r"wrong arguments: day"):
            await self.tools["free_slots"].call({"day": "soon"}, ToolContext("call", None, tmp_path))
