"""What the store knows of a call whose agents died, one after another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from repartee.errors import StoreError
from repartee.session.record import SOUNDING, next_word
from repartee.session.resuming import KNOWN_FOR_MS, resume_of
from repartee.store import CallRow, Store, TurnRow

CUT = {SOUNDING: 9000.0}
GREETING = TurnRow("call", 0, "", "Hello.")
ASKED = TurnRow("call", 1, "When do you open?", "At nine.")
OPEN = TurnRow("call", 2, "And on Sunday?")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path / 'calls.db'}")


def begun(store: Store, *turns: TurnRow) -> Store:
    store.write([CallRow("call", "Desk", "v", "room", datetime.now(UTC)), *turns])
    return store


def opening(turn_id: int, heard: str, unheard: str = "") -> TurnRow:
    return TurnRow("call", turn_id, "", heard, unheard, timings=CUT if unheard else {})


@pytest.mark.parametrize(
    "after",
    [
        (),
        (opening(3, "Sorry, we", "were cut off for a moment."),),
        (opening(3, "Sorry, we were cut off for a moment."),),
        (opening(3, "Sorry, we", "were cut off."), opening(4, "Sorry,", "we were cut off.")),
        (opening(3, "Sorry, we were cut off for a moment."), TurnRow("call", 4, "And on Sunday?")),
    ],
    ids=[
        "one agent",
        "a second died in its excuse",
        "a second died after it",
        "a third died in it too",
        "a second died thinking of the answer",
    ],
)
def test_a_question_that_nobody_answered_is_open_however_many_agents_died_of_it(
    store: Store, after: tuple[TurnRow, ...]
) -> None:
    resume = resume_of(begun(store, GREETING, ASKED, OPEN, *after), "call")
    assert resume.unanswered == "And on Sunday?"
    assert resume.rest == ""
    assert [said for said, _ in resume.turns if said] == ["When do you open?"], "it is asked once"
    assert resume.next_turn_id == 3 + len(after), "no turn is written over"


def test_a_question_that_the_second_agent_answered_is_not_open(store: Store) -> None:
    answered = TurnRow("call", 4, "And on Sunday?", "We are closed", "on Sundays.", timings=CUT)
    resume = resume_of(begun(store, GREETING, ASKED, OPEN, opening(3, "Sorry."), answered), "call")
    assert resume.unanswered == ""
    assert resume.rest == "on Sundays."


def test_the_rest_of_an_answer_is_not_lost_with_the_agent_that_was_to_say_it(store: Store) -> None:
    cut = TurnRow("call", 2, "And on Sunday?", "We are", "closed on Sundays.", timings=CUT)
    vain = opening(3, "Sorry, we", "were cut off for a moment. closed on Sundays.")
    resume = resume_of(begun(store, GREETING, ASKED, cut, vain), "call")
    assert (resume.rest, resume.unanswered, resume.next_turn_id) == ("closed on Sundays.", "", 4)


def test_a_rest_that_was_said_is_not_said_again(store: Store) -> None:
    cut = TurnRow("call", 2, "And on Sunday?", "We are", "closed on Sundays.", timings=CUT)
    said = opening(3, "Sorry, we were cut off for a moment. closed on Sundays.")
    assert resume_of(begun(store, GREETING, cut, said), "call").rest == ""


def test_a_greeting_that_was_cut_goes_on(store: Store) -> None:
    cut = TurnRow("call", 0, "", "Hello,", "how can I help?", timings=CUT)
    assert resume_of(begun(store, cut), "call").rest == "how can I help?"


def test_what_a_store_that_is_away_knows_is_not_written_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: str) -> list[TurnRow]:
        raise StoreError("away")

    begun(store, GREETING, ASKED)
    monkeypatch.setattr(store, "turns", away)
    resume = resume_of(store, "call")
    assert resume.turns == ()
    assert resume.next_turn_id > ASKED.turn_id
    again = resume_of(store, "call", 2)
    assert again.next_turn_id >= 2 * resume.next_turn_id, "nor what an agent that knew nothing said"


def test_calls_of_one_dead_process_all_know_what_was_in_its_journals(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is taken over on a thread of its own, and one of them replays what all of them need."""
    calls = [f"call-{number}" for number in range(4)]
    write, replaying = store.write_records, threading.Event()
    monkeypatch.setattr(store, "write_records", _away)
    for call_id in calls:
        writer = store.writer(call_id)
        writer.begin(CallRow(call_id, "Desk", "v", "room", datetime.now(UTC)))
        writer.turn(TurnRow(call_id, 0, "Are you there?"))
        assert not writer.close(5.0), "the database is away: it is in the journal"

    def slowly(records: object) -> None:
        replaying.set()
        others.wait(0.05)  # nobody sets it: the others have that long to come too early
        write(records)  # type: ignore[arg-type]

    others = threading.Event()
    monkeypatch.setattr(store, "write_records", slowly)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(resume_of, store, calls[0])
        assert replaying.wait(10)
        rest = [threads.submit(resume_of, store, call_id) for call_id in calls[1:]]
        asked = [future.result(20).unanswered for future in (first, *rest)]
    assert asked == ["Are you there?"] * 4


def _away(_: object) -> None:
    raise OSError("away")


@pytest.mark.parametrize(
    ("ago_ms", "heard"),
    [(50.0, "We are"), (450.0, "We are closed on"), (KNOWN_FOR_MS + 1, "We are"), (-100.0, "We are")],
    ids=["it died at once", "it died later", "nobody knows when it died", "clocks differ"],
)
def test_what_was_heard_after_it_was_written_down_is_not_said_again(
    store: Store, ago_ms: float, heard: str
) -> None:
    began = datetime.now(UTC)
    timings = {SOUNDING: 9000.0, next_word(0): 9100.0, next_word(1): 9400.0, next_word(2): 9700.0}
    cut = replace(OPEN, heard_text="We are", unheard_text="closed on Sundays.", timings=timings)
    store.write([CallRow("call", "Desk", "v", "room", began), GREETING, cut])
    died_at = began + timedelta(milliseconds=9000 + ago_ms)
    resume = resume_of(store, "call", died_now=True, now=lambda: died_at)
    assert resume.turns[-1] == ("And on Sunday?", heard)
    assert resume_of(store, "call", now=lambda: died_at).rest == "closed on Sundays.", "it may have stopped"
    assert f"{heard} {resume.rest}" == "We are closed on Sundays."
