"""README.md: the server beside its peers, alone, with many calls, and with its savings on."""

from __future__ import annotations

from pages.results import MANY, NAMES, PLAIN, SAVING, Figures, load, of
from repartee.simulator.report import shown_value


def figures() -> str:
    """Return the README's figures."""
    peers, stops, fast = load("peers-fixed-300-350-250"), load("peers-interruption"), load("fast")
    mine = fast["figures"]["repartee"]["latency"]
    stt, llm, tts = peers["options"]["profile"].removeprefix("fixed:").split("/")
    return f"""
With fast vendors (profile *fast*: transcript in 47 ms, first token in 350 ms, first audio in 188 ms, in the median) the
agent is heard **{mine["latency_ms"]["p50"]:.0f} ms** after the caller's last sound in the median, {mine["latency_ms"]["p95"]:.0f} ms at the 95th percentile, over WebRTC.

Against its peers, in one run, with simulated vendors that take {stt} ms to transcribe, {llm} ms to the first token and {tts} ms to the
first audio; median / 95th percentile:

{table(peers, stops)}
`make bench-peers`, {peers["machine"]}. [How it is measured](docs/measuring.md), [what it does and how to tune
it](docs/tuning-turn-taking.md); every turn is in [benchmarks/results](benchmarks/results).
{density_line()}{savings_line()}"""


@of("load-steady")
def density_line(run: Figures) -> str:
    """Return what the systems are like with many calls at once on one machine."""
    told = "; ".join(
        f"{NAMES[step['system']]} {step['latency_ms']['p50']:.0f} / {step['latency_ms']['p95']:.0f} ms, "
        f"{step['cpu_cores']['agent']:.2f} cores, {step['memory_mb']['agent']:,} MB"
        + (f", {step['calls'] - step['held']} callers not answered" if step["held"] < step["calls"] else "")
        for step in run["steps"]
        if step["calls"] == MANY
    )
    return f"""
With {MANY} calls at once on {run["machine"].split(",")[0]} that also carry LiveKit, the vendors and the callers: {told} ([many calls on one
machine](docs/density.md)).
"""


@of("conversation-savings")
def savings_line(run: Figures) -> str:
    """Return one line on what is saved, nothing where nothing was."""
    plain, saving = (run["figures"][system]["conversation"] for system in (PLAIN, SAVING))
    if saving["usd"] >= plain["usd"]:
        return ""
    return f"""
With its savings on, a call of {plain["turns"]} turns costs **{1 - saving["usd"] / plain["usd"]:.0%} less** than without, and is answered after
{saving["latency_ms"]["p50"]:.0f} ms instead of {plain["latency_ms"]["p50"]:.0f} ms in the median ([costs](docs/costs.md#what-is-saved)).
"""


def table(peers: Figures, stops: Figures) -> str:
    """Return the table of all systems."""
    columns = (
        ("first sound, ms", peers, "latency", "latency_ms"),
        ("first content, ms", peers, "latency", "content_ms"),
        ("cuts into pauses", peers, "pauses", "cut_in_turns"),
        ("sound after pauses, ms", peers, "pauses", "latency_ms"),
        ("interrupted: silent, ms", stops, "barge-in", "silent_ms"),
        ('stopped for good by a "mm-hm"', stops, "backchannel", "stopped_for_good"),
    )
    head = "| | " + " | ".join(title for title, *_ in columns) + " |\n|---|" + "---|" * len(columns) + "\n"
    lines = ""
    for system in peers["figures"]:
        cells = [
            shown_value(source["figures"].get(system, {}).get(suite, {}).get(key))
            for _, source, suite, key in columns
        ]
        lines += f"| {NAMES.get(system, system)} | {' | '.join(cells)} |\n"
    return head + lines
