"""What many calls take, carried from what one call took here: nodes, packets, database writes, vendor requests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

NODE_CORES = 16
USED = 0.6
"""Share of a node that calls may take: the rest is for bursts, and for the calls of a node that is lost."""
SEAT_WRITES_PER_S = 1.0
"""Every call says once a second that it lives (`repartee.store.seats`)."""
DATABASE_WRITES_PER_S = 10_000
"""An assumption, not a measurement: what one PostgreSQL primary takes in single-row writes."""
NODE_KBIT_PER_S = 5_000_000
"""An assumption: half of a 10 Gbit/s network card."""


@dataclass(frozen=True, slots=True)
class PerCall:
    """What one call takes.

    Attributes:
        worker_cores: Of the processes that hold calls.
        media_cores: Of LiveKit.
        packets_per_s: Into and out of LiveKit.
        kbit_per_s: The same, in bits.
        requests_per_minute: To vendors.
        rows_per_minute: Of the database.
        row_bytes_per_minute: In them.
    """

    worker_cores: float
    media_cores: float
    packets_per_s: float
    kbit_per_s: float
    requests_per_minute: float
    rows_per_minute: float
    row_bytes_per_minute: float

    @classmethod
    def of(cls, measured: dict[str, Any]) -> PerCall:
        """Return what `scripts/measure_call.py` has measured."""
        return cls(
            measured["cores"]["repartee"],
            measured["cores"]["livekit"],
            measured["sfu_packets_per_s"],
            measured["sfu_kbit_per_s"],
            measured["requests_per_minute"],
            measured["rows_per_minute"],
            measured["row_bytes_per_minute"],
        )


@dataclass(frozen=True, slots=True)
class Fleet:
    """What so many calls at once take.

    Attributes:
        calls: At once.
        worker_nodes: Of `NODE_CORES` cores.
        media_nodes: Of `NODE_CORES` cores: by processor time or by traffic, whichever needs more.
        packets_per_s: Into and out of all media nodes.
        gbit_per_s: The same, in bits.
        writes_per_s: Of the database: rows of calls, and seats that are kept.
        gb_per_day: Of rows, were the calls there all day.
        requests_per_s: To vendors.
        cells: So many separate installations, for no database to take more than `DATABASE_WRITES_PER_S`.
    """

    calls: int
    worker_nodes: int
    media_nodes: int
    packets_per_s: float
    gbit_per_s: float
    writes_per_s: float
    gb_per_day: float
    requests_per_s: float
    cells: int


def grown(one: PerCall, calls: int) -> Fleet:
    """Return what so many calls take."""
    cores = NODE_CORES * USED
    kbit_per_s = calls * one.kbit_per_s
    writes_per_s = calls * (SEAT_WRITES_PER_S + one.rows_per_minute / 60)
    return Fleet(
        calls=calls,
        worker_nodes=math.ceil(calls * one.worker_cores / cores),
        media_nodes=math.ceil(max(calls * one.media_cores / cores, kbit_per_s / NODE_KBIT_PER_S)),
        packets_per_s=calls * one.packets_per_s,
        gbit_per_s=kbit_per_s / 1e6,
        writes_per_s=writes_per_s,
        gb_per_day=calls * one.row_bytes_per_minute * 1440 / 1e9,
        requests_per_s=calls * one.requests_per_minute / 60,
        cells=math.ceil(writes_per_s / DATABASE_WRITES_PER_S),
    )
