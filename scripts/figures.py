"""Write the documents' figures from benchmarks/results, so that no number is typed by hand.

`python scripts/figures.py` rewrites what is between the markers; `--check` only says whether it would change.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from repartee.providers.prices import load_prices
from repartee.simulator.chaos.report import tables
from repartee.simulator.growth import (
    DATABASE_WRITES_PER_S,
    NODE_CORES,
    NODE_KBIT_PER_S,
    USED,
    PerCall,
    grown,
)
from repartee.simulator.load_report import latency_plot
from repartee.simulator.realtime_cost import ASSUMED, cascade_usd, realtime_usd
from repartee.simulator.report import Point, frontier_plot, scaler_plot, shown_value, svg

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
FRONTIER = ROOT / "docs" / "images" / "frontier.svg"
LOAD = ROOT / "docs" / "images" / "load.svg"
SCALER = ROOT / "docs" / "images" / "scaler.svg"
START, END = "<!-- figures -->\n", "<!-- /figures -->\n"
NAMES = {
    "repartee": "**repartee**",
    "pipecat": "Pipecat 1.14",
    "pipecat-tuned": "Pipecat 1.14, tuned",
    "livekit": "LiveKit Agents 1.8.9",
    "livekit-tuned": "LiveKit Agents 1.8.9, tuned",
    "repartee-plain": "nothing saved",
    "repartee-saving": "everything saved",
    "repartee-realtime": "one model that hears and speaks",
}
REALTIME = ("gpt-realtime", "gpt-realtime-mini")
PLAIN, SAVING = "repartee-plain", "repartee-saving"
MANY = 8
"""Calls at once that the README compares."""
Figures = dict[str, Any]


def main() -> int:
    """Rewrite or check; return the exit code."""
    changed = False
    for path, figures in (
        (ROOT / "docs" / "caching.md", caching()),
        (ROOT / "docs" / "costs.md", costs()),
        (ROOT / "docs" / "network.md", network()),
        (ROOT / "docs" / "call-page.md", call_page()),
        (ROOT / "README.md", readme()),
        (ROOT / "docs" / "operating.md", operating()),
        (ROOT / "docs" / "kubernetes.md", kubernetes()),
        (ROOT / "docs" / "scaling.md", scaling()),
        (ROOT / "docs" / "density.md", density()),
        (ROOT / "docs" / "tuning-turn-taking.md", tuning()),
        (ROOT / "docs" / "degradation.md", degradation()),
        (ROOT / "docs" / "reliability.md", tables(load("chaos"))),
        (ROOT / "docs" / "security.md", fuzzing()),
        (ROOT / "docs" / "private.md", private()),
        (ROOT / "docs" / "interop.md", interop()),
        (ROOT / "docs" / "voices.md", voices()),
        (ROOT / "docs" / "tone.md", tone()),
        (ROOT / "docs" / "teams.md", meetings()),
        (ROOT / "docs" / "realtime.md", realtime()),
    ):
        text = path.read_text(encoding="utf-8")
        head, _, rest = text.partition(START)
        _, _, tail = rest.partition(END)
        wanted = head + START + figures + END + tail
        changed |= text != wanted
        if "--check" not in sys.argv[1:]:
            path.write_text(wanted, encoding="utf-8")
    if "--check" in sys.argv[1:]:
        return int(changed)
    LOAD.write_text(svg(latency_plot(load("load-steady")["steps"])), encoding="utf-8")
    SCALER.write_text(svg(scaler_plot(load("scaler")["runs"])), encoding="utf-8")
    if (RESULTS / "sweep.json").is_file():
        FRONTIER.write_text(svg(frontier_plot(frontier())), encoding="utf-8")
    return 0


def interop() -> str:
    """Return the table of clients that were run against a server, and whether they worked."""
    if not (RESULTS / "interop.json").is_file():
        return "\nNothing has been run yet.\n\n"
    run = load("interop")
    lines = ""
    for row in run["rows"]:
        packages = ", ".join(f"{name} {version}" for name, version in row["packages"].items())
        result = "works" if row["worked"] else "**fails**"
        lines += f"| {row['client']} | {packages} | {'; '.join(row['shown'])} | {row['date']}: {result} |\n"
    return f"""
| client | packages | what was run | result |
|---|---|---|---|
{lines}
`{run["command"]}`. Not run: LiveKit's Swift, Android, Flutter, React Native, Unity and ESP32 SDKs, its Playground and
starters as a whole, `@pipecat-ai/client-react` and `voice-ui-kit`, phones.

"""


def meetings() -> str:
    """Return what was left of many meetings, nothing where they were not held yet."""
    if not (RESULTS / "meetings.json").is_file():
        return ""
    run = load("meetings")
    moments = {"before": 0, f"after {run['warm']}": run["warm"], f"after {run['meetings']}": run["meetings"]}
    names = ("tasks", "threads", "files", "sockets", "objects", "memory_mb")
    rows = "".join(
        f"| {name.replace('memory_mb', 'memory, MB')} | "
        + " | ".join(f"{run['left'][at][name]:,}" for at in moments.values())
        + " |\n"
        for name in names
    )
    return f"""
{run["meetings"]} meetings of the front desk with a patient, {run["turns"]} turns, simulated vendors, {run["machine"]}:

| | {" | ".join(moments)} |
|---|{"---|" * len(moments)}
{rows}
`{run["command"]}`

"""


def load(name: str) -> Figures:
    """Return a result."""
    return dict(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))


def load_conversation() -> Figures | None:
    """Return the conversation that was held with nothing and with everything saved, None where it was not yet."""
    if not (RESULTS / "conversation-savings.json").is_file():
        return None
    return load("conversation-savings")


def frontier() -> list[Point]:
    """Return the points of the frontier: every system at several endpointing delays, of one run."""
    points = []
    for name, figures in load("sweep")["figures"].items():
        system, _, knob = name.partition("@")
        setting = f"{knob} s" if knob else ("tuned" if system.endswith("-tuned") else "default")
        cut_ins = figures["pauses"]["cut_in_turns"]["share"]
        points.append(Point(system, setting, cut_ins, figures["latency"]["latency_ms"]["p50"]))
    return points


def readme() -> str:
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


def density_line() -> str:
    """Return what the systems are like with many calls at once on one machine."""
    run = load("load-steady")
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


def savings_line() -> str:
    """Return one line on what is saved, nothing where it was not measured."""
    run = load_conversation()
    if run is None:
        return ""
    plain, saving = (run["figures"][system]["conversation"] for system in (PLAIN, SAVING))
    if saving["usd"] >= plain["usd"]:
        return ""
    return f"""
With its savings on, a call of {plain["turns"]} turns costs **{1 - saving["usd"] / plain["usd"]:.0%} less** than without, and is answered after
{saving["latency_ms"]["p50"]:.0f} ms instead of {plain["latency_ms"]["p50"]:.0f} ms in the median ([costs](docs/costs.md#what-is-saved)).
"""


def costs() -> str:
    """Return the figures of the page on costs: the same conversation with nothing and with everything saved."""
    run = load_conversation()
    if run is None:
        return ""
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


def operating() -> str:
    """Return what a trace costs, and what logs and metrics do where that was measured."""
    took = load("tracing")["us_per_turn"]
    text = (
        f"The marks and spans of a turn take {took['on']:.0f} µs of the call's event loop, {took['off']:.0f} µs without a trace\n"
        "(`python scripts/measure.py tracing`).\n"
    )
    if not (RESULTS / "observing.json").is_file():
        return text
    seen = load("observing")
    parts = ", ".join(f"{us:.0f} µs for {what}" for what, us in seen["us"].items())
    return (
        f"{text}Of the processor, {parts};\na scrape takes {seen['scrape_ms']:.1f} ms of the worker and has "
        f"{seen['scrape_bytes'] / 1000:.0f} kB (`python scripts/measure.py observing`).\n"
    )


def kubernetes() -> str:
    """Return what the autoscaling does with calls."""
    lines = ""
    for run in load("scaler")["runs"]:
        scaling = run["scaling"]
        lines += (
            f"| {run['trace']} | {scaling['target_calls']} | {scaling['drain_s']} | {run['arrived']} | {max(run['calls'])} "
            f"| {run['refused']} | {run['cut']} | {run['most_pods']} | {run['pod_hours']:.1f} |\n"
        )
    return (
        "\n| | target calls | drain, s | calls | at once | found no place | cut by a drain | most pods | pod hours |\n"
        f"|---|---|---|---|---|---|---|---|---|\n{lines}\n`python scripts/measure.py scaler`\n"
    )


def scaling() -> str:
    """Return what many calls take, from what one took."""
    measured = load("per-call")
    one = PerCall.of(measured)
    fleets = [grown(one, calls) for calls in (100, 10_000, 1_000_000)]
    rows = (
        (f"worker nodes ({NODE_CORES} cores)", [f"{fleet.worker_nodes:,}" for fleet in fleets]),
        (f"LiveKit nodes ({NODE_CORES} cores)", [f"{fleet.media_nodes:,}" for fleet in fleets]),
        ("media, Gbit/s", [f"{fleet.gbit_per_s:,.2f}" for fleet in fleets]),
        ("media, packets/s", [f"{fleet.packets_per_s:,.0f}" for fleet in fleets]),
        ("database writes/s", [f"{fleet.writes_per_s:,.0f}" for fleet in fleets]),
        ("rows, GB a day", [f"{fleet.gb_per_day:,.1f}" for fleet in fleets]),
        ("vendor requests/s", [f"{fleet.requests_per_s:,.0f}" for fleet in fleets]),
        ("installations", [f"{fleet.cells:,}" for fleet in fleets]),
    )
    lines = "\n".join(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)
    return f"""
One call of {measured["turns"]} spoken turns in {measured["call_s"]:.0f} s took {one.worker_cores:.3f} cores of the worker and {one.media_cores:.3f} of LiveKit,
{one.packets_per_s:.0f} packets/s and {one.kbit_per_s:.0f} kbit/s through LiveKit, {one.requests_per_minute:.0f} vendor requests and {one.rows_per_minute:.0f} database rows
({one.row_bytes_per_minute / 1000:.0f} kB) a minute ({measured["machine"]}; `{measured["command"]}`).

| calls at once | 100 | 10,000 | 1,000,000 |
|---|---|---|---|
{lines}

Nodes are filled to {USED:.0%}. Assumed, not measured: a PostgreSQL that takes {DATABASE_WRITES_PER_S:,} single-row writes a second, a
network card of which {NODE_KBIT_PER_S / 1e6:.0f} Gbit/s may be used.
"""


def density() -> str:
    """Return what many calls on one machine are like, and what becomes of them when there are more or a process dies."""
    run = load("load-steady")
    lines = ""
    for step in run["steps"]:
        cores, latency, first = step["cpu_cores"], step["latency_ms"], step["first_audio_ms"]
        lines += (
            f"| {NAMES[step['system']]} | {step['calls']} | {step['held']} | {latency['p50']:.0f} / {latency['p95']:.0f} "
            f"| {step['missed']} | {first['p95']:.0f} | {step['gaps']} | {cores['agent']:.2f} | {sum(cores.values()):.2f} "
            f"| {step['memory_mb']['agent']:,} |\n"
        )
    return f"""
![Calls at once against response](images/load.svg)

| | calls | held | sound after speech, ms | missed | first audio p95, ms | gaps > 60 ms | cores | cores, all | MB |
|---|---|---|---|---|---|---|---|---|---|
{lines}
Median / 95th percentile. {run["machine"]}, vendors `{run["options"]["profile"]}`, {run["options"]["hold_s"]:.0f} s each; `cores, all` has callers, vendors and LiveKit. A line
that is there twice was held twice, in two runs within the hour: the machine was not equally quick.
`{load_command(run["options"])}`
{killed()}{killed_many()}{overloaded()}{churned()}
"""


def load_command(options: Figures) -> str:
    """Return what was typed for a run of `repartee bench load`."""
    systems = (
        "" if options["systems"] == ["repartee"] else "".join(f" --system {s}" for s in options["systems"])
    )
    mode = "" if options["mode"] == "steady" else f" --mode {options['mode']}"
    more = f" --kills {options['kills']}" if options["mode"] == "kills" else ""
    more += "".join(f" --set {name}={value}" for name, value in options["settings"])
    rate = f" --rate {options['rate']:g}" if options["mode"] == "churn" else ""
    calls = ",".join(str(calls) for calls in options["calls"])
    return f"repartee bench load{mode} --calls {calls} --hold {options['hold_s']:g}{rate}{systems}{more}"


def killed() -> str:
    """Return what became of calls whose process was killed."""
    if not (RESULTS / "load-kill.json").is_file():
        return ""
    run = load("load-kill")
    calls = sum(step["recovery"]["calls"] for step in run["steps"])
    back = sum(step["recovery"]["recovered"] for step in run["steps"])
    waits = sorted(step["recovery"]["audio_after_ms"]["max"] for step in run["steps"])
    medians = sorted(step["recovery"]["audio_after_ms"]["p50"] for step in run["steps"])
    return f"""
**A process dies.** In {len(run["steps"])} runs the busiest process was killed (`kill -9`) with {calls} calls in it; {back} went on with another agent. From the kill to
its first sound: {medians[len(medians) // 2] / 1000:.1f} s in the middle, {waits[-1] / 1000:.1f} s at the most. `{load_command(run["options"])}`
"""


def killed_many() -> str:
    """Return what became of calls while process after process was killed."""
    if not (RESULTS / "load-kills.json").is_file():
        return ""
    run = load("load-kills")
    (step,) = run["steps"]
    fates, tool, after = step["fates"], step["effects"], step["fates"]["audio_after_ms"]
    unknown = f", {tool['not_known']} were said not to be known" if tool["not_known"] else ""
    return f"""
**Process after process dies.** {fates["kills"]} times the busiest process was killed, one every eight seconds or so, while callers came and went on {step["calls"]} lines
(a call lasts about half a minute, and none is hit a third time: a call that has lost three agents is ended by design).

| | |
|---|---|
| calls in the killed processes | {fates["calls"]}, of {fates["different_calls"]} callers; {fates["hit_twice"]} were hit twice |
| heard an agent again | {fates["went_on"]} |
| hung up by themselves within 10 s of the kill | {fates["hung_up"]} |
| **lost** | **{fates["lost"]}** |
| kill to an agent's first sound, s | {after["p50"] / 1000:.1f} / {after["p95"] / 1000:.1f}, at the most {after["max"] / 1000:.1f} |
| what the agents' tool did, each a line in a file | {tool["done"]} |
| **done twice** | **{tool["doubled"]}** |
| told as done | {tool["told"]}, of which {tool["told_and_not_done"]} were not |

Median / 95th percentile. {tool["not_done_again"]} times the model called the tool again for what was done already and was told the first result{unknown}. `{load_command(run["options"])}`
"""


def overloaded() -> str:
    """Return what three times too many callers did to those who had a seat."""
    if not (RESULTS / "load-overload.json").is_file():
        return ""
    run = load("load-overload")
    step = next(step for step in run["steps"] if step["system"] == "repartee")
    alone = next(
        (
            s
            for s in load("load-steady")["steps"]
            if s["calls"] == step["calls"] and s["system"] == "repartee"
        ),
        None,
    )
    beside = f" (without the others {alone['latency_ms']['p95']:.0f})" if alone else ""
    return f"""
**Too many come.** {3 * step["calls"]} callers at once for {step["calls"]} seats: {step["held"]} held, {step["refused"]} refused before the call, {step["failed"] + step["silent"]} failed. Those who
had a seat were answered after {step["latency_ms"]["p50"]:.0f} ms, 95th percentile {step["latency_ms"]["p95"]:.0f}{beside}. {peers_of(run)}`{load_command(run["options"])}`
"""


def peers_of(run: Figures) -> str:
    """Return how other systems fared with the same callers."""
    return "".join(
        f"{NAMES[step['system']]}: {step['held']} held, {step['silent']} in a silent room, {step['failed']} failed, "
        f"answered after {step['latency_ms']['p50']:.0f} / {step['latency_ms']['p95']:.0f} ms. "
        for step in run["steps"]
        if step["system"] != "repartee"
    )


def churned() -> str:
    """Return what is left of many short calls."""
    if not (RESULTS / "load-churn.json").is_file():
        return ""
    run = load("load-churn")
    step = next(step for step in run["steps"] if step["system"] == "repartee")
    before, after = step["left"]["before"], step["left"]["after"]
    names = ("processes", "threads", "tasks", "files", "sockets", "memory_mb", "seats")
    shown = {"memory_mb": "MB", "seats": "seats taken", "tasks": "tasks of event loops"}
    lines = "".join(f"| {shown.get(n, n)} | {before[n]} | {after[n]} |\n" for n in names)
    calls = step["held"] + step["silent"] + step["failed"] + step["refused"]
    return f"""
**Short calls, one after another.** {calls} callers in {run["options"]["hold_s"] / 60:.0f} minutes: {step["held"]} held, {step["refused"]} refused, {step["failed"] + step["silent"]} failed. What the server's processes hold
when nobody calls:

| | after the first calls | after all |
|---|---|---|
{lines}
{peers_of(run)}`{load_command(run["options"])}`
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


def tuning() -> str:
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


def realtime() -> str:
    """Return what a minute of talk costs with one model that hears and speaks, and with three, by the price table."""
    prices, minutes = load_prices(), (1, 5, 15)
    rows = {
        "recogniser, model and voice": [cascade_usd(prices, minute) for minute in minutes],
        **{name: [realtime_usd(prices, name, minute) for minute in minutes] for name in REALTIME},
    }
    lines = "".join(
        f"| {name} | {' | '.join(f'{usd:.4f}' for usd in usds)} |\n" for name, usds in rows.items()
    )
    return f"""
Reckoned from the price table of {prices.version}, USD; nothing was measured. {ASSUMED}

| | first minute | fifth | fifteenth |
|---|---|---|---|
{lines}
{beside()}"""


def beside() -> str:
    """Return what one model that hears and speaks does beside three, where that was measured in one run."""
    if not (RESULTS / "realtime.json").is_file():
        return ""
    run = load("realtime")
    columns = (
        ("first sound, ms", "latency", "latency_ms"),
        ("first content, ms", "latency", "content_ms"),
        ("interrupted: silent, ms", "barge-in", "silent_ms"),
        ("told to a word what was heard", "barge-in", "context_exact_to_a_word"),
        ('stopped for good by a "mm-hm"', "backchannel", "stopped_for_good"),
    )
    lines = ""
    for system, suites in run["figures"].items():
        cells = [shown_value(suites.get(suite, {}).get(key)) for _, suite, key in columns]
        cost = suites["latency"]["usd_per_minute"]
        lines += f"| {NAMES[system]} | {' | '.join(cells)} | {cost:.4f} |\n"
    return f"""Measured, in one run, median / 95th percentile; simulated vendors (profile *{run["options"]["profile"]}*), {run["machine"]}:

| | {" | ".join(title for title, *_ in columns)} | USD a minute |
|---|{"---|" * len(columns)}---|
{lines}
`{run["command"]}`

"""


def fuzzing() -> str:
    """Return what came of the made up cases."""
    run = load("fuzz")
    broke = {name: target for name, target in run["targets"].items() if target["found_and_fixed"]}
    rows = "\n".join(
        f"| {name} | {target['cases']:,} | {target['found_and_fixed'] or ''} |"
        for name, target in run["targets"].items()
    )
    return f"""
{run["cases"]:,} cases of {len(run["targets"])} readers, {run["failures"]} failures; {run["found_and_fixed"]} cases that once broke one of {len(broke)}
readers, or lie beside one that did, are kept and run first (seed {run["seed"]}).

| reader | cases | kept |
|---|---|---|
{rows}

"""


def caching() -> str:
    """Return the figures of the page on the answer cache."""
    cache, savings = load("cache"), load("savings")
    halves = cache["halves"]
    lines = "".join(
        f"| {name} | {figures['same']} / {figures['different']} | {figures['precision']:.3f} | {figures['recall']:.3f} "
        f"| {figures['wrong']} ({figures['wrong_hit_rate']:.1%}) |\n"
        for name, figures in halves.items()
    )
    domains = "".join(
        f"| {domain} | {held['same']} / {held['different']} | {held['precision']:.2f} | {held['recall']:.2f} "
        f"| {held['wrong']} |\n"
        for domain, held in halves["held-out"]["by_domain"].items()
    )
    all_known = halves["held-out"]["among_all"]
    calls = "".join(
        f"| {name} | {float(side['usd']):.6f} | {side['requests'].get('llm', 0)} | {side['tokens_in']} ({side['tokens_cached']}) | {side['characters']} "
        f"| {side['first_text_ms']['p50']:.0f} | {side['first_audio_ms']['p50']:.0f} "
        f"| {', '.join(f'{tier} {count}' for tier, count in side['tiers'].items())} |\n"
        for name, side in (
            ("without savings", savings["first_call"]["off"]),
            ("cache, a machine's first call", savings["first_call"]["caching"]),
            ("cache and routing, a first call", savings["first_call"]["on"]),
            ("cache, a later call", savings["later_call"]["caching"]),
            ("cache and routing, a later call", savings["later_call"]["on"]),
        )
    )
    return f"""
{cache["pairs"]} pairs of questions, {cache["same"]} of them of the same meaning, the others near misses; `likeness: {cache["likeness"]}`.

| half | same / different | precision | recall | wrong hits |
|---|---|---|---|---|
{lines}
Held-out half, by domain:

| domain | same / different | precision | recall | wrong hits |
|---|---|---|---|---|
{domains}
With all known questions of a domain at once: {all_known["right"]} right, {all_known["wrong"]} wrong, {all_known["missed"]} missed. One decision takes {cache["decision_ms"]["p50"]:.0f} ms in
the median, {cache["decision_ms"]["p95"]:.0f} ms at the 95th percentile, vectors included; the routing {cache["routing_ms"]["p95"]:.3f} ms.

{savings["first_call"]["turns"]} turns of a call to the front desk, learning on, small model `gpt-4.1-nano`, simulated vendors (profile *{savings["profile"]}*,
model and voice; their list prices; prompts of 1024 tokens and more are partly kept by the vendor, as OpenAI does). The first call saves {savings["first_call"]["saved"]:.0%}, a later one {savings["later_call"]["saved"]:.0%}; turns answered
differently: {len(savings["first_call"]["answered_differently"]) + len(savings["later_call"]["answered_differently"])}. Before the first call the server makes the audio of what is sure to be said, once for each machine
and voice: {savings["first_call"]["on"]["prepared_characters"]} characters, {float(savings["first_call"]["on"]["prepared_usd"]):.6f} USD.

| | USD | model requests | prompt tokens (kept by the vendor) | characters voiced | first text, ms, median | first audio, ms, median | tiers |
|---|---|---|---|---|---|---|---|
{calls}
"""


def network() -> str:
    """Return the figures of the page on networks."""
    loss = load("loss")
    losses = sorted({row["loss"] for row in loss["rows"]})
    ways = [way["name"] for way in loss["ways"]]
    tables = ""
    for direction in ("agent to caller", "caller to agent"):
        rows = {(row["way"], row["loss"]): row for row in loss["rows"] if row["direction"] == direction}
        head = "".join(f" {share:.0%} lost |" for share in losses)
        lines = "".join(
            f"| {way} | {rows[way, losses[0]]['kbit_per_s']:.0f} | "
            + " | ".join(
                f"{rows[way, share]['word_error']:.1%}, {rows[way, share]['made_up']:.1%}" for share in losses
            )
            + " |\n"
            for way in ways
        )
        tables += f"{direction.capitalize()}; word error, made up:\n\n| sent as | kbit/s |{head}\n|---|---|{'---|' * len(losses)}\n{lines}\n"
    return f"""
{tables}{loss["sentences"]} sentences, {loss["words"]} words for each figure. kbit/s is what the receiver gets with packet headers, pauses included.
"""


def call_page() -> str:
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


def private() -> str:
    """Return where the time of a private call goes, if it was measured."""
    if not (RESULTS / "private.json").is_file():
        return "\nNot measured yet: `python scripts/private.py`.\n"
    found = load("private")
    took = ", ".join(f"{size} {ms:.0f} ms" for size, ms in found["whisper"].get("took_ms", {}).items())
    rows = "".join(f"| {owner} | {ms} |\n" for owner, ms in found["mean_parts_ms"].items())
    return f"""
On {found["cpus"]} CPUs with everything on them, caller included (`{found["command"]}`): {found["answered"]} of
{found["asked"]} questions answered, {found["p50_ms"]} ms from the caller's last sound to the agent's first (median; 95 %:
{found["p95_ms"]} ms). Whisper takes, for three seconds of speech alone on the machine: {took}. The mean wait, by who took it:

| part | ms |
|---|---|
{rows}"""


def tone() -> str:
    """Return the figures of the page on tone."""
    if not (RESULTS / "tone.json").is_file():
        return "\nNot measured yet: `python scripts/tone.py`.\n"
    run = load("tone")
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


def voices() -> str:
    """Return the figures of the page on voices; simulated ones have a table of their own, and say so."""
    if not (RESULTS / "voices.json").is_file():
        return "\nNot measured yet: `repartee bench voices --write benchmarks/results/voices.json`.\n"
    run = load("voices")
    said = run["texts"] * run["repeats"]
    text = f"""
{said} requests a voice, {run["machine"]}, which had a load of {run["load"]} when it began; `{run["command"]}`. Median / 95th percentile; prices of {run["prices"]}.

{_voices(run["voices"])}"""
    if run["simulated"]:
        text += f"\nSimulated, for the way they are asked only; nothing of it is about these vendors:\n\n{_voices(run['simulated'])}"
    return text


def _voices(voices: list[Figures]) -> str:
    """Return a table of voices."""
    lines = "| voice | first audio, ms | first sound, ms | real-time factor | word error | LUFS, spread | leading silence, ms | USD a minute | failed |\n|---|---|---|---|---|---|---|---|---|\n"
    for voice in voices:
        loud = (
            f"{voice['loudness_lufs']}, {voice['loudness_spread_lu']} LU" if "loudness_lufs" in voice else ""
        )
        error = f"{voice['word_error']:.1%} of {voice['words']}" if "word_error" in voice else ""
        usd = voice.get("usd_per_minute")
        price = "not known" if usd is None else f"{usd:.4f}" if usd else "0"
        rtf = voice.get("real_time_factor")
        factor = f"{rtf['p50']:.2f} / {rtf['p95']:.2f}" if rtf else ""
        lines += (
            f"| {voice['provider']}:{voice['model']}, {voice['voice']} | {shown_value(voice.get('first_audio_ms'))} "
            f"| {shown_value(voice.get('first_sound_ms'))} | {factor} | {error} | {loud} "
            f"| {shown_value(voice.get('leading_silence_ms'))} | {price} | {voice['failed']} |\n"
        )
    return lines


LEVELS = ("0 normal", "1 lean", "2 small", "3 plain")


def degradation() -> str:
    """Return the figures of the page on degradation: of those parts that were measured."""
    ladder = load("ladder") if (RESULTS / "ladder.json").is_file() else {}
    parts = [
        part(ladder)
        for name, part in (("levels", _levels), ("closed", _closed), ("down", _down), ("filler", _filler))
        if name in ladder
    ]
    return "\n" + "\n".join(parts or ["Not measured yet: `python scripts/measure_ladder.py`.\n"])


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


if __name__ == "__main__":
    sys.exit(main())
