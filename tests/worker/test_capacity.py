"""How many calls a worker takes: fewer when its loops are late, more again one by one."""

from __future__ import annotations

from repartee.worker.capacity import CUT_EVERY_S, FEW, GROW_EVERY_S, Capacity


def late(capacity: Capacity, late_ms: float, count: int = FEW) -> None:
    for _ in range(count):
        capacity.late(late_ms)


def test_what_is_allowed_is_never_exceeded() -> None:
    capacity = Capacity(4)
    late(capacity, 1.0)
    assert [capacity.judge(0, at) for at in (0.0, GROW_EVERY_S, 2 * GROW_EVERY_S)] == [4, 4, 4]


def test_loops_that_are_late_cost_seats_at_once_and_calm_ones_bring_them_back_slowly() -> None:
    capacity = Capacity(20)
    late(capacity, 50.0)
    assert capacity.judge(20, 0.0) == 16
    late(capacity, 50.0)
    assert capacity.judge(16, CUT_EVERY_S / 2) == 16, "the first cut must show first"
    assert capacity.judge(15, CUT_EVERY_S) == 12
    late(capacity, 2.0, 200)
    assert capacity.judge(12, CUT_EVERY_S + 1) == 12
    assert capacity.judge(12, CUT_EVERY_S + GROW_EVERY_S) == 13


def test_a_cut_reckons_from_the_calls_there_are() -> None:
    capacity = Capacity(100)
    late(capacity, 50.0)
    assert capacity.judge(10, 0.0) == 8, "ten were too many, whatever was allowed"


def test_a_hiccup_is_no_overload() -> None:
    capacity = Capacity(10)
    late(capacity, 1.0, FEW)
    late(capacity, 400.0, 3)
    assert capacity.judge(5, 0.0) == 10


def test_one_call_is_always_taken() -> None:
    capacity = Capacity(1)
    late(capacity, 500.0)
    assert capacity.judge(1, 0.0) == 1
