"""A new agent works as it is written, and nothing that is there is touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from repartee.agent import load_agent
from repartee.cli.init import init
from repartee.cli.instance import clean_environment
from repartee.errors import ConfigError


def test_its_own_tests_pass(tmp_path: Path) -> None:
    folder = tmp_path / "roof-repair"
    init(folder, None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
    assert "arning" not in done.stdout, "the first thing one sees of one's agent"


@pytest.mark.models
def test_its_conversations_go_well_without_a_key_until_it_says_something_else(tmp_path: Path) -> None:
    folder = tmp_path / "roof-repair"
    init(folder, None)

    def evaluate(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "repartee.cli",
                "eval",
                "--agent",
                "agent.yaml",
                "--timeout",
                "1",
                *arguments,
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=clean_environment() | {"LLM_BASE_URL": "http://127.0.0.1:9/v1"},
        )
        return done.returncode, done.stdout + done.stderr

    code, said = evaluate("--junit", "eval.xml", "--html", "out/eval.html", "--write", "eval.json")
    assert (code, "2 scenarios: 2 passed" in said) == (0, True), said
    assert 'name="tests/conversations.yaml"' in (folder / "eval.xml").read_text(encoding="utf-8")
    assert (folder / "out" / "eval.html").is_file()
    agent = folder / "agent.yaml"
    agent.write_text(
        agent.read_text(encoding="utf-8").replace("nine to five", "ten to four"), encoding="utf-8"
    )
    code, said = evaluate("--baseline", "eval.json", "--only", "hours")
    assert code == 1
    assert "worse desk/opening hours turn 2: response with 'nine to five'" in said
    assert "against the baseline: 1 worse" in said
    assert "gone" not in said, "the other one was not asked for"


@pytest.mark.parametrize("name", ["Roof Repair", 'Ann\'s "Roofs": cheap & {good}', "Dächer # 1"])
def test_a_name_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    init(tmp_path / "agent", name)
    agent = load_agent(tmp_path / "agent" / "agent.yaml")
    assert agent.name == name


def test_the_folders_name_is_the_agents(tmp_path: Path) -> None:
    init(tmp_path / "roof_repair", None)
    assert load_agent(tmp_path / "roof_repair" / "agent.yaml").name == "Roof Repair"


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="has something in it; choose a folder that is not there yet"):
        init(tmp_path, "X")
    assert [file.name for file in tmp_path.iterdir()] == ["agent.yaml"]
    assert (tmp_path / "agent.yaml").read_text() == "mine"


@pytest.mark.parametrize("name", [" ", "x" * 65, "two\nlines"])
def test_a_name_that_is_none_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="give it with --name"):
        init(tmp_path / "agent", name)
    assert not (tmp_path / "agent").exists()


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="choose another folder"):
        init(tmp_path / "file" / "agent", "X")
