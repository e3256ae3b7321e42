"""A command begins quickly: what is heavy is imported by the commands that need it."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"pipecat", "livekit", "fastapi", "sqlalchemy", "numpy", "openai", "loguru"}


def test_the_command_line_imports_nothing_heavy() -> None:
    code = "import sys, repartee.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "typer" in printed.stdout.split()
    assert not HEAVY & set(printed.stdout.split())
