"""Finding calls: by agent, day, end and words; what is erased is found no more; percentiles by day."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from repartee.store import CallEnd, CallQuery, Store, TurnRow
from tests.store.filling import START, call, fill, ledger


def ids(store: Store, **asked: object) -> list[str]:
    return [found.call.call_id for found in store.find(CallQuery(**asked))]  # type: ignore[arg-type]


def test_a_call_in_a_list_has_its_waits_and_its_cost(store: Store) -> None:
    fill(store)
    found = {one.call.call_id: one for one in store.find(CallQuery())}
    assert list(found) == ["cc33", "bb22", "aa11"]
    first = found["aa11"]
    assert (first.state, first.turns, first.latency_ms, first.slowest_ms) == ("ended", 1, 480.0, 480.0)
    assert (str(first.cost), str(first.wasted)) == ("0.001700000", "0.000200000")
    assert found["bb22"].unpriced == 1
    assert found["cc33"].state == "lost"
    assert store.count(CallQuery()) == 3


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"agent": "sales"}, ["bb22"]),
        ({"reason": "caller left"}, ["aa11"]),
        ({"since": START + timedelta(hours=2)}, ["cc33", "bb22"]),
        ({"until": START + timedelta(hours=2)}, ["aa11"]),
        ({"state": "ended"}, ["bb22", "aa11"]),
        ({"state": "lost"}, ["cc33"]),
        ({"state": "live"}, []),
        ({"words": "sunday"}, ["aa11"]),
        ({"words": "CLOSED sun"}, ["aa11"]),
        ({"words": "sunday hello"}, []),
        ({"words": "' OR 1=1 --"}, []),
        ({"words": '"* NEAR(('}, []),
        ({"words": "  "}, []),
    ],
)
def test_calls_are_found_by(store: Store, asked: dict[str, object], found: list[str]) -> None:
    fill(store)
    assert ids(store, **asked) == found
    assert store.count(CallQuery(**asked)) == len(found)  # type: ignore[arg-type]


def test_what_was_said_around_the_words_is_shown_with_its_turn(store: Store) -> None:
    fill(store)
    (found,) = store.find(CallQuery(words="sundays"))
    assert (found.turn_id, found.snippet) == (1, "Are you open on Sunday? No, we are closed on Sundays.")


def test_pages_follow_each_other_without_a_gap(store: Store) -> None:
    same = START + timedelta(hours=1)
    store.write([call(f"c{number}", started_at=same) for number in range(7)])
    seen: list[str] = []
    before = None
    while page := store.find(CallQuery(limit=3, before=before)):
        seen += [found.call.call_id for found in page]
        before = (page[-1].call.started_at, page[-1].call.call_id)
    assert seen == [f"c{number}" for number in range(7)]


def test_a_call_is_live_while_it_is_written_to(store: Store) -> None:
    now = datetime.now(UTC)
    long_ago = now - timedelta(hours=1)
    store.write(
        [call("new", started_at=now), call("dead", started_at=long_ago), call("old", started_at=long_ago)]
    )
    store.write([TurnRow("old", 1, user_text="Still here.")])
    assert {found.call.call_id: found.state for found in store.find(CallQuery())} == {
        "new": "live",
        "old": "live",
        "dead": "lost",
    }
    assert ids(store, state="live") == ["new", "old"]
    assert ids(store, state="lost") == ["dead"]


def test_a_turn_that_is_written_again_is_found_by_its_new_words_only(store: Store) -> None:
    fill(store)
    store.write([TurnRow("aa11", 1, user_text="Are you open on Monday?")])
    assert ids(store, words="sunday") == []
    assert ids(store, words="monday") == ["aa11"]


def test_erased_words_are_found_no_more(store: Store) -> None:
    fill(store)
    assert store.words_kept(["aa11", "bb22", "gone"]) == {"aa11": True, "bb22": True}
    store.forget_caller("ann")
    assert ids(store, words="sunday") == []
    assert store.words_kept(["aa11", "bb22", "gone"]) == {"aa11": False, "bb22": True}
    assert store.delete_call("bb22")
    assert ids(store, words="hello") == []


def test_nothing_of_erased_words_stays_in_sqlite_s_file(tmp_path: Path) -> None:
    file = tmp_path / "repartee.db"
    store = Store.open(f"sqlite:///{file}")
    store.write(
        [call("a"), *(TurnRow("a", turn, user_text=f"My name is Xylophonia{turn}.") for turn in range(9))]
    )
    store.purge(START + timedelta(days=1))
    store.close()
    assert b"ylophonia" not in file.read_bytes().lower()


def test_words_are_still_found_after_a_vacuum(tmp_path: Path) -> None:
    file = tmp_path / "repartee.db"
    store = Store.open(f"sqlite:///{file}")
    fill(store)
    store.delete_call("aa11")
    store.close()
    with sqlite3.connect(file) as database:
        database.execute("VACUUM")
    store = Store.open(f"sqlite:///{file}")
    store.write([TurnRow("bb22", 1, user_text="Goodbye.")])
    assert ids(store, words="hello") == []
    assert ids(store, words="goodbye") == ["bb22"]
    store.close()


def test_percentiles_and_cost_by_day_and_agent(store: Store) -> None:
    waits = [float(number) for number in range(1, 101)]
    store.write([call("a"), *(TurnRow("a", turn, latency_ms=wait) for turn, wait in enumerate(waits))])
    store.write([CallEnd("a", "caller left", START + timedelta(seconds=90))])
    store.write(
        [call("b", started_at=START + timedelta(hours=14, minutes=59)), TurnRow("b", 1, latency_ms=900.0)]
    )
    store.write([call("c", started_at=START + timedelta(hours=15)), ledger("c-1", "c", "0.5", used=False)])
    first, second = store.stats(CallQuery(agent="front-desk"))
    assert (first.day, first.calls, first.answers, first.call_s) == ("2026-09-30", 2, 101, 90.0)
    assert (first.p50_ms, first.p95_ms, first.p99_ms) == (51.0, 96.0, 100.0)
    assert (second.day, second.calls, second.answers, second.p50_ms) == ("2026-10-01", 1, 0, None)
    assert str(first.cost) == "0.500000000"
    assert store.stats(CallQuery(agent="nobody")) == []
    assert len(store.stats(CallQuery(since=START + timedelta(hours=15)))) == 1


def test_the_agents_and_the_reasons_of_ends_are_listed(store: Store) -> None:
    fill(store)
    assert store.choices() == (["front-desk", "sales"], ["agent ended", "caller left"])
