"""docs/kubernetes.md: what the autoscaling does with calls."""

from __future__ import annotations

from pages.results import load
from repartee.simulator.report import scaler_plot, svg


def figures() -> str:
    """Return what the autoscaling does with calls."""
    lines = ""
    for run in load("scaler")["runs"]:
        scaling = run["scaling"]
        lines += (
            f"| {run['trace']} | {scaling['target_calls']} | {scaling['drain_s']} | {run['arrived']} | {max(run['calls'])} "
            f"| {run['refused']} | {run['cut']} | {run['most_pods']} | {run['pod_hours']:.1f} |\n"
        )
    return (
        "\n| | target calls | drain, s | calls | at once | found no place | outlast a drain | most pods | pod hours |\n"
        f"|---|---|---|---|---|---|---|---|---|\n{lines}\n`python scripts/measure.py scaler`\n"
    )


def drawing() -> str:
    """Return calls and the places for them, as SVG."""
    return svg(scaler_plot(load("scaler")["runs"]))
