"""What the books tell of a database that is away and a full disk: timeline, record, operator. And no word is lost."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from repartee.agent import load_agent
from repartee.events import CloseTurn, OpenTurn, SpeechStarted
from repartee.providers.prices import load_prices
from repartee.session.books import Books
from repartee.session.keeping import Keeping
from repartee.session.spec import SessionSpec
from repartee.settings import Settings
from repartee.store import Store
from repartee.store import writer as writer_module
from repartee.store.rows import Record
from repartee.telemetry.timeline import Timeline
from tests import postgres
from tests.conftest import FRONT_DESK

WAIT_S = 30.0


class Call:
    """The books of a call, and what they tell."""

    def __init__(self, store: Store, folder: Path, settings: Settings) -> None:
        self.told: list[str] = []
        self.changed = asyncio.Event()
        self.file = folder / "calls" / "c.jsonl"
        self.timeline = Timeline(self.file, lambda: 0.0)
        spec = SessionSpec("c", "room", "", "", "agent", FRONT_DESK, None, folder, None)
        kept = Keeping(store, load_prices(None))
        agent = load_agent(FRONT_DESK)
        self.books = Books(
            spec, agent, settings, kept, self.timeline, lambda: 0.0, lambda: None, self._trouble
        )

    def _trouble(self, what: str) -> None:
        self.told.append(what)
        self.changed.set()

    def say(self, turn_id: int, text: str) -> None:
        self.books.record.observe(SpeechStarted(0.0, 1), (OpenTurn(turn_id), CloseTurn(turn_id, text)))

    async def until_told(self, what: str) -> None:
        async with asyncio.timeout(WAIT_S):
            while what not in self.told:
                self.changed.clear()
                await self.changed.wait()

    async def close(self) -> None:
        await self.books.aclose("caller_left")
        await asyncio.sleep(0)
        self.timeline.close()

    def marks(self) -> list[str]:
        return [json.loads(line)["name"] for line in self.file.read_text().splitlines()]


async def test_a_full_disk_is_told_and_the_call_goes_on(tmp_path: Path, plain_settings: Settings) -> None:
    (tmp_path / "file").touch()
    # No folder can be made below a file: the journal fails as on a full disk, whoever runs this.
    store = Store.open(f"sqlite:///{tmp_path / 'calls.db'}", spool=tmp_path / "file" / "spool")
    call = Call(store, tmp_path, plain_settings)
    call.say(1, "words 1")
    await call.until_told("store.journal_failed")
    call.say(2, "words 2")
    await call.close()
    assert call.told == ["store.journal_failed"], "once"
    assert "store.journal_failed" in call.marks()
    assert [turn.user_text for turn in store.turns("c")] == ["words 1", "words 2"]
    assert "store.journal_failed" in [event.kind for event in store.events("c")]
    store.close()


async def test_a_database_that_is_away_is_told_and_what_was_said_is_not_lost(
    tmp_path: Path, plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "RETRY_S", (0.05,))
    with postgres.one_for_a_test() as server:
        store = Store.open(server.new_database(), spool=tmp_path / "spool")
        call = Call(store, tmp_path, plain_settings)
        call.say(1, "words 1")
        await asyncio.to_thread(server.stop)
        call.say(2, "words 2")
        await call.until_told("store.away")
        call.say(3, "words 3")
        await asyncio.to_thread(server.start)
        await call.until_told("store.back")
        await call.close()
        turns = [turn.user_text for turn in store.turns("c")]
        kinds = [event.kind for event in store.events("c")]
        store.close()
    assert turns == ["words 1", "words 2", "words 3"]
    assert call.told == ["store.away", "store.back"]
    assert {"store.away", "store.back"} <= set(call.marks())
    assert {"store.away", "store.back"} <= set(kinds)


async def test_a_database_that_is_back_as_the_call_ends_has_everything_and_nothing_is_called_lost(
    tmp_path: Path, plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "RETRY_S", (3600.0,))
    store = Store.open(f"sqlite:///{tmp_path / 'calls.db'}")
    write, away = store.write_records, threading.Event()

    def written(records: Sequence[Record]) -> None:
        if away.is_set():
            raise OSError("away")
        write(records)

    monkeypatch.setattr(store, "write_records", written)
    away.set()
    call = Call(store, tmp_path, plain_settings)
    call.say(1, "words 1")
    await call.until_told("store.away")
    away.clear()
    await call.close()
    assert call.told == ["store.away", "store.back"]
    assert [turn.user_text for turn in store.turns("c")] == ["words 1"]
    (summary,) = store.calls()
    assert summary.call.reason == "caller_left"
    store.close()
