"""docs/density.md: many calls on one machine."""

from __future__ import annotations

from pages.results import MANY, NAMES, Figures, load, of
from repartee.simulator.load_report import latency_plot
from repartee.simulator.report import svg


def figures() -> str:
    """Return what many calls on one machine are like, and what becomes of them when there are more or a process dies."""
    run = load("load-steady")
    return f"""
![Calls at once against response](images/load.svg)

{table(run)}
Median / 95th percentile. {run["machine"]}, vendors `{run["options"]["profile"]}`, {run["options"]["hold_s"]:.0f} s each, of fewer than four calls longer; `cores, all` has callers, vendors and LiveKit.
`{load_command(run["options"])}`
{added(run)}{on_device()}{killed()}{killed_many()}{overloaded()}{churned()}
"""


def table(run: Figures) -> str:
    """Return a line for each number of calls."""
    lines = ""
    for step in run["steps"]:
        cores, latency, first = step["cpu_cores"], step["latency_ms"], step["first_audio_ms"]
        lines += (
            f"| {NAMES[step['system']]} | {step['calls']} | {step['held']} | {latency['p50']:.0f} / {latency['p95']:.0f} "
            f"| {step['missed']} | {first['p95']:.0f} | {step['gaps']} | {cores['agent']:.2f} | {sum(cores.values()):.2f} "
            f"| {step['memory_mb']['agent']:,} |\n"
        )
    return f"""\
| | calls | held | sound after speech, ms | missed | first audio p95, ms | gaps > 60 ms | cores | cores, all | MB |
|---|---|---|---|---|---|---|---|---|---|
{lines}"""


def added(run: Figures) -> str:
    """Return how much later the answers of many calls come than those of the one that was called before."""
    lines, one = "", {"p50": 0.0, "p95": 0.0}
    for step in run["steps"]:
        calls, latency = step["calls"], step["latency_ms"]
        if step["system"] != "repartee":
            continue
        if calls == 1:
            one = latency
        if calls > MANY:
            lines += (
                f"- {calls} calls: the median {told_ms(latency['p50'] - one['p50'])}, the 95th percentile "
                f"{told_ms(latency['p95'] - one['p95'])}, {step['gaps']} gaps in {step['voice_s']:.0f} s of voice\n"
            )
    return f"""
**Against one call,** the last that was called alone before, answers of repartee's come so much later:

{lines}"""


def told_ms(more_ms: float) -> str:
    """Return a difference in words."""
    return f"{abs(more_ms):.0f} ms {'later' if more_ms >= 0 else 'earlier'}"


def drawing() -> str:
    """Return calls at once against response, as SVG."""
    return svg(latency_plot(load("load-steady")["steps"]))


def load_command(options: Figures) -> str:
    """Return what was typed for a run of `repartee bench load`."""
    systems = (
        "" if options["systems"] == ["repartee"] else "".join(f" --system {s}" for s in options["systems"])
    )
    mode = "" if options["mode"] == "steady" else f" --mode {options['mode']}"
    # How long that takes follows from how many there are.
    held = f"--kills {options['kills']}" if options["mode"] == "kills" else f"--hold {options['hold_s']:g}"
    own = " --on-device" if options.get("on_device") else ""
    more = "".join(f" --set {name}={value}" for name, value in options["settings"])
    rate = f" --rate {options['rate']:g}" if options["mode"] == "churn" else ""
    calls = ",".join(str(calls) for calls in options["calls"])
    return f"repartee bench load{mode} --calls {calls} {held}{rate}{systems}{own}{more}"


@of("load-kill")
def killed(run: Figures) -> str:
    """Return what became of calls whose process was killed."""
    calls = sum(step["recovery"]["calls"] for step in run["steps"])
    back = sum(step["recovery"]["recovered"] for step in run["steps"])
    waits = sorted(step["recovery"]["audio_after_ms"]["max"] for step in run["steps"])
    medians = sorted(step["recovery"]["audio_after_ms"]["p50"] for step in run["steps"])
    return f"""
**A process dies.** In {len(run["steps"])} runs the busiest process was killed (`kill -9`) with {calls} calls in it; {back} went on with another agent. From the kill to
its first sound: {medians[len(medians) // 2] / 1000:.1f} s in the middle, {waits[-1] / 1000:.1f} s at the most. `{load_command(run["options"])}`
"""


@of("load-kills")
def killed_many(run: Figures) -> str:
    """Return what became of calls while process after process was killed."""
    (step,) = run["steps"]
    fates, tool, after = step["fates"], step["effects"], step["fates"]["audio_after_ms"]
    unknown = f", {tool['not_known']} were said not to be known" if tool["not_known"] else ""
    return f"""
**Process after process dies.** {fates["kills"]} times the busiest process was killed, one every eight seconds or so, while callers came and went on {step["calls"]} lines
(a call lasts about half a minute, and none is hit a third time: a call that loses three agents, each within a minute of getting it, is ended by design).

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


@of("load-overload")
def overloaded(run: Figures) -> str:
    """Return what three times too many callers did to those who had a seat."""
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


@of("load-churn")
def churned(run: Figures) -> str:
    """Return what is left of many short calls."""
    (step,) = run["steps"]
    before, after = step["left"]["before"], step["left"]["after"]
    names = ("processes", "threads", "tasks", "files", "sockets", "memory_mb", "seats")
    shown = {"memory_mb": "MB", "seats": "seats taken", "tasks": "tasks of event loops"}
    lines = "".join(f"| {shown.get(n, n)} | {before[n]} | {after[n]} |\n" for n in names)
    return f"""
**Short calls, one after another,** of a greeting or one question each.{short_calls(run)}
What the server's processes hold when nobody calls:

| | after the first calls | after all |
|---|---|---|
{lines}
`{load_command(run["options"])}`
{churned_peers()}"""


@of("load-churn-peers")
def churned_peers(run: Figures) -> str:
    """Return how the systems fare with the same short calls."""
    return f"""
The same beside others, fewer of them:{short_calls(run)}
`{load_command(run["options"])}`
"""


def short_calls(run: Figures) -> str:
    """Return what became of short calls, as a table."""
    lines = "".join(
        f"| {NAMES[step['system']]} | {len(step['rows'])} in {max(row['at_s'] for row in step['rows']) / 60:.0f} minutes "
        f"| {step['held']} | {step['refused']} | {step['silent']} | {step['failed']} "
        f"| {step['latency_ms']['p50']:.0f} / {step['latency_ms']['p95']:.0f} "
        f"| {step['first_audio_ms']['p50']:.0f} / {step['first_audio_ms']['p95']:.0f} "
        f"| {step['left']['before']['memory_mb']:,} to {step['left']['after']['memory_mb']:,} |\n"
        for step in run["steps"]
    )
    return f"""

| | callers | held | refused | heard nobody | failed | sound after speech, ms | first audio, ms | MB when nobody calls |
|---|---|---|---|---|---|---|---|---|
{lines}"""


@of("load-on-device")
def on_device(run: Figures) -> str:
    """Return how many calls the machine's own models serve."""
    lines = "".join(
        f"| {step['calls']} | {step['held']} | {step['latency_ms']['p50']:.0f} / {step['latency_ms']['p95']:.0f} "
        f"| {step['missed']} | {step['cpu_cores']['agent']:.2f} | {sum(step['cpu_cores'].values()):.2f} "
        f"| {step['memory_mb']['agent']:,} |\n"
        for step in run["steps"]
    )
    return f"""
**With this machine's own models** (Whisper, the agent file's answers, a Piper voice), callers and LiveKit beside them:

| calls | held | sound after speech, ms | missed | cores | cores, all | MB |
|---|---|---|---|---|---|---|
{lines}
`{load_command(run["options"])}`
"""
