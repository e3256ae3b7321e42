"""docs/call-page.md: how long the pages of calls take."""

from __future__ import annotations

from pages.results import load


def figures() -> str:
    """Return the figures of the page on the call page."""
    calls = load("calls")
    lines = "".join(
        f"| {name} | {took['p50_ms']} / {took['slowest_ms']} | {calls['postgresql'][name]['p50_ms']} "
        f"/ {calls['postgresql'][name]['slowest_ms']} |\n"
        for name, took in calls["sqlite"].items()
    )
    return f"""
With {calls["calls"]:,} calls of a month on {calls["cpus"]} CPUs (`{calls["command"]}`), over HTTP, median / slowest of ten, ms:

| | SQLite | PostgreSQL |
|---|---|---|
{lines}"""
