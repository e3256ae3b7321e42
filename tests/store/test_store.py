"""What is written is what is read, once, exactly, on either database."""

from __future__ import annotations

import multiprocessing
import os
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from repartee.errors import ConfigError, StoreError
from repartee.store import CallEnd, CallerFact, EventRow, Seats, Selection, Store, TurnRow, migrating
from repartee.store.migrating import HEAD
from repartee.store.rows import Record
from repartee.store.schema import OF_ONE_DATABASE, metadata
from tests.store.filling import START, call, fill, ledger


def test_the_migrations_make_the_tables_of_the_code(store: Store) -> None:
    with store._engine.connect() as connection:
        mine = {
            "compare_type": True,
            "include_name": lambda name, *_: not (name or "").startswith(OF_ONE_DATABASE),
        }
        context = MigrationContext.configure(connection, opts=mine)
        assert compare_metadata(context, metadata) == []


def test_the_last_migration_is_the_version_of_the_code() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrating.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == migrating.HEAD


def _open_and_write(url: str, spool: Path, number: int, barrier: multiprocessing.synchronize.Barrier) -> None:
    barrier.wait(60)
    store = Store.open(url, spool=spool)
    store.write([call(f"call-{number}")])
    store.close()


def test_several_processes_open_an_empty_database_at_once(url: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    children = [
        context.Process(target=_open_and_write, args=(url, tmp_path, number, barrier)) for number in range(4)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(90)
    assert [child.exitcode for child in children] == [0] * 4
    store = Store.open(url, spool=tmp_path)
    assert len(store.calls()) == 4
    store.close()


def test_a_forked_process_has_its_own_connections(store: Store) -> None:
    store.write([call("parent")])
    child = os.fork()
    if child == 0:
        code = 2
        try:
            store.write([call("child")])
            code = 0 if len(store.calls()) == 2 else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.write([call("after")])
    assert {summary.call.call_id for summary in store.calls()} == {"parent", "child", "after"}


def test_tables_of_a_newer_repartee_are_left_alone(url: str, tmp_path: Path) -> None:
    store = Store.open(url, spool=tmp_path)
    with store._writes.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("UPDATE tables_floor SET version = '9998'"))
    store.close()
    with pytest.raises(
        ConfigError, match=f"version 9999 and this repartee knows {HEAD}: install a newer repartee"
    ):
        Store.open(url, spool=tmp_path)


def test_an_older_repartee_works_with_tables_to_which_a_newer_one_only_added(
    url: str, tmp_path: Path
) -> None:
    """A rollout: the new worker has migrated, the old one opens the database for its next process."""
    store = Store.open(url, spool=tmp_path)
    with store._writes.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("ALTER TABLE calls ADD COLUMN mood TEXT"))
        connection.execute(text("CREATE TABLE moods (name TEXT PRIMARY KEY)"))
    store.close()
    older = Store.open(url, spool=tmp_path)
    fill(older)
    assert [summary.call.call_id for summary in older.calls()] == ["cc33", "bb22", "aa11"]
    assert Seats(older).seating().taken == 0
    older.close()


def test_of_two_ends_the_later_one_is_right(store: Store) -> None:
    """An agent that was cut off gave the call up; the one that took it over had it to its end."""
    fill(store)
    late, early = START + timedelta(minutes=9), START + timedelta(minutes=8)
    store.write([CallEnd("aa11", "caller_left", late), CallEnd("aa11", "media_lost", early)])
    kept = store.call("aa11")
    assert kept is not None
    assert (kept.call.reason, kept.call.ended_at) == ("caller_left", late)


def test_a_call_is_read_as_it_was_written(store: Store) -> None:
    fill(store)
    summary = store.call("aa11")
    assert summary is not None
    assert summary.call == call(
        "aa11", ended_at=START + timedelta(minutes=1), reason="caller left", call_s=60.0, speech_s=12.5
    )
    assert (summary.turns, summary.cost, summary.unpriced) == (1, Decimal("0.0017"), 0)
    greeting, turn = store.turns("aa11")
    assert greeting.heard_text == "Front desk, good morning."
    assert turn == TurnRow(
        "aa11", 1, "Are you open on Sunday?", "No, we are", "closed on Sundays.", 1000.0, 2500.0, 480.0
    )
    assert store.call("nobody") is None


def test_calls_are_listed_newest_first_and_filtered(store: Store) -> None:
    fill(store)
    assert [summary.call.call_id for summary in store.calls()] == ["cc33", "bb22", "aa11"]
    assert [summary.call.call_id for summary in store.calls(limit=1)] == ["cc33"]
    assert [summary.call.call_id for summary in store.calls(agent="sales")] == ["bb22"]
    since = START + timedelta(days=1, minutes=30)
    assert [summary.call.call_id for summary in store.calls(since=since)] == ["cc33"]
    assert [summary.call.call_id for summary in store.calls(caller_id="ann")] == ["aa11"]
    assert store.call_ids("b") == ["bb22"]
    assert store.call_ids("%") == []


def test_the_later_row_of_a_turn_stands_and_an_older_one_never_comes_back(store: Store) -> None:
    first, second = TurnRow("x", 1, "hello"), TurnRow("x", 1, "hello", "hi", timings={"reply.audible": 900.0})
    store.write_records([Record(call("x"), 1), Record(first, 2), Record(second, 3)])
    store.write_records([Record(first, 2)])
    assert store.turns("x") == [second]


def test_a_request_reported_twice_counts_once(store: Store) -> None:
    row = ledger("r1", "x", "0.000000123")
    store.write([row])
    store.write([row, row])
    assert store.usage_rows() == [row]
    assert store.spent(None, START) == Decimal("0.000000123")


def test_money_is_exact(store: Store) -> None:
    store.write([ledger(f"r{number}", "x", "0.1") for number in range(10)])
    store.write([ledger("small", "x", "0.000000001"), ledger("large", "x", "1000000")])
    assert store.spent(None, START) == Decimal("1000001.000000001")


def test_spent_looks_at_agent_call_and_time(store: Store) -> None:
    fill(store)
    assert store.spent(None, START) == Decimal("0.0022")
    assert store.spent("sales", START) == Decimal("0.0004")
    assert store.spent(None, START + timedelta(hours=1)) == Decimal("0.0005")
    assert store.spent(None, START, "aa11") == Decimal("0.0017")
    assert store.spent("nobody", START) == 0


def test_costs_by_group(store: Store) -> None:
    fill(store)
    by_agent = {line.key: line for line in store.costs(["agent"])}
    desk, sales = by_agent[("front-desk",)], by_agent[("sales",)]
    assert (desk.requests, desk.cost, desk.wasted) == (4, Decimal("0.0018"), Decimal("0.0002"))
    # A call of a minute, and one that crashed: it lasted until its last request.
    assert desk.call_s == 90.0
    assert desk.per_minute == Decimal("0.0012")
    assert desk.quantities == {
        "tokens_in": Decimal(4500),
        "tokens_out": Decimal(75),
        "characters": Decimal(60),
    }
    assert (sales.requests, sales.cost, sales.unpriced) == (2, Decimal("0.0004"), 1)
    assert [line.key for line in store.costs(["day", "stage"])] == [
        ("2026-09-30", "llm"),
        ("2026-09-30", "tts"),
        ("2026-10-01", "llm"),
        ("2026-10-01", "stt"),
    ]
    assert [line.key for line in store.costs(["call"])] == [("aa11",), ("bb22",), ("cc33",)]
    assert store.unpriced() == [("openai:gpt-9", 1)]


def test_the_costs_of_all_are_the_sum_of_the_parts(store: Store) -> None:
    fill(store)
    (total,) = store.costs()
    parts = store.costs(["day", "agent", "stage", "provider", "call"])
    assert total.requests == sum(line.requests for line in parts) == 6
    assert total.cost == sum(line.cost for line in parts) == Decimal("0.0022")
    assert total.call_s == 210.0
    assert store.costs(chosen=Selection(since=START + timedelta(days=2))) == []


def test_a_request_without_a_call_is_billed_too(store: Store) -> None:
    store.write([ledger("warm", None, "0.25", purpose="warm_up", turn_id=None)])
    (line,) = store.costs(["call"])
    assert (line.key, line.cost, line.per_minute) == (("",), Decimal("0.25"), None)


def test_times_are_kept_whatever_their_zone(store: Store) -> None:
    there = datetime(2026, 10, 1, 1, 30, tzinfo=timezone(timedelta(hours=5)))
    store.write([call("x", started_at=there), ledger("r", "x", "1", at=there)])
    summary = store.call("x")
    assert summary is not None
    assert summary.call.started_at == there
    assert summary.call.started_at.tzinfo is UTC
    assert [line.key for line in store.costs(["day"])] == [("2026-09-30",)]


def test_what_no_database_takes_is_made_fit(store: Store) -> None:
    store.write(
        [
            TurnRow(
                "x", 1, "a\x00b \ud83d", timings={"good": 1.0, "bad": float("inf")}, latency_ms=float("nan")
            )
        ]
    )
    (turn,) = store.turns("x")
    assert (turn.user_text, turn.latency_ms, dict(turn.timings)) == ("ab ?", None, {"good": 1.0})


def test_a_turn_whose_call_never_began_is_kept(store: Store) -> None:
    store.write([TurnRow("x", 1, "hello")])
    store.write([call("x")])
    summary = store.call("x")
    assert summary is not None
    assert summary.call == call("x")
    assert summary.turns == 1


def test_events_are_kept_in_order(store: Store) -> None:
    store.write(
        [EventRow("x", 20.0, "tool", {"name": "book"}), EventRow("x", 10.0, "intent", {"open": ["a"]})]
    )
    assert [(event.kind, event.data) for event in store.events("x")] == [
        ("intent", {"open": ["a"]}),
        ("tool", {"name": "book"}),
    ]


def test_facts_about_a_caller_are_kept_once(store: Store) -> None:
    name = CallerFact("name", "Ann Lee", START, "aa11")
    likes = CallerFact("preference", "mornings " * 1000, START, "aa11")
    store.remember_caller("ann", [name, likes])
    again = CallerFact("name", "Ann Lee", START + timedelta(days=1), "dd44")
    store.remember_caller("ann", [again])
    assert store.caller_facts("ann") == [likes, again]
    assert store.caller_facts("bob") == []


def test_a_forgotten_caller_leaves_figures_and_no_words(store: Store, tmp_path: Path) -> None:
    fill(store)
    store.write([EventRow("aa11", 5.0, "tool", {"name": "Ann"})])
    store.remember_caller("ann", [CallerFact("name", "Ann Lee", START, "aa11")])
    before = store.costs(["day", "agent", "call"])
    # One fact, two turns, one event, one call.
    assert store.forget_caller("ann") == 5
    assert store.caller_facts("ann") == []
    assert store.events("aa11") == []
    assert {turn.user_text + turn.heard_text + turn.unheard_text for turn in store.turns("aa11")} == {""}
    assert store.turns("aa11")[1].latency_ms == 480.0
    summary = store.call("aa11")
    assert summary is not None
    assert (summary.call.caller_id, summary.call.room, summary.call.call_s) == (None, "", 60.0)
    assert store.costs(["day", "agent", "call"]) == before
    assert store.turns("bb22")[0].user_text == "Hello?"
    assert store.forget_caller("ann") == 0
    for file in tmp_path.glob("repartee.db*"):
        assert b"Sunday" not in file.read_bytes(), file


def test_words_of_an_erased_call_that_arrive_late_are_not_kept(store: Store) -> None:
    fill(store)
    old = Record(TurnRow("aa11", 1, "Are you open on Sunday?", timings={"late": 1.0}), 2**62)
    store.forget_caller("ann")
    store.write_records([Record(call("aa11"), 1), old, Record(TurnRow("aa11", 2, "my number is 555"), 2**62)])
    store.write([EventRow("aa11", 9.0, "tool", {"name": "Ann"})])
    summary = store.call("aa11")
    assert summary is not None
    assert (summary.call.caller_id, summary.call.room) == (None, "")
    assert [turn.user_text for turn in store.turns("aa11")] == ["", "", ""]
    assert store.turns("aa11")[1].timings == {"late": 1.0}
    assert store.events("aa11") == []


def test_an_export_holds_everything_of_a_caller_and_is_json(store: Store) -> None:
    import json

    fill(store)
    store.remember_caller("ann", [CallerFact("name", "Ann Lee", START, "aa11")])
    exported = json.loads(json.dumps(store.export_caller("ann")))
    assert exported["facts"][0]["text"] == "Ann Lee"
    (kept,) = exported["calls"]
    assert (kept["call_id"], kept["cost_usd"]) == ("aa11", "0.0017")
    assert kept["turns"][1]["unheard_text"] == "closed on Sundays."
    assert "Hello?" not in json.dumps(exported)


def test_old_calls_lose_their_words(store: Store) -> None:
    fill(store)
    assert store.purge(START + timedelta(hours=1)) == 3
    assert store.turns("aa11")[1].user_text == ""
    assert store.turns("bb22")[0].user_text == "Hello?"
    assert store.purge(START + timedelta(hours=1)) == 0


def test_a_deleted_call_stays_in_the_bill(store: Store) -> None:
    fill(store)
    assert store.delete_call("aa11")
    assert not store.delete_call("aa11")
    assert store.call("aa11") is None
    assert store.turns("aa11") == []
    assert store.spent(None, START) == Decimal("0.0022")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://x/y", "'mysql' is no database for calls; use sqlite:///"),
        ("nonsense", "the database URL cannot be read; it is of the form sqlite:///"),
        ("sqlite://", "SQLite needs a file, as in sqlite:////var/lib/repartee/repartee.db"),
        ("sqlite:////proc/nowhere/a.db", "the database file /proc/nowhere/a.db cannot be made"),
    ],
)
def test_a_wrong_url_is_explained(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Store.open(url)


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://desk:hunter2@127.0.0.1:9/calls?sslmode=disable"
    with pytest.raises(StoreError) as caught:
        Store.open(url, spool=tmp_path)
    assert "the database postgresql+psycopg://desk:***@127.0.0.1:9/calls does not answer" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    # Nothing is asked of it until it is used.
    Store.open(url, spool=tmp_path, must_answer=False).close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("hello " * 1000)
    with pytest.raises(StoreError, match="file is not a database"):
        Store.open(f"sqlite:///{tmp_path / 'a.db'}")


def test_the_file_is_for_its_owner_s_eyes_only(tmp_path: Path) -> None:
    Store.open(f"sqlite:///{tmp_path / 'new' / 'a.db'}").close()
    assert (tmp_path / "new" / "a.db").stat().st_mode & 0o077 == 0
