"""The documents: figures come from results, links lead somewhere, commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from repartee.cli import app
from tests.conftest import ROOT

DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_the_readme_s_figures_are_the_result_s() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "figures.py"), "--check"]
    assert subprocess.run(script, check=False).returncode == 0, "run `python scripts/figures.py`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (document.parent / t).exists()]
    assert missing == []


def test_every_command_in_the_documents_exists() -> None:
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    said = set()
    for document in DOCUMENTS:
        blocks = re.findall(r"```sh\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
        said |= {
            match for block in blocks for match in re.findall(r"^repartee ([\w-]+)", block, re.MULTILINE)
        }
    assert said
    assert said <= known
