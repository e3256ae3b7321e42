"""A page with the plots of benchmark results: one HTML file that needs nothing else."""

from __future__ import annotations

import html
import io
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

Report = dict[str, Any]
COLOURS = {
    "repartee": "#0b7a75",
    "pipecat": "#c8553d",
    "pipecat-tuned": "#e29578",
    "livekit": "#3d5a80",
    "livekit-tuned": "#98c1d9",
}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left } svg { max-width: 100%; height: auto } code { background: #f3f3f3; padding: .1rem .3rem }
"""
MEASURES = (
    ("latency_ms", "first sound, ms"),
    ("content_ms", "first content, ms"),
    ("cut_in_turns", "cut-ins"),
    ("missed", "missed"),
    ("double", "double replies"),
    ("wrong", "answered other words"),
    ("lowered_ms", "lowered, ms"),
    ("silent_ms", "silent, ms"),
    ("missed_stops", "did not stop in 1 s"),
    ("right", "new words answered"),
    ("context_exact_to_a_word", "context as heard"),
    ("held", "broke off"),
    ("stopped_for_good", "stopped for good"),
    ("dead_air_s", "dead air, s"),
    ("false_starts", "answered a noise"),
    ("wasted", "wasted cost"),
    ("gaps_per_minute", "gaps per minute"),
    ("cpu_per_call", "cores"),
    ("memory_mb", "MB"),
)


@dataclass(frozen=True, slots=True)
class Point:
    """A system at one setting: how often it cuts in, and how soon it answers."""

    system: str
    setting: str
    cut_ins: float
    latency_ms: float


def page(reports: list[Report]) -> str:
    """Return the page: a section for each result of `repartee bench`."""
    parts = ["<h1>repartee bench</h1>"]
    for report in reports:
        parts.append(f"<h2>{html.escape(report['options']['profile'])}</h2>")
        parts.append(
            f"<p><code>{html.escape(report['command'])}</code>, {report['machine']}, {report['at']}</p>"
        )
        parts += [_svg(_latencies(report)), *(_table(report, suite) for suite in report["options"]["suites"])]
    body = "\n".join(parts)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>repartee bench</title><style>{STYLE}</style><body>\n{body}\n</body></html>\n"
    )


def _table(report: Report, suite: str) -> str:
    figures = {s: suites[suite] for s, suites in report["figures"].items() if suite in suites}
    shown = [(key, title) for key, title in MEASURES if any(f.get(key) is not None for f in figures.values())]
    head = "".join(f"<th>{title}</th>" for _, title in shown)
    lines = "".join(
        f"<tr><td>{system}</td>{''.join(f'<td>{shown_value(f.get(key))}</td>' for key, _ in shown)}</tr>"
        for system, f in figures.items()
    )
    return f"<h3>{suite}</h3><table><tr><th></th>{head}</tr>{lines}</table>"


def shown_value(value: Any) -> str:
    """Return a figure as people read it: median / 95th percentile, or per cent."""
    if value is None:
        return ""
    if isinstance(value, dict) and "p50" in value:
        digits = 0 if value["p50"] >= 10 else 1
        return f"{value['p50']:.{digits}f} / {value['p95']:.{digits}f}"
    if isinstance(value, dict):
        return f"{value['share']:.0%}"
    if isinstance(value, float) and value < 1:
        return f"{value:.2f}"
    return f"{value:g}"


def _latencies(report: Report) -> Figure:
    figure, axes = plt.subplots(figsize=(8, 3.6))
    for system in report["figures"]:
        values = sorted(
            r["latency_ms"] for r in report["rows"] if r["system"] == system and "latency_ms" in r
        )
        if values:
            shares = np.arange(1, len(values) + 1) / len(values)
            axes.step(values, shares, label=system, color=COLOURS.get(system), where="post")
    axes.set(xlabel="end of speech to first sound, ms", ylabel="share of turns", ylim=(0, 1))
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def frontier_plot(points: list[Point]) -> Figure:
    """Draw median latency against cut-ins, one line per framework over its settings."""
    figure, axes = plt.subplots(figsize=(8, 4.2))
    lines: dict[str, list[Point]] = {}
    for point in points:
        lines.setdefault(point.system.removesuffix("-tuned"), []).append(point)
    for system, line in lines.items():
        ordered = sorted(line, key=lambda point: point.cut_ins)
        xs, ys = [100 * point.cut_ins for point in ordered], [point.latency_ms for point in ordered]
        axes.plot(xs, ys, "o-", label=system, color=COLOURS.get(system))
        for x, y, point in zip(xs, ys, ordered, strict=True):
            axes.annotate(point.setting, (x, y), xytext=(5, 5), textcoords="offset points", fontsize=8)
    axes.set(
        xlabel="turns with pauses that were cut into, %", ylabel="first sound after a command, median ms"
    )
    axes.set_xlim(left=-1)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def scaler_plot(runs: list[dict[str, Any]]) -> Figure:
    """Draw, for each trace as the chart comes, the calls and the places that the pods have for them."""
    shown = {run["trace"]: run for run in reversed(runs)}
    figure, columns = plt.subplots(1, len(shown), figsize=(12, 3.2))
    for axes, (trace, run) in zip(np.atleast_1d(columns), reversed(shown.items()), strict=True):
        minutes = np.arange(len(run["calls"]))
        places = np.array(run["pods"]) * run["scaling"]["max_calls"]
        axes.fill_between(minutes, run["calls"], color="#0b7a75", alpha=0.5, label="calls", linewidth=0)
        axes.step(minutes, places, color="#c8553d", label="places", where="post", linewidth=1)
        axes.set(title=trace, xlabel="minutes", ylim=(0, None), xlim=(0, len(minutes)))
        axes.grid(alpha=0.3)
    np.atleast_1d(columns)[0].legend(frameon=False)
    return figure


def svg(figure: Figure) -> str:
    """Return a figure as SVG, the same for the same figures."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "repartee"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    return buffer.getvalue()


def _svg(figure: Figure) -> str:
    text = svg(figure)
    return text[text.index("<svg") :]
