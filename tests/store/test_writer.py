"""The writer never waits for the database, and loses nothing that was handed over."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy.exc import IntegrityError, OperationalError

from repartee.errors import ConfigError
from repartee.store import CallWriter, EventRow, Store, TurnRow
from repartee.store import writer as writer_module
from repartee.store.journal import Journal
from repartee.store.rows import Record, encode
from tests import postgres
from tests.conftest import ROOT
from tests.store.filling import START, call, ledger

WAIT_S = 30.0


class Database:
    """Takes rows as a database would, or does not."""

    def __init__(self) -> None:
        self.rows: list[Record] = []
        self.away = threading.Event()
        self.asked = threading.Semaphore(0)
        self.open = threading.Event()
        self.open.set()
        self.refuses: Callable[[Record], bool] = lambda _: False

    def write(self, records: Sequence[Record]) -> None:
        self.asked.release()
        assert self.open.wait(WAIT_S)
        if self.away.is_set():
            raise OperationalError("INSERT", {}, Exception("the server closed the connection"))
        if any(map(self.refuses, records)):
            raise IntegrityError("INSERT", {}, Exception("quotes what somebody said"))
        self.rows += records

    def wait_until_asked(self) -> None:
        assert self.asked.acquire(timeout=WAIT_S)

    @property
    def texts(self) -> list[str]:
        return [record.row.user_text for record in self.rows if isinstance(record.row, TurnRow)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "RETRY_S", (0.01,))


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def logged() -> Iterator[list[structlog.typing.EventDict]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


def turns(count: int, first: int = 1) -> list[TurnRow]:
    return [TurnRow("x", number, f"words {number}") for number in range(first, first + count)]


def said(count: int) -> list[str]:
    return [f"words {number}" for number in range(1, count + 1)]


def events(entries: list[structlog.typing.EventDict]) -> list[str]:
    return [entry["event"] for entry in entries]


async def test_a_whole_call_from_the_event_loop(store: Store, tmp_path: Path) -> None:
    writer = store.writer("x")
    writer.begin(call("x"))
    writer.turn(TurnRow("x", 1, "hello"))
    writer.usage(ledger("r1", "x", "0.5"))
    writer.usage(ledger("r1", "x", "0.5"))
    writer.event(EventRow("x", 5.0, "tool", {"name": "book"}))
    writer.turn(TurnRow("x", 1, "hello", "hi there"))
    writer.end("x", "caller left", START + timedelta(minutes=3), speech_s=20.0)
    assert await asyncio.to_thread(writer.close, WAIT_S)
    summary = store.call("x")
    assert summary is not None
    assert (summary.call.call_s, summary.call.reason, summary.turns) == (180.0, "caller left", 1)
    assert store.turns("x")[0].heard_text == "hi there"
    assert [event.kind for event in store.events("x")] == ["tool"]
    assert str(summary.cost) == "0.500000000"
    assert list((tmp_path / "spool").iterdir()) == []


def test_rows_are_written_while_the_call_goes_on(database: Database, tmp_path: Path) -> None:
    writer = CallWriter("x", database.write, tmp_path)
    writer.turn(TurnRow("x", 1, "words 1"))
    database.wait_until_asked()
    assert writer.close(WAIT_S)
    assert database.texts == said(1)


def test_many_rows_come_in_order(database: Database, tmp_path: Path) -> None:
    writer = CallWriter("x", database.write, tmp_path)
    for row in turns(3000):
        writer.turn(row)
    assert writer.close(WAIT_S)
    assert database.texts == said(3000)
    assert writer.lost == 0


def test_a_database_that_goes_away_and_comes_back(
    database: Database, tmp_path: Path, logged: list[structlog.typing.EventDict]
) -> None:
    writer = CallWriter("x", database.write, tmp_path)
    database.away.set()
    for row in turns(5):
        writer.turn(row)
        database.wait_until_asked()
    database.away.clear()
    database.wait_until_asked()
    writer.turn(TurnRow("x", 6, "words 6"))
    assert writer.close(WAIT_S)
    assert database.texts == said(6)
    # Said once, however often it was tried.
    assert events(logged) == ["store.away", "store.back"]
    assert list(tmp_path.iterdir()) == []


def test_more_rows_than_memory_holds_wait_on_disk(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_IN_MEMORY", 10)
    database.away.set()
    writer = CallWriter("x", database.write, tmp_path)
    for row in turns(500):
        writer.turn(row)
    database.wait_until_asked()
    database.away.clear()
    assert writer.close(WAIT_S)
    assert database.texts == said(500)
    assert writer.lost == 0


def test_what_a_call_could_not_write_is_written_at_the_next_start(
    store: Store, database: Database, tmp_path: Path
) -> None:
    database.away.set()
    writer = CallWriter("x", database.write, tmp_path / "spool")
    writer.begin(call("x"))
    for row in turns(1200):
        writer.turn(row)
    assert not writer.close(WAIT_S)
    assert store.replay() == 1201
    assert [turn.user_text for turn in store.turns("x")] == said(1200)
    assert list((tmp_path / "spool").iterdir()) == []
    assert store.replay() == 0


def test_a_living_writer_s_journal_is_left_alone(store: Store, database: Database, tmp_path: Path) -> None:
    database.away.set()
    writer = CallWriter("x", database.write, tmp_path / "spool")
    writer.turn(TurnRow("x", 1, "words 1"))
    database.wait_until_asked()
    assert store.replay() == 0
    database.away.clear()
    assert writer.close(WAIT_S)
    assert database.texts == said(1)


def test_a_line_that_was_not_finished_is_left_out(
    store: Store, tmp_path: Path, logged: list[structlog.typing.EventDict]
) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    whole = [encode(Record(row, number)) for number, row in enumerate(turns(2))]
    (folder / "a.jsonl").write_bytes(whole[0] + whole[1][:-20])
    assert store.replay(folder) == 1
    assert events(logged) == ["store.line_not_whole", "store.replayed"]
    assert "words" not in str(logged)


def test_a_row_that_is_refused_does_not_hold_up_the_others(
    database: Database, tmp_path: Path, logged: list[structlog.typing.EventDict]
) -> None:
    database.refuses = lambda record: isinstance(record.row, TurnRow) and record.row.turn_id == 3
    writer = CallWriter("x", database.write, tmp_path)
    for row in turns(5):
        writer.turn(row)
    writer.event(EventRow("x", 1.0, "tool", {"no json": object()}))
    assert not writer.close(WAIT_S)
    assert database.texts == ["words 1", "words 2", "words 4", "words 5"]
    assert writer.lost == 2
    assert events(logged) == ["store.row_refused"] * 2
    assert "words" not in str(logged)
    assert "somebody" not in str(logged)


def test_a_full_disk_does_not_stop_the_call(
    database: Database,
    tmp_path: Path,
    logged: list[structlog.typing.EventDict],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer_module, "MAX_IN_MEMORY", 3)
    (tmp_path / "file").touch()
    database.away.set()
    # No folder can be made below a file: the journal fails as on a full disk, whoever runs this.
    writer = CallWriter("x", database.write, tmp_path / "file" / "spool")
    database.open.clear()
    writer.turn(TurnRow("x", 1, "words 1"))
    database.wait_until_asked()
    for row in turns(3, first=2):
        writer.turn(row)
    database.open.set()
    database.wait_until_asked()
    database.away.clear()
    assert not writer.close(WAIT_S)
    # What memory holds is written, what it does not is counted; each is said once.
    assert database.texts == said(3)
    assert writer.lost == 1
    assert sorted(events(logged)) == ["store.away", "store.back", "store.journal_failed", "store.rows_lost"]


def test_the_journal_has_a_bound(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_IN_MEMORY", 0)
    database.away.set()
    writer = CallWriter("x", database.write, tmp_path, max_journal_bytes=1000)
    for row in turns(50):
        writer.turn(row)
        database.asked.acquire(timeout=0)
    assert not writer.close(WAIT_S)
    # What fits is kept, what does not is counted.
    kept = sum(len(file.read_bytes().splitlines()) for file in tmp_path.iterdir())
    assert kept > 0
    assert kept + writer.lost == 50
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1000


def test_close_does_not_wait_for_a_database_that_hangs(store: Store, tmp_path: Path) -> None:
    entered, release = threading.Event(), threading.Event()

    def hang(_: Sequence[Record]) -> None:
        entered.set()
        assert release.wait(WAIT_S)

    writer = CallWriter("x", hang, tmp_path / "spool")
    writer.turn(TurnRow("x", 1, "words 1"))
    assert entered.wait(WAIT_S)
    writer.turn(TurnRow("x", 2, "words 2"))
    assert not writer.close(0.01)
    # It answers after all; the journal stays, since the second row was never sent.
    release.set()
    writer._thread.join(WAIT_S)
    assert not writer._thread.is_alive()
    writer._journal.close()
    store.replay()
    assert [turn.user_text for turn in store.turns("x")] == said(2)


def test_a_closed_writer_takes_nothing(database: Database, tmp_path: Path) -> None:
    writer = CallWriter("x", database.write, tmp_path)
    assert writer.close(WAIT_S)
    writer.turn(TurnRow("x", 1, "words 1"))
    assert writer.lost == 1
    assert database.rows == []


def test_a_database_on_a_server_needs_a_folder(postgres_server: postgres.Server) -> None:
    store = Store.open(postgres_server.new_database())
    with pytest.raises(ConfigError, match="needs a folder"):
        store.writer("x")
    store.close()


def test_a_real_server_that_stops_in_the_middle_of_a_call(
    postgres_server: postgres.Server, tmp_path: Path, logged: list[structlog.typing.EventDict]
) -> None:
    store = Store.open(postgres_server.new_database(), spool=tmp_path / "spool")
    journal_synced = threading.Event()
    writer = store.writer("x")
    original = writer._is_away

    def tell(error: Exception) -> None:
        original(error)
        journal_synced.set()

    writer._is_away = tell  # type: ignore[method-assign]
    writer.begin(call("x"))
    writer.turn(TurnRow("x", 1, "words 1"))
    postgres_server.stop()
    try:
        writer.turn(TurnRow("x", 2, "words 2"))
        assert journal_synced.wait(WAIT_S)
        writer.turn(TurnRow("x", 3, "words 3"))
    finally:
        postgres_server.start()
    writer.turn(TurnRow("x", 4, "words 4"))
    assert writer.close(WAIT_S)
    assert [turn.user_text for turn in store.turns("x")] == said(4)
    assert writer.lost == 0
    assert events(logged) == ["store.away", "store.back"]
    store.close()


KILLED = """
import sys
from pathlib import Path
from repartee.store import CallWriter, TurnRow
from sqlalchemy.exc import OperationalError

count = int(sys.argv[2])
def away(records):
    if len(records) == count:
        print("handed over", flush=True)
    raise OperationalError("INSERT", {}, Exception("away"))

writer = CallWriter("x", away, Path(sys.argv[1]))
for number in range(1, count + 1):
    writer.turn(TurnRow("x", number, f"words {number}"))
sys.stdin.read()
"""


def test_a_killed_process_loses_nothing_it_has_handed_over(store: Store, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "spool"), "300"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    lines = iter(child.stdout.readline, "")
    assert any(line == "handed over\n" for line in lines)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert store.replay() == 300
    assert [turn.user_text for turn in store.turns("x")] == said(300)


def test_the_journal_is_read_by_its_owner_only(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "spool")
    journal.append([encode(Record(TurnRow("x", 1, "words 1"), 1))], sync=True)
    (file,) = (tmp_path / "spool").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert json.loads(file.read_text())["kind"] == "turn"
    journal.close()
    assert file.exists()


NEARLY_FULL = """
import resource
import sys
from pathlib import Path
from repartee.store import TurnRow
from repartee.store.journal import Journal
from repartee.store.rows import Record, encode

# A file that may not grow behaves as one on a full disk: a part of the last write is taken, then an error comes.
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
journal = Journal(Path(sys.argv[1]))
taken, refused = [], 0
for number in range(1, 200):
    try:
        journal.append([encode(Record(TurnRow("x", number, f"words {number}"), number))], sync=False)
        taken.append(number)
    except OSError:
        refused += 1
print(refused, *taken)
"""


def test_a_disk_that_is_nearly_full_tears_no_row(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", NEARLY_FULL, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    refused, *taken = (int(word) for word in child.stdout.split())
    (file,) = tmp_path.iterdir()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert refused > 0
    assert [row["revision"] for row in rows] == taken, "what was taken is whole, and nothing else is there"
