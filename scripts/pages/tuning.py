"""docs/tuning-turn-taking.md: how soon, how often too soon, and where the time goes."""

from __future__ import annotations

from pages.results import Figures, load, of
from repartee.simulator.report import Point, frontier_plot, shown_value, svg


def figures() -> str:
    """Return the figures of the page on turn-taking."""
    peers = load("peers-fixed-300-350-250")
    stops, fast, pieces, core = load("peers-interruption"), load("fast"), load("pieces"), load("core")
    mine = {**stops["figures"]["repartee"], **peers["figures"]["repartee"]}
    quick = fast["figures"]["repartee"]["latency"]
    steps = "".join(
        f"| {name} | {step['p50']:.0f} | {step['p95']:.0f} |\n" for name, step in peers["steps_ms"].items()
    )
    over = load("interruption")["figures"]["repartee"]["barge-in"]  # more of them than with the peers
    return f"""
![Median delay against cut-ins](images/frontier.svg)

Down and left is better. Fixed vendors ({peers["options"]["profile"].removeprefix("fixed:")} ms), {peers["machine"]}.

| commands | fast vendors (profile *fast*) | fixed vendors |
|---|---|---|
| first sound, ms, median / 95 % | {shown_value(quick["latency_ms"])} | {shown_value(mine["latency"]["latency_ms"])} |
| first content, ms | {shown_value(quick["content_ms"])} | {shown_value(mine["latency"]["content_ms"])} |
| cut into | {shown_value(quick["cut_in_turns"])} | {shown_value(mine["latency"]["cut_in_turns"])} |
| wasted cost | {quick["wasted"]:.0%} | {mine["latency"]["wasted"]:.0%} |

Turns with pauses: {shown_value(mine["pauses"]["cut_in_turns"])} cut into, {mine["pauses"]["wasted"]:.0%} of the cost wasted.

Interrupted, at the caller's ear from the onset of their voice: 20 dB down after {shown_value(over["lowered_ms"])} ms, silent after
{shown_value(over["silent_ms"])} ms (median / 95 %); the model was told what was heard, to a word, in
{shown_value(over["context_exact_to_a_word"])} of {over["interruptions"]} interruptions. A "mm-hm" stopped the agent for good in {shown_value(mine["backchannel"]["stopped_for_good"])}, a noise in {shown_value(mine["noise"]["stopped_for_good"])}.

Long turns in pieces: {pieces["word_error_by_piece"]:.1%} word error against {pieces["word_error_one_pass"]:.1%} in one pass ({pieces["words"]} words), with {pieces["seconds_left_at_the_end_by_piece"]:.1f} s
of audio left at the end instead of {pieces["seconds_left_at_the_end_one_pass"]:.1f} s. One decision of the core takes {core["microseconds_per_event"]:.0f} microseconds.

Where the time goes (fixed vendors):

| step | median ms | p95 ms |
|---|---|---|
{steps}"""


@of("sweep")
def drawing(run: Figures) -> str:
    """Return the frontier, as SVG: every system at several endpointing delays, of one run."""
    points = []
    for name, measured in run["figures"].items():
        system, _, knob = name.partition("@")
        setting = f"{knob} s" if knob else ("tuned" if system.endswith("-tuned") else "default")
        cut_ins = measured["pauses"]["cut_in_turns"]["share"]
        points.append(Point(system, setting, cut_ins, measured["latency"]["latency_ms"]["p50"]))
    return svg(frontier_plot(points))
