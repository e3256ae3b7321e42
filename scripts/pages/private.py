"""docs/private.md: where the time of a private call goes."""

from __future__ import annotations

from pages.results import Figures, of


@of("private", otherwise="\nNot measured yet: `python scripts/private.py`.\n")
def figures(run: Figures) -> str:
    """Return where the time of a private call goes."""
    took = ", ".join(f"{size} {ms:.0f} ms" for size, ms in run["whisper"].get("took_ms", {}).items())
    rows = "".join(f"| {owner} | {ms} |\n" for owner, ms in run["mean_parts_ms"].items())
    return f"""
On {run["cpus"]} CPUs with everything on them, caller included (`{run["command"]}`): {run["answered"]} of
{run["asked"]} questions answered, {run["p50_ms"]} ms from the caller's last sound to the agent's first (median; 95 %:
{run["p95_ms"]} ms). Whisper takes, for three seconds of speech alone on the machine: {took}. The mean wait, by who took it:

| part | ms |
|---|---|
{rows}"""
