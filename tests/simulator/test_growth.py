"""One call's needs carried to many."""

from __future__ import annotations

import math

from repartee.simulator.growth import DATABASE_WRITES_PER_S, NODE_CORES, NODE_KBIT_PER_S, USED, PerCall, grown

ONE = PerCall(0.06, 0.005, 200.0, 120.0, 24.0, 120.0, 30_000.0)


def test_nodes_follow_processor_time() -> None:
    fleet = grown(ONE, 10_000)
    assert fleet.worker_nodes == math.ceil(10_000 * 0.06 / (NODE_CORES * USED))
    assert fleet.media_nodes == math.ceil(10_000 * 0.005 / (NODE_CORES * USED))


def test_a_call_that_is_all_traffic_needs_network_cards() -> None:
    wide = PerCall(0.0, 0.0, 200.0, 50_000.0, 0.0, 0.0, 0.0)
    assert grown(wide, 1_000).media_nodes == 1_000 * 50_000 / NODE_KBIT_PER_S


def test_seats_are_written_as_well_as_rows() -> None:
    fleet = grown(ONE, 1_000_000)
    assert fleet.writes_per_s == 1_000_000 * (1 + 120 / 60)
    assert fleet.cells == 3_000_000 / DATABASE_WRITES_PER_S


def test_one_call_needs_one_of_each() -> None:
    fleet = grown(ONE, 1)
    assert (fleet.worker_nodes, fleet.media_nodes, fleet.cells) == (1, 1, 1)
