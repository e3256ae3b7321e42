"""Seats: promised to one, taken by one, kept by one; on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from repartee.store import Held, Seats, Store
from repartee.store import seats as module


@pytest.fixture
def seats(store: Store) -> Seats:
    return Seats(store)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The database's clock, to be put forward."""

    class Clock:
        s = 1000.0

    monkeypatch.setattr(module, "database_now_s", lambda _: Clock.s)
    return Clock


def held(number: int, worker: str = "w1", epoch: int = 0) -> Held:
    return Held(f"room-{number}", f"call-{number}", worker, f"agent-{number}-{worker}", epoch)


def test_when_the_workers_are_gone_there_are_no_seats(seats: Seats) -> None:
    seats.announce("w1", 3)
    seats.withdraw("w1")
    full = seats.promise("room-1", 30)
    assert full is not None
    assert (full.seats, full.taken, full.free) == (0, 0, 0)


def test_workers_with_a_database_of_their_own_are_left_to_count_for_themselves(seats: Seats) -> None:
    assert seats.promise("room-1", 30) is None
    assert seats.seating().taken == 0


def test_a_seat_that_was_promised_is_the_one_that_is_taken(seats: Seats) -> None:
    seats.announce("w1", 2)
    assert seats.promise("room-1", 30) is None
    assert seats.take(held(1)) == 1
    assert seats.promise("room-2", 30) is None
    assert seats.promise("room-3", 30) is not None, "one is taken, one is promised"
    seats.give_back("room-1", 1)
    assert seats.promise("room-3", 30) is None


def test_whether_a_call_goes_on_is_known_by_its_seat(seats: Seats, clock: Any) -> None:
    assert seats.goes_on("room-1") is None, "no worker was ever heard of: they count for themselves"
    seats.announce("w1", 2)
    assert seats.goes_on("room-1") is False
    seats.promise("room-1", 30)
    assert seats.goes_on("room-1") is True, "the agent is sent for"
    clock.s += 31
    assert seats.goes_on("room-1") is False, "it never came"
    seats.take(held(1))
    clock.s += 50
    assert seats.goes_on("room-1") is True, "nothing was heard of it, and somebody may take it over"
    clock.s += 11
    assert seats.goes_on("room-1") is False
    seats.take(held(1))
    seats.give_back("room-1")
    assert seats.goes_on("room-1") is False


def test_a_burst_neither_oversubscribes_nor_leaves_seats_empty(seats: Seats) -> None:
    seats.announce("w1", 20)
    seats.announce("w2", 10)
    with ThreadPoolExecutor(12) as burst:
        answers = list(burst.map(lambda n: seats.promise(f"room-{n}", 30), range(50)))
    assert sum(answer is None for answer in answers) == 30
    assert seats.seating().free == 0


def test_who_does_not_come_loses_the_promise(seats: Seats, clock: Any) -> None:
    seats.announce("w1", 1)
    assert seats.promise("room-1", 30) is None
    clock.s += 9
    assert seats.promise("room-2", 30) is not None
    clock.s += 22
    seats.announce("w1", 1)
    assert seats.promise("room-2", 30) is None


def test_a_worker_that_drains_or_is_silent_has_no_seats(seats: Seats, clock: Any) -> None:
    seats.announce("w1", 3)
    seats.announce("w2", 2, draining=True)
    assert seats.seating().seats == 3
    assert seats.others("w2") == 1
    assert seats.others("w1") == 0
    clock.s += module.WORKER_GONE_S + 1
    assert seats.seating().seats == 0
    seats.announce("w1", 3)
    seats.withdraw("w1")
    assert seats.seating().seats == 0


def test_only_one_takes_over_and_the_old_one_is_fenced_off(seats: Seats, clock: Any) -> None:
    seats.announce("w1", 5)
    epoch = seats.take(held(1))
    assert seats.holds(held(1, epoch=epoch))
    assert seats.orphans(3) == []
    clock.s += 4
    [orphan] = seats.orphans(3)
    assert (orphan.call_id, orphan.epoch, orphan.silent_s) == ("call-1", 1, 4)
    assert seats.take_over(orphan, held(1, "w2")) == 2
    assert seats.take_over(orphan, held(1, "w3")) is None, "w2 was faster"
    assert not seats.holds(held(1, epoch=1))
    assert seats.holds(held(1, "w2", epoch=2))
    assert seats.keep([held(1, "w1", epoch=1)]) == {"call-1"}
    assert seats.keep([held(1, "w2", epoch=2)]) == set()
    seats.give_back("room-1", 1)
    assert seats.seating().taken == 1, "the old agent's end frees nothing of the new one's"


def test_a_worker_is_silent_when_others_are_not(seats: Seats, clock: Any) -> None:
    for worker in ("w1", "w2"):
        seats.announce(worker, 5)
    seats.take(held(1))
    seats.take(held(2, worker="never heard of"))
    clock.s += 4
    assert [orphan.worker_silent_s for orphan in seats.orphans(3)] == [0, 0], "nobody could write, perhaps"
    seats.announce("w2", 5)
    assert {orphan.worker_id: orphan.worker_silent_s for orphan in seats.orphans(3)} == {
        "w1": 4,
        "never heard of": 0,
    }


def test_a_call_that_is_kept_is_no_orphan(seats: Seats, clock: Any) -> None:
    epoch = seats.take(held(1))
    for _ in range(5):
        clock.s += 2
        assert seats.keep([held(1, epoch=epoch)]) == set()
    assert seats.orphans(3) == []
    [kept] = seats.orphans(-1)
    assert kept.kept_s == 10
    seats.let_go(replace(held(1, epoch=epoch), losses=2))
    [orphan] = seats.orphans(3)
    assert (orphan.call_id, orphan.kept_s, orphan.losses) == ("call-1", 0, 2), "who lets go has lost nobody"
    seats.take_over(orphan, replace(held(1, "w2"), losses=1))
    [taken] = seats.orphans(-1)
    assert (taken.kept_s, taken.losses) == (0, 1), "it counts anew for the next agent"


def test_what_an_agent_knows_of_losses_is_kept_where_the_store_has_forgotten_the_call(seats: Seats) -> None:
    assert seats.keep([replace(held(1, epoch=3), losses=2)]) == set()
    [claimed] = seats.orphans(-1)
    assert (claimed.epoch, claimed.losses) == (3, 2)


def test_workers_of_the_version_before_write_no_losses(seats: Seats) -> None:
    with seats._store.connection(writes=True) as connection:
        connection.execute(
            text(
                "INSERT INTO seats (room, call_id, worker_id, identity, epoch, seen_at, until) "
                "VALUES ('room-1', 'call-1', 'old', 'agent-1', 1, 0, 0)"
            )
        )
    assert [orphan.losses for orphan in seats.orphans(3)] == [0]


def test_an_agent_whose_taking_is_written_late_is_not_fenced_off_by_it(seats: Seats) -> None:
    assert seats.take(held(1)) == 1
    successor = held(1, "w2", epoch=2)  # who asked, had no answer, and went on
    assert seats.take_over(held(1, epoch=1), successor) == 2
    assert seats.keep([successor]) == set()
    assert seats.holds(successor)
    assert seats.keep([held(1, epoch=1)]) == {"call-1"}


def test_a_seat_that_is_taken_late_is_taken_from_nobody(seats: Seats) -> None:
    assert seats.keep([held(1, epoch=1)]) == set(), "it asked, had no answer, and went on"
    assert seats.take(held(1)) == 1
    successor = held(1, "w2", epoch=2)
    assert seats.keep([successor]) == set()
    seats.take(held(1))
    assert seats.holds(successor)
    assert seats.keep([successor]) == set()


def test_a_room_s_next_call_has_the_next_epoch(seats: Seats) -> None:
    assert seats.take(held(1)) == 1
    another = Held("room-1", "call-2", "w1", "agent-2", 0)
    assert seats.take(another) == 2


def test_who_could_not_ask_has_the_call_when_the_store_is_back(seats: Seats) -> None:
    seats.announce("w1", 5)
    begun = held(1, epoch=1)
    seats.promise("room-1", 30)
    assert seats.keep([begun]) == set(), "it began while the store was away: its seat was only promised"
    assert seats.seating().taken == 1
    successor, rival = held(1, "w2", epoch=2), held(1, "w3", epoch=2)
    assert seats.holds(successor), "the older agent in the store is dead for certain"
    assert seats.keep([successor]) == set()
    assert not seats.holds(begun)
    assert seats.keep([rival, begun]) == {"call-1"}
    assert not seats.holds(rival), "of two that have the same epoch the store's is the one"
    assert seats.take_over(successor, held(1, "w4")) == 3


def test_a_call_nobody_took_over_leaves_its_seat_and_may_come_back(seats: Seats, clock: Any) -> None:
    seats.announce("w1", 1)
    epoch = seats.take(held(1))
    clock.s += module.CALL_GONE_S + 1
    seats.announce("w1", 1)
    assert seats.seating().taken == 0
    assert seats.keep([held(1, epoch=epoch)]) == set(), "the database was away, not the call"
    assert seats.seating().taken == 1


# --- callers to whom no agent was ever sent ----------------------------------------------------------------------


def test_a_seat_that_was_promised_and_not_taken_is_found_and_taken_by_one(seats: Seats, clock: Any) -> None:
    seats.announce("w1", 5)
    assert seats.promise("room-1", 30) is None
    assert seats.promise("room-2", 30) is None
    assert seats.promised(4) == [], "they are on their way"
    clock.s += 4
    seats.take(held(2))
    assert seats.promised(4) == ["room-1"]
    assert seats.take_promised(held(1, "w2")) == 1
    assert seats.take_promised(held(1, "w1")) is None, "w2 was faster"
    assert seats.holds(held(1, "w2", epoch=1))
    assert seats.promised(4) == []
    assert seats.seating().taken == 2, "it is the same seat"
    assert seats.promise("room-3", 30) is None
    clock.s += 31
    assert seats.promised(4) == [], "the promise has run out"
    assert seats.take_promised(held(4)) is None, "nobody was promised one"


@pytest.mark.parametrize("late", [1, 2], ids=["its taking was not written", "it took the seat late"])
def test_of_two_calls_in_one_room_only_the_newer_goes_on(seats: Seats, late: int) -> None:
    """An agent that LiveKit sent late, and one that was fetched meanwhile."""
    seats.announce("w1", 5)
    assert seats.promise("room-1", 30) is None
    fetched = replace(held(1, "w2"), call_id="fetched")
    fetched = replace(fetched, epoch=seats.take_promised(fetched) or 0)
    sent = held(1, "w1", epoch=1)
    if late == 2:
        sent = replace(sent, epoch=seats.take(sent))
    loser, winner = (fetched, sent) if late == 2 else (sent, fetched)
    assert seats.keep([loser]) == {loser.call_id}
    assert seats.keep([winner]) == set()
    assert (seats.holds(loser), seats.holds(winner)) == (False, True)
