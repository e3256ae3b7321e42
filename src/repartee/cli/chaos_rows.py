"""What came of the chaos suite's cases: printed, and kept in a file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

Row = dict[str, Any]


def show(row: Row, out: Console) -> None:
    """Print what came of a case."""
    colour = {"held": "green", "expected": "yellow", "unplayed": "yellow", "broken": "red"}[row["verdict"]]
    added, back = (_seconds(row[name]) for name in ("added_silence_s", "recovery_s"))
    out.print(
        f"[{colour}]{row['verdict']:8}[/{colour}] {row['system']:10} {row['case']:20} {row['seen']}; "
        f"added {added}, back after {back}, lost {row['lost']}, twice {row['said_twice']}"
        f"{', the part that was cut again' if row['cut_said_again'] else ''}",
        soft_wrap=True,
        highlight=False,
    )
    for sentence in row["broken"]:
        out.print(f"         [dim]{sentence}[/dim]", soft_wrap=True, highlight=False)
    if row["expected"]:
        note = "to be expected" if row["broken"] else "kept after all: delete the case's `expected`"
        out.print(f"         [dim]{note}: {row['expected']}[/dim]", soft_wrap=True, highlight=False)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def write_rows(path: Path, rows: list[Row], profile: str, models: Mapping[str, Any]) -> None:
    """Write rows over those of the same system and case; others stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    merged = {(row["system"], row["case"]): row for row in [*before, *rows]}
    report = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "repartee chaos",
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "profile": profile,
        "models": dict(models),
        "rows": list(merged.values()),
    }
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
