"""docs/scaling.md: what many calls take, from what one took."""

from __future__ import annotations

from pages.results import load
from repartee.simulator.growth import (
    DATABASE_WRITES_PER_S,
    NODE_CORES,
    NODE_KBIT_PER_S,
    USED,
    PerCall,
    grown,
)


def figures() -> str:
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
