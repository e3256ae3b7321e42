"""docs/degradation.md: of the ladder, those parts that were measured."""

from __future__ import annotations

from pages.results import Figures, of
from repartee.simulator.report import shown_value

LEVELS = ("0 normal", "1 lean", "2 small", "3 plain")

NOT_MEASURED = "\nNot measured yet: `python scripts/measure_ladder.py`.\n"


@of("ladder", otherwise=NOT_MEASURED)
def figures(ladder: Figures) -> str:
    """Return the figures of the page on degradation: of those parts that were measured."""
    parts = [
        part(ladder)
        for name, part in (("levels", _levels), ("closed", _closed), ("down", _down), ("filler", _filler))
        if name in ladder
    ]
    return "\n" + "\n".join(parts) if parts else NOT_MEASURED


def _levels(ladder: Figures) -> str:
    measured = {number: suites for number, suites in sorted(ladder["levels"].items()) if "latency" in suites}
    if not measured:
        return ""
    lines, shared = "", next(iter(measured.values()))["latency"]
    for number, suites in measured.items():
        mine, pauses = suites["latency"], suites.get("pauses", {})
        cut_into = shown_value(pauses["cut_in_turns"]) if pauses else "not measured"
        lines += (
            f"| {LEVELS[int(number)]} | {mine['cpu_per_call']:.2f} | {shown_value(mine['latency_ms'])} "
            f"| {shown_value(mine['content_ms'])} | {1000 * mine['usd'] / mine['turns']:.2f} | {mine['wasted']:.0%} "
            f"| {cut_into} |\n"
        )
    return f"""Calls over WebRTC, {shared["turns"]} turns a level, fixed vendors ({shared["profile"].removeprefix("fixed:")} ms), `routing.small` set, {ladder["machine"]};
`python scripts/measure_ladder.py`.

| level | processors per call | first sound, ms, median / 95 % | first content, ms | USD per 1000 turns | wasted | cut into, turns with pauses |
|---|---|---|---|---|---|---|
{lines}"""


def _closed(ladder: Figures) -> str:
    closed = ladder["closed"]
    return f"A full machine refuses in {closed['p50_ms']:.0f} ms (median of {closed['asked']}).\n"


def _down(ladder: Figures) -> str:
    down = ladder["down"]
    return f"""With no model provider left, the recording is heard {down["heard_after_s"]:.0f} s after the last one was found to be away, of which 8 s are waited
on purpose; the agent hangs up {down["hung_up_after_s"] - down["heard_after_s"]:.0f} s later, {down["callbacks_noted"]} call back is noted, and the next caller gets {down["next_caller"]}.
"""


def _filler(ladder: Figures) -> str:
    filler = ladder["filler"]
    return f"""With a model that takes {filler["profile"].split("/")[1]} ms to its first token, {filler["turns"]} turns: first word after {filler["filler_p50_ms"]:.0f} ms, the answer after {filler["answer_p50_ms"]:.0f} ms
in the median.
"""
