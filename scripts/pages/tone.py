"""docs/tone.md: how often a caller's tone is told rightly."""

from __future__ import annotations

from pages.results import Figures, of


@of("tone", otherwise="\nNot measured yet: `python scripts/tone.py`.\n")
def figures(run: Figures) -> str:
    """Return the figures of the page on tone."""
    lines = "".join(
        f"| {name} | {found['hurried']:.0%} | {found['upset']:.0%} | {found['calm']:.0%} | {found['unknown']:.0%} |\n"
        for name, found in run["found"].items()
    )
    return f"""
{run["sequences"]} made-up callers a line, of {run["recordings"]} recordings of {run["speakers"]} sources: {run["usual_turns"]} turns as they were recorded, then {run["changed_turns"]} that are
changed as the line says; what is told after the last (`{run["command"]}`).

| the last turns are | hurried | upset | calm | unknown |
|---|---|---|---|---|
{lines}"""
