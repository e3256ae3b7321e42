"""`repartee init`: an agent of one's own that answers, acts and is tested, to begin from."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from rich.markup import escape

from repartee.agent import agent_json_schema, load_agent
from repartee.errors import ConfigError

STARTER = {
    "agent.yaml": "agent.yaml",
    "tools.py": "tools.py",
    "test_agent.py": "test_agent.py",
    "pytest.ini": "pytest.ini",
    "conversations.yaml": "tests/conversations.yaml",
    "env.example": ".env.example",
    "gitignore": ".gitignore",
}
MAX_NAME = 64


def init(folder: Path, name: str | None) -> list[str]:
    """Write the files of a new agent; nothing that is there is touched.

    Args:
        folder: Where; made when it is missing.
        name: What callers see; the folder's name when None.

    Returns:
        What to tell the operator.

    Raises:
        ConfigError: The folder has something in it, cannot be written to, or the name cannot be used.
    """
    shown = name or folder.resolve().name.replace("-", " ").replace("_", " ").title()
    if not shown.strip() or len(shown) > MAX_NAME or any(c in shown for c in "\n\r"):
        raise ConfigError(f"the name is 1 to {MAX_NAME} characters on one line; give it with --name")
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} has something in it; choose a folder that is not there yet")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, target in STARTER.items():
            text = files("repartee.cli").joinpath("starter", source).read_text(encoding="utf-8")
            (folder / target).parent.mkdir(exist_ok=True)
            (folder / target).write_text(text.replace("__NAME__", json.dumps(shown)), encoding="utf-8")
        schema = json.dumps(agent_json_schema(), indent=2) + "\n"
        (folder / "agent.schema.json").write_text(schema, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written to ({error.strerror}); choose another folder"
        ) from error
    agent = load_agent(folder / "agent.yaml")
    file = folder / "agent.yaml"
    steps = {
        f"repartee up --agent {file}": "talk to it",
        f"repartee eval --agent {file}": f"hold the conversations in {folder / 'tests'}",
        f"pytest {folder}": "test its tool",
        f"repartee check {file}": "after each change",
    }
    width = max(map(len, steps))
    shown_steps = [f"  {escape(step):{width}}   [dim]{escape(why)}[/dim]" for step, why in steps.items()]
    there = "agent.yaml, tools.py and tests for both"
    return [f"{escape(agent.name)} is in [bold]{escape(str(folder))}[/bold]: {there}", "", *shown_steps]
