"""How many calls a worker takes: fewer when its loops are late, more again when they are not."""

from __future__ import annotations

from itertools import pairwise

import pytest

from repartee.settings import Settings
from repartee.worker import capacity as module
from repartee.worker.capacity import (
    ALONE_CALLS_PER_CORE,
    CALLS_PER_CORE,
    CUT_EVERY_S,
    FEW,
    FORGET_S,
    GROW_EVERY_S,
    ON_DEVICE_CALLS_PER_CORE,
    REGAIN_EVERY_S,
    Capacity,
    most_calls,
)


def late(capacity: Capacity, late_ms: float, count: int = FEW) -> None:
    for _ in range(count):
        capacity.late(late_ms)


@pytest.mark.parametrize(
    ("told", "on_device", "most"),
    [
        ({}, False, 3 * CALLS_PER_CORE),
        ({}, True, 3 * ON_DEVICE_CALLS_PER_CORE),
        ({"session_processes": 2}, False, 2 * CALLS_PER_CORE),
        ({"session_processes": 9}, False, 3 * CALLS_PER_CORE),
        ({"calls_per_process": 1}, False, 3 * ALONE_CALLS_PER_CORE),
        ({"max_calls": 5}, False, 5),
        ({"max_calls": 5, "session_processes": 2}, True, 5),
    ],
)
def test_how_many_calls_a_worker_takes_follows_from_its_cores_unless_it_is_told(
    plain_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    told: dict[str, int],
    on_device: bool,
    most: int,
) -> None:
    monkeypatch.setattr(module, "cores", lambda: 3)
    assert most_calls(plain_settings.model_copy(update=told), on_device=on_device) == most


def test_a_limit_that_is_known_late_holds_from_then_on() -> None:
    capacity = Capacity(16)
    capacity.limit(4)
    late(capacity, 1.0)
    assert [capacity.judge(0, at) for at in (0.0, GROW_EVERY_S)] == [4, 4]
    capacity.limit(8)
    assert capacity.judge(0, 2 * GROW_EVERY_S) == 5, "one more at a time, as after any cut"


def test_what_is_allowed_is_never_exceeded() -> None:
    capacity = Capacity(4)
    late(capacity, 1.0)
    assert [capacity.judge(0, at) for at in (0.0, GROW_EVERY_S, 2 * GROW_EVERY_S)] == [4, 4, 4]


def test_loops_that_are_late_cost_seats_at_once() -> None:
    capacity = Capacity(20)
    late(capacity, 50.0)
    assert capacity.judge(20, 0.0) == 16
    late(capacity, 50.0)
    assert capacity.judge(16, CUT_EVERY_S / 2) == 16, "the first cut must show first"
    assert capacity.judge(15, CUT_EVERY_S) == 12


def test_seats_come_back_soon_up_to_where_it_was_late_and_one_by_one_from_there() -> None:
    capacity = Capacity(20)
    late(capacity, 50.0)
    assert capacity.judge(14, 0.0) == 11
    late(capacity, 2.0, 200)
    assert capacity.judge(11, REGAIN_EVERY_S - 1) == 11
    assert capacity.judge(11, REGAIN_EVERY_S) == 13, "13 were no trouble"
    assert capacity.judge(13, 2 * REGAIN_EVERY_S) == 13, "14 were"
    assert capacity.judge(13, REGAIN_EVERY_S + GROW_EVERY_S) == 14


def test_what_else_the_machine_did_once_is_forgotten() -> None:
    capacity = Capacity(16)
    late(capacity, 50.0)
    assert capacity.judge(3, 0.0) == 2, "three calls were late: something else was on the machine"
    late(capacity, 2.0, 200)
    seats = [capacity.judge(2, at_s) for at_s in range(int(FORGET_S) + 60)]
    assert seats[int(FORGET_S) - 1] <= 4
    assert seats[-1] == 16
    assert max(later - before for before, later in pairwise(seats)) <= 4, "never all at once"


def test_calls_that_go_on_are_waited_for_before_the_next_cut() -> None:
    capacity = Capacity(12)
    for at_s in range(0, 60, 6):
        late(capacity, 50.0)
        capacity.judge(12, float(at_s))
    assert capacity.seats == 9
    late(capacity, 50.0)
    assert capacity.judge(9, 60.0) == 7


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
