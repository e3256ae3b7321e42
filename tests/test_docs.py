"""The documents: what is there to be copied works, names exist, links lead somewhere, figures come from results."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import typer
import yaml

from repartee.agent import agent_json_schema
from repartee.agent.definition import AgentFile
from repartee.cli import app
from repartee.evals.files import load_files
from repartee.providers.prices import load_prices
from repartee.server.headers import WIDGET_PATH
from repartee.settings import Settings
from repartee.simulator.faults.plan import parse_plan
from repartee.simulator.providers.replies import Replies
from tests.conftest import ROOT
from tests.deploy.rendering import promtool, run_helm
from tests.documents import DOCUMENTS, Snippet, anchors, commands, name_of, prose, snippets, variables

OTHERS = {"docker", "kubectl", "helm", "pytest", "make", "python", "sqlite3"}
"""Programs in the documents that are not ours."""
OF_TESTS = {"REPARTEE_SPEECH", "REPARTEE_SNAPSHOTS", "REPARTEE_SCREENSHOTS"}
AGENT: dict[str, Any] = {"name": "Desk", "persona": "You are the desk.", "greeting": "Good day."}
LIVEKIT = {"port", "rtc", "turn"}
"""Keys of LiveKit's own configuration."""


def settings_variables() -> set[str]:
    known: set[str] = set()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        choices = getattr(alias, "choices", None) or ([alias] if alias else [name])
        known |= {str(choice).upper() for choice in choices}
    return known


class WrongCommandError(Exception):
    """What the program would say to a command."""


def parsed(words: Sequence[str], *, mentioned: bool = False) -> None:
    """Parse a command as the program would, down to the last option, and do nothing.

    Args:
        words: What follows `repartee`.
        mentioned: It is spoken of in a sentence, where what it needs may be left out.

    Raises:
        WrongCommandError: The program would not take it.
    """
    command = typer.main.get_command(app)
    _mute(command)
    said = io.StringIO()
    # Installing is done while options are parsed.
    given = ["--help" if word == "--install-completion" else word for word in words]
    with (
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(said),
        pytest.raises(SystemExit) as ended,
    ):
        command.main(given, prog_name="repartee")
    left_out = any(words in said.getvalue() for words in ("Missing argument", "requires an argument"))
    if ended.value.code and not (mentioned and left_out):
        raise WrongCommandError(said.getvalue())


def _mute(command: Any) -> None:
    command.callback = lambda **_: None
    for part in getattr(command, "commands", {}).values():
        _mute(part)


# --- what is copied -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("snippet", snippets("sh"), ids=str)
def test_commands_are_taken(snippet: Snippet) -> None:
    for program, *words in commands(snippet.text):
        if program == "repartee":
            parsed(words)
            continue
        assert program in OTHERS, f"what is {program}?"
        if program == "make":
            targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            assert {word for word in words if "=" not in word} <= set(targets)
        if program == "python":
            assert (ROOT / words[0]).is_file()
    unknown = {
        name for name in variables(snippet.text) if not name.startswith("REPARTEE_")
    } - settings_variables()
    assert unknown == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_commands_in_sentences_are_taken(document: Path) -> None:
    for said in re.findall(r"`(repartee [^`]+)`", prose(document)):
        for program, *words in commands(said.replace("\n", " ")):
            assert program == "repartee"
            parsed(words, mentioned=True)
    for script in re.findall(r"`python (scripts/\S+?\.py)[^`]*`", prose(document)):
        assert (ROOT / script).is_file()
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", prose(document))) <= targets


def test_a_command_that_is_wrong_is_found() -> None:
    for wrong in (
        ["cals"],
        ["calls", "purge", "--older-than", "7d"],
        ["check"],
        ["bench", "load", "--calls"],
    ):
        with pytest.raises(WrongCommandError):
            parsed(wrong)


@pytest.mark.parametrize("snippet", snippets("yaml"), ids=str)
def test_yaml_is_what_it_is_for(snippet: Snippet, tmp_path: Path) -> None:
    data = yaml.safe_load(snippet.text)
    if isinstance(data, list):
        file = tmp_path / "script.yaml"
        file.write_text(snippet.text, encoding="utf-8")
        Replies(file)
        return
    keys = set(data)
    if keys <= set(AgentFile.model_fields):
        whole = AGENT | data
        jsonschema.validate(whole, agent_json_schema())
        AgentFile.model_validate(whole)
    elif "providers" in keys:
        file = tmp_path / "prices.yaml"
        file.write_text(snippet.text, encoding="utf-8")
        assert load_prices(file).version.endswith(data["version"])
    elif "scenarios" in keys:
        file = tmp_path / "scenarios.yaml"
        file.write_text(snippet.text, encoding="utf-8")
        assert len(load_files([file])) == len(data["scenarios"])
    elif "faults" in keys:
        assert len(parse_plan(snippet.text).faults) == len(data["faults"])
    elif "scrape_configs" in keys:
        file = tmp_path / "prometheus.yml"
        file.write_text(snippet.text, encoding="utf-8")
        checked = promtool("check", "config", "--syntax-only", str(file))
        assert checked.returncode == 0, checked.stdout + checked.stderr
    else:
        assert keys <= LIVEKIT, f"whose file is this? {keys}"


@pytest.mark.parametrize("snippet", snippets("json"), ids=str)
def test_json_is_json(snippet: Snippet) -> None:
    json.loads(snippet.text)


@pytest.mark.parametrize("snippet", snippets("python"), ids=str)
def test_python_runs(snippet: Snippet, tmp_path: Path) -> None:
    file = tmp_path / "snippet.py"
    file.write_text(snippet.text, encoding="utf-8")
    ran = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("snippet", snippets("html"), ids=str)
def test_a_page_s_tags_are_what_the_widget_reads(snippet: Snippet) -> None:
    source = (ROOT / "web" / "src" / "embed" / "options.ts").read_text(encoding="utf-8")
    [known] = re.findall(r"const \{([^}]+)\} = script\.dataset", source)
    tags: list[tuple[str, dict[str, str | None]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attrs)))

    Tags().feed(snippet.text)
    assert tags
    for tag, attributes in tags:
        assert tag == "script"
        assert urlsplit(attributes.pop("src") or "").path == WIDGET_PATH
        attributes.pop("async", None)
        assert {name.removeprefix("data-") for name in attributes} <= set(known.replace(" ", "").split(","))


def test_every_block_says_what_it_is_of() -> None:
    known = snippets("sh", "yaml", "json", "python", "html", "")
    fences = sum(len(re.findall(r"^```", d.read_text(encoding="utf-8"), re.MULTILINE)) for d in DOCUMENTS)
    assert len(known) * 2 == fences, "a block in a language that no test looks at"


def test_the_chart_takes_what_is_set_in_the_documents() -> None:
    installed = [
        words
        for snippet in snippets("sh")
        for words in commands(snippet.text)
        if words[:2] == ["helm", "install"]
    ]
    assert installed
    for _, _, name, chart, *settings in installed:
        rendered = run_helm("template", name, str(ROOT / chart), "--kube-version", "1.34.0", *settings)
        assert rendered.returncode == 0, rendered.stderr


# --- names ----------------------------------------------------------------------------------------------------


def test_variables_exist_and_each_is_told_of() -> None:
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    said = set(re.findall(r"\bREPARTEE_[A-Z0-9_]*[A-Z0-9]\b", text))
    known = {name for name in settings_variables() if name.startswith("REPARTEE_")}
    assert said - OF_TESTS <= known, "nobody reads these"
    assert known <= said, "no document tells of these"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


def test_the_book_s_index_is_complete() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    chapters = {file.name for file in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert set(re.findall(r"^\d+\. \[[^\]]+\]\(([\w-]+\.md)\): \S", index, re.MULTILINE)) == chapters
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", index, re.MULTILINE)]
    assert numbers == list(range(1, len(chapters) + 1))


@pytest.mark.parametrize(
    ("script", "what"), [("figures", "the figures are the results'"), ("llms", "llms.txt is the index's")]
)
def test_what_is_generated_is_current(script: str, what: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0, f"{what}: run `python scripts/{script}.py`"
