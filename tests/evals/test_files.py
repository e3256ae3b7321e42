"""Scenario files: which are read, and what is said of those that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from pipecat.evals.script import EvalScriptScenario
from pipecat.evals.simulation import EvalSimulationScenario

from repartee.errors import ConfigError
from repartee.evals.files import load_files

SCRIPT = """
name: desk
scenarios:
  - name: hours
    turns:
      - user: When are you open?
        expect:
          - {event: response, text_contains: nine}
  - name: curious
    persona: A traveller.
    goal: Learn the hours.
    success: the hours were told
"""
LIVEKIT = """
name: desk
scenarios:
  - label: hours
    instructions: Ask when they are open.
    agent_expectations: The agent says nine to five.
    tags: {topic: hours}
    userdata: {vip: true}
"""


def written(tmp_path: Path, text: str, name: str = "desk.yaml") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_scripts_and_simulations_of_pipecat(tmp_path: Path) -> None:
    hours, curious = load_files([written(tmp_path, SCRIPT)])
    assert isinstance(hours.scenario, EvalScriptScenario)
    assert (hours.name, hours.simulated, hours.judged) == ("desk/hours", False, False)
    assert isinstance(curious.scenario, EvalSimulationScenario)
    assert (curious.name, curious.simulated, curious.judged) == ("desk/curious", True, True)


def test_livekit_s_scenarios_are_simulations(tmp_path: Path) -> None:
    (hours,) = load_files([written(tmp_path, LIVEKIT, "scenarios.yaml")])
    assert isinstance(hours.scenario, EvalSimulationScenario)
    assert hours.name == "desk/hours"
    assert hours.scenario.goal == "Ask when they are open."
    assert hours.scenario.success == "The agent says nine to five."
    assert hours.tags == {"topic": "hours"}


def test_a_folder_is_read_whole_but_for_what_its_files_include(tmp_path: Path) -> None:
    written(tmp_path, "eval: {service: ollama, model: gemma3}\n", "judge.yaml")
    (tmp_path / "more").mkdir()
    judged = SCRIPT.replace("name: desk\n", "name: more\njudge: !include ../judge.yaml\n", 1)
    written(tmp_path / "more", judged, "a.yml")
    written(tmp_path, SCRIPT)
    loaded = load_files([tmp_path])
    assert [one.name for one in loaded] == ["desk/hours", "desk/curious", "more/hours", "more/curious"]
    assert loaded[2].scenario.judge == {"service": "ollama", "model": "gemma3"}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("      - user: When", "      - usr: When", "6: unknown key 'usr'; did you mean 'user'?"),
        ("text_contains", "text_contain", "8: unknown key 'text_contain'; did you mean 'text_contains'?"),
        ("event: response", "event: respond", "8: there is no event 'respond'; did you mean 'response'?"),
        ("    turns:", "    turn:", "5: unknown key 'turn'; did you mean 'turns'?"),
        ("success: the hours", "succes: the hours", "12: unknown key 'succes'; did you mean 'success'?"),
        ("user: When are you open?", "user: yes", "6: turn #0 'user:' must be a string"),
        ("event: response", "absent: true, event: response", "8: turn #0 expectation #0 'absent: true'"),
        ("name: desk", "nam: desk", "2: unknown key 'nam'; did you mean 'name'?"),
        ("  - name: curious", "  - name: [curious", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, before: str, after: str, said: str) -> None:
    file = written(tmp_path, SCRIPT.replace(before, after, 1))
    with pytest.raises(ConfigError) as error:
        load_files([file])
    assert said in str(error.value)
    assert str(error.value).startswith(f"{file}:")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", ":1: a scenario file is a mapping"),
        (LIVEKIT.replace("instructions: Ask", "instruction: Ask"), ":5: unknown key 'instruction'"),
        (
            LIVEKIT.replace("agent_expectations: The", "x-note: The"),
            ":4: this scenario needs 'agent_expectations'",
        ),
        (LIVEKIT.replace("{topic: hours}", "hours"), ":4: 'tags' is a mapping"),
        (
            SCRIPT.replace("success: the hours were told", "judge: !include gone.yaml\n    success: x"),
            "gone.yaml",
        ),
    ],
)
def test_other_mistakes(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_files([written(tmp_path, text)])
    assert said in str(error.value)


def test_a_missing_file_has_a_near_one(tmp_path: Path) -> None:
    written(tmp_path, SCRIPT)
    with pytest.raises(ConfigError, match=r"there is no such file; did you mean 'desk.yaml'\?"):
        load_files([tmp_path / "dsk.yaml"])


def test_a_folder_without_scenarios_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no scenario file in this folder"):
        load_files([tmp_path])


def test_two_files_of_one_name_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"'desk/hours' is in .*a.yaml as well; give the file another 'name'"
    ):
        load_files([written(tmp_path, SCRIPT, "a.yaml"), written(tmp_path, SCRIPT, "b.yaml")])
