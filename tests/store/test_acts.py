"""Acts: one agent of a call gets to do it, and who takes the call over knows of it; on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from repartee.store import Act, Acts, CallRow, Store
from repartee.store import acts as module
from repartee.store.seats import FORGOTTEN_S


@pytest.fixture
def acts(store: Store) -> Acts:
    return Acts(store)


def test_what_was_begun_by_one_agent_is_not_begun_by_the_next(acts: Acts) -> None:
    assert acts.begin("call-1", "k1", "book", epoch=1)
    assert not acts.begin("call-1", "k1", "book", epoch=2), "it may be done, or not"
    assert acts.begin("call-1", "k2", "book", epoch=2)
    assert acts.begin("call-2", "k1", "book", epoch=1), "another call's"
    acts.done("call-1", "k1")
    assert not acts.begin("call-1", "k1", "book", epoch=2)
    assert acts.of_call("call-1") == [Act("k1", "book", True), Act("k2", "book", False)]


def test_an_agent_may_try_again_what_it_has_not_done(acts: Acts) -> None:
    assert acts.begin("call-1", "k1", "book", epoch=1)
    assert acts.begin("call-1", "k1", "book", epoch=1), "it ran out of time, say, and is called off"
    acts.done("call-1", "k1")
    assert not acts.begin("call-1", "k1", "book", epoch=1)


def test_what_failed_may_be_done_by_anybody(acts: Acts) -> None:
    acts.begin("call-1", "k1", "book", epoch=1)
    acts.failed("call-1", "k1", epoch=2)
    assert len(acts.of_call("call-1")) == 1, "only who began it knows that it failed"
    acts.failed("call-1", "k1", epoch=1)
    assert acts.begin("call-1", "k1", "book", epoch=2)


def test_what_was_made_void_may_be_done_again(acts: Acts) -> None:
    for key, tool in (("k1", "book"), ("k2", "write_to"), ("k3", "cancel")):
        acts.begin("call-1", key, tool, epoch=1)
    acts.begin("call-2", "k1", "book", epoch=1)
    acts.done("call-1", "k3", undone=("book",))
    assert [act.key for act in acts.of_call("call-1")] == ["k2", "k3"]
    assert len(acts.of_call("call-2")) == 1


def test_of_many_at_once_one_gets_to(acts: Acts) -> None:
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda epoch: acts.begin("call-1", "k1", "book", epoch), range(1, 9)))
    assert won.count(True) == 1


def test_they_are_swept_away_when_no_call_can_be_that_old(
    acts: Acts, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s: list[Any] = [1000.0]
    monkeypatch.setattr(module, "database_now_s", lambda _: now_s[0])
    acts.begin("call-1", "k1", "book", epoch=1)
    now_s[0] += FORGOTTEN_S + 1
    acts.begin("call-2", "k1", "book", epoch=1)
    assert acts.of_call("call-1") == []


def test_they_go_with_what_was_said(acts: Acts, store: Store) -> None:
    began = datetime.now(UTC)
    for call_id in ("call-1", "call-2"):
        store.write([CallRow(call_id, "A", "1", f"room of {call_id}", began)])
        acts.begin(call_id, "k1", "book", epoch=1)
    store.delete_call("call-1")
    assert acts.of_call("call-1") == []
    store.purge(began + timedelta(days=1))
    assert acts.of_call("call-2") == []
