"""docs/costs.md: the same conversation with nothing and with everything saved."""

from __future__ import annotations

from pages.results import NAMES, PLAIN, SAVING, Figures, of
from repartee.simulator.report import shown_value


@of("conversation-savings")
def figures(run: Figures) -> str:
    """Return what the same conversation costs with nothing and with everything saved."""
    plain, saving = (run["figures"][system]["conversation"] for system in (PLAIN, SAVING))
    ungated = spent(run, PLAIN, gated=False)
    lines = (
        f"| {NAMES[PLAIN]}, and silence sent as well: reckoned | {per_minute(run, PLAIN, ungated)} | | |\n"
    )
    for system in (PLAIN, SAVING):
        mine = run["figures"][system]["conversation"]
        right = sum(bool(row.get("right")) for row in run["rows"] if row["system"] == system)
        told = f"{shown_value(mine['latency_ms'])} | {right} of {mine['turns']}"
        lines += f"| {NAMES[system]} | {per_minute(run, system, spent(run, system))} | {told} |\n"
    return f"""
The same {plain["turns"]} turns over WebRTC, simulated vendors (profile *{run["options"]["profile"]}*), {run["machine"]}. The agent has no answers of its
own; it learns, in this one call. {changed(plain["usd"], saving["usd"])}, and {changed(sum(ungated.values()), saving["usd"])} than without the voice gate too; answers judged
equal in {judged_equal(run)} of {plain["turns"]} turns.

| | USD a minute | of it hearing | model | voice | first sound, ms, median / 95 % | answers right |
|---|---|---|---|---|---|---|
{lines}
`{run["command"]}`
"""


def spent(run: Figures, system: str, *, gated: bool = True) -> dict[str, float]:
    """Return USD of a system's calls by stage; not `gated`, with all audio of the calls sent to speech-to-text."""
    calls = [call for call in run["calls"] if call["system"] == system]
    found = {stage: sum(call[f"usd_{stage}"] for call in calls) for stage in ("stt", "llm", "tts")}
    if not gated:
        found["stt"] *= sum(call["call_s"] for call in calls) / sum(call["audio_sent_s"] for call in calls)
    return found


def per_minute(run: Figures, system: str, amounts: dict[str, float]) -> str:
    """Return the cells of a cost and its parts, by the minute of the system's calls."""
    minutes = sum(call["call_s"] for call in run["calls"] if call["system"] == system) / 60
    return " | ".join(f"{amount / minutes:.5f}" for amount in (sum(amounts.values()), *amounts.values()))


def changed(before: float, after: float) -> str:
    """Return by how much a cost has changed, in words."""
    share = 1 - after / before
    return f"{share:.0%} cheaper" if share >= 0 else f"{-share:.0%} dearer"


def judged_equal(run: Figures) -> int:
    """Return in how many turns both sides gave the answer that belongs to the words, and no other."""
    sides = [
        [row for row in run["rows"] if row["system"] == system and row["kind"] == "turn"]
        for system in (PLAIN, SAVING)
    ]
    both = zip(*sides, strict=True)
    return sum(bool(one.get("right") and other.get("right")) for one, other in both)
