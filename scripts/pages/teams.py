"""docs/teams.md: what is left of many meetings."""

from __future__ import annotations

from pages.results import Figures, of


@of("meetings")
def figures(run: Figures) -> str:
    """Return what was left of many meetings."""
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
