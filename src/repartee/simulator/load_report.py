"""A page with the plots of `repartee bench load`: one HTML file that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Iterator
from statistics import median
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from repartee.simulator.report import STYLE, svg

Report = dict[str, Any]
COLUMNS = (
    ("system", "system"),
    ("mode", "mode"),
    ("calls", "calls"),
    ("held", "held"),
    ("refused", "refused"),
    ("silent", "silent"),
    ("turns", "turns"),
    ("p50", "p50, ms"),
    ("p95", "p95, ms"),
    ("first", "first audio p95, ms"),
    ("missed", "missed"),
    ("gaps", "gaps > 60 ms"),
    ("per_call", "cores per call"),
    ("all", "cores in all"),
    ("memory", "MB"),
)
PARTS = ("agent", "livekit", "simulator", "callers")


def page(report: Report) -> str:
    """Return the page."""
    steps = [_row(step) for step in report["steps"]]
    head = "".join(f"<th>{title}</th>" for _, title in COLUMNS)
    lines = "".join(
        f"<tr>{''.join(f'<td>{html.escape(str(step[name]))}</td>' for name, _ in COLUMNS)}</tr>"
        for step in steps
    )
    steady = [step for step in report["steps"] if step["mode"] == "steady"]
    plots = (
        "".join(_text(figure) for figure in (latency_plot(steady), *_cores_of_each(steady))) if steady else ""
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>repartee bench load</title><style>{STYLE}</style><body>\n<h1>repartee bench load</h1>\n"
        f"<p>{html.escape(report['machine'])}, {report['at']}, vendors {html.escape(report['options']['profile'])}; "
        "callers, vendors and LiveKit run on the same machine.</p>\n"
        f"{plots}<table><tr>{head}</tr>{lines}</table>\n</body></html>\n"
    )


def _row(step: Report) -> dict[str, Any]:
    cores = step["cpu_cores"]
    return {
        **step,
        "p50": round(step["latency_ms"]["p50"]),
        "p95": round(step["latency_ms"]["p95"]),
        "first": round(step["first_audio_ms"]["p95"]),
        "per_call": f"{cores['agent'] / max(1, step['held']):.3f}",
        "all": f"{sum(cores.values()):.2f}",
        "memory": step["memory_mb"]["agent"],
    }


def latency_plot(steps: list[Report]) -> Figure:
    """Return how response grows with calls, a line for each system; a dot for each step all were heard in.

    Where as many were called more than once, the line goes through the middle of it.
    """
    figure, axes = plt.subplots(figsize=(8, 3.6))
    for system in dict.fromkeys(step["system"] for step in steps):
        own = [step for step in steps if step["system"] == system]
        (line,) = axes.plot(*_middle(own, "p95"), "-", label=f"{system}, p95")
        axes.plot(*_middle(own, "p50"), ":", color=line.get_color(), label=f"{system}, p50")
        whole = [step for step in own if step["held"] == step["calls"] and not step["missed"]]
        axes.plot(
            [step["calls"] for step in whole],
            [step["latency_ms"]["p95"] for step in whole],
            "o",
            color=line.get_color(),
        )
    axes.set(xlabel="calls at once", ylabel="end of speech to first sound, ms")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def _middle(steps: list[Report], share: str) -> tuple[list[int], list[float]]:
    """Return calls, each number once and in order, and the middle of what their steps measured."""
    calls = sorted({step["calls"] for step in steps})
    return calls, [median(step["latency_ms"][share] for step in steps if step["calls"] == n) for n in calls]


def _cores_of_each(steps: list[Report]) -> Iterator[Figure]:
    for system in dict.fromkeys(step["system"] for step in steps):
        yield _cores([step for step in steps if step["system"] == system])


def _cores(steps: list[Report]) -> Figure:
    figure, axes = plt.subplots(figsize=(8, 3.6))
    steps = sorted(steps, key=lambda step: step["calls"])
    calls = [step["calls"] for step in steps]
    shares = [[step["cpu_cores"][part] for step in steps] for part in PARTS]
    axes.stackplot(calls, shares, labels=PARTS, alpha=0.8)
    axes.set(title=steps[0]["system"], xlabel="calls at once", ylabel="cores")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="upper left")
    return figure


def _text(figure: Figure) -> str:
    text = svg(figure)
    return text[text.index("<svg") :]
