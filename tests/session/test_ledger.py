"""Used or wasted, priced or unknown: the judgement of each request."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from repartee.events import (
    CloseTurn,
    Command,
    OpenTurn,
    ReplyAudible,
    ReplyFinished,
    RestoreVoice,
    SpeakGreeting,
    SpeakLine,
    SpeechStarted,
    SpeechStopped,
    StartReply,
)
from repartee.session.ledger import REMEMBERED_REPLIES, Ledger
from repartee.store import LedgerRow
from repartee.telemetry.usage import Stage, Usage

TICK = SpeechStarted(0, 1)


class Prices:
    """A cent for each request; nothing is known of "new"."""

    version = "2026-09"

    def cost(self, usage: Usage) -> Decimal | None:
        return None if usage.model == "new" else Decimal("0.01")


class Book:
    def __init__(self) -> None:
        self.rows: list[LedgerRow] = []
        self.marks: list[tuple[str, dict[str, Any]]] = []
        self.ledger = Ledger(
            "call-1",
            "desk",
            prices=Prices(),
            write=self.rows.append,
            mark=lambda name, **values: self.marks.append((name, values)),
        )

    def do(self, *commands: Command) -> None:
        self.ledger.observe(TICK, commands)

    def usage(self, stage: Stage, name: str, **values: Any) -> None:
        self.ledger.take(Usage(name, stage, "openai", values.pop("model", "m"), **values))

    def used(self) -> dict[str, bool]:
        return {row.usage.request_id: row.used for row in self.rows}


@pytest.fixture
def book() -> Book:
    return Book()


def test_a_reply_that_was_heard_was_worth_its_requests(book: Book) -> None:
    book.do(StartReply(1, 5, "when", held=True))
    book.usage("llm", "model", reply_id=1)
    book.ledger.spoken(1, "Certainly.", "clause")
    book.usage("tts", "clause", reply_id=1)
    assert book.rows == [], "not judged before it is over"
    assert book.ledger.bill.cost == Decimal("0.02"), "but paid"
    book.ledger.observe(ReplyFinished(9, 1), ())
    assert book.used() == {"model": True, "clause": True}
    assert {row.usage.turn_id for row in book.rows} == {5}
    assert {(row.call_id, row.agent, row.price_version) for row in book.rows} == {
        ("call-1", "desk", "2026-09")
    }
    assert book.ledger.bill.wasted == 0


def test_a_reply_that_was_thrown_away_is_wasted_with_all_it_made(book: Book) -> None:
    book.do(StartReply(1, 5, "when", held=True))
    book.usage("llm", "model", reply_id=1)
    book.ledger.cancelled(1, "")
    book.usage("tts", "ahead", reply_id=1, outcome="cancelled")
    assert book.used() == {"model": False, "ahead": False}
    assert book.ledger.bill.wasted == Decimal("0.02")
    assert book.ledger.bill.wasted_share == 1.0


def test_of_an_interrupted_reply_only_the_clauses_that_were_reached_were_worth_it(book: Book) -> None:
    book.do(StartReply(1, 5, "when", held=False))
    book.ledger.spoken(1, "Certainly.", "first")
    book.ledger.spoken(1, "Of course.", None)  # kept audio: it takes its place and costs nothing
    book.ledger.spoken(1, "We open at eight.", "third")
    book.ledger.spoken(1, "And close at six.", "fourth")
    for name in ("first", "third", "fourth", "ahead"):
        book.usage("tts", name, reply_id=1)
    book.usage("llm", "model", reply_id=1)
    book.ledger.cancelled(1, "Certainly. Of course. We open")
    assert book.used() == {"first": True, "third": True, "fourth": False, "ahead": False, "model": True}


def test_a_line_said_while_a_tool_took_long_moves_no_clause_out_of_what_was_heard(book: Book) -> None:
    book.do(StartReply(1, 5, "when", held=False))
    book.ledger.aside(1, "One moment, please.")
    book.ledger.spoken(1, "One moment, please.", None)
    for clause, name in (("We open at eight.", "first"), ("And close at six.", "second")):
        book.ledger.spoken(1, clause, name)
        book.usage("tts", name, reply_id=1)
    book.ledger.cancelled(1, "We open")  # what is remembered of it, without the line
    assert book.used() == {"first": True, "second": False}


def test_a_small_model_that_was_replaced_was_asked_for_nothing(book: Book) -> None:
    book.do(StartReply(1, 5, "when", held=False))
    book.ledger.replaced(1, "small")
    book.usage("llm", "small", reply_id=1, outcome="cancelled")
    book.usage("llm", "large", reply_id=1)
    book.ledger.observe(ReplyFinished(9, 1), ())
    assert book.used() == {"small": False, "large": True}


@pytest.mark.parametrize(("heard", "used"), [("Certainly. Of", False), ("Certainly. Of course. W", True)])
def test_a_clause_counts_from_its_first_word(book: Book, heard: str, *, used: bool) -> None:
    book.do(StartReply(1, 5, "when", held=False))
    book.ledger.spoken(1, "Certainly. Of course.", "first")
    book.ledger.spoken(1, "We open.", "second")
    book.usage("tts", "second", reply_id=1)
    book.ledger.cancelled(1, heard)
    assert book.used() == {"second": used}


def test_a_context_of_a_socket_is_judged_as_a_whole(book: Book) -> None:
    book.do(StartReply(1, 5, "a", held=False), StartReply(2, 6, "b", held=False))
    book.ledger.cancelled(1, "Cert")
    book.ledger.cancelled(2, "")
    book.usage("tts", "one", reply_id=1, outcome="cancelled")
    book.usage("tts", "two", reply_id=2, outcome="cancelled")
    assert book.used() == {"one": True, "two": False}


def test_a_clause_made_again_is_the_same_clause(book: Book) -> None:
    book.do(StartReply(1, 5, "when", held=False))
    book.ledger.spoken(1, "Certainly.", "first")
    book.usage("tts", "first", reply_id=1, outcome="failed")
    book.usage("tts", "first~2", reply_id=1, attempt=2)
    book.ledger.observe(ReplyFinished(9, 1), ())
    assert book.used() == {"first": False, "first~2": True}


def test_of_the_transcriptions_of_a_piece_the_last_one_counts(book: Book) -> None:
    book.do(OpenTurn(3))
    book.usage("stt", "early", piece_id=1)
    book.usage("stt", "cut", piece_id=1, outcome="cancelled")
    book.usage("stt", "last", piece_id=1)
    book.usage("stt", "more", piece_id=2)
    assert book.used() == {"early": False, "cut": False}
    book.do(CloseTurn(3, "hello"))
    assert book.used() == {"early": False, "cut": False, "last": True, "more": True}
    assert {row.usage.turn_id for row in book.rows} == {3}


def test_a_noise_is_transcribed_for_nothing_and_an_acknowledgement_is_not(book: Book) -> None:
    book.do(OpenTurn(3))
    book.usage("stt", "noise", piece_id=1)
    book.do(CloseTurn(3, ""))
    book.usage("stt", "mm-hm", piece_id=2)
    book.do(RestoreVoice(1))
    assert book.used() == {"noise": False, "mm-hm": True}


def test_what_belongs_to_no_reply_is_used_when_it_came(book: Book) -> None:
    book.usage("llm", "summary", purpose="summary")
    book.usage("embedding", "vectors", purpose="classification", outcome="failed")
    assert book.used() == {"summary": True, "vectors": False}


def test_greetings_and_lines_are_told_from_answers(book: Book) -> None:
    book.do(SpeakGreeting(1))
    book.usage("tts", "a", reply_id=1)
    book.ledger.observe(ReplyFinished(5, 1), (SpeakLine(2, "trouble"),))
    book.usage("tts", "b", reply_id=2)
    book.ledger.observe(ReplyFinished(9, 2), ())
    assert [(row.usage.purpose, row.usage.turn_id) for row in book.rows] == [
        ("greeting", None),
        ("line", None),
    ]


def test_what_was_refused_is_free_and_what_has_no_price_is_never_zero(book: Book) -> None:
    book.usage("llm", "refused", purpose="summary", outcome="failed", billed=False, model="new")
    book.usage("llm", "unknown", purpose="summary", model="new")
    book.usage("llm", "unknown again", purpose="summary", model="new")
    assert [row.cost for row in book.rows] == [Decimal(0), None, None]
    assert book.ledger.bill.unknown == {"openai:new": 2}
    assert [values for name, values in book.marks if name == "price.unknown"] == [{"model": "openai:new"}]
    assert book.ledger.bill.figures()["at_least"] is True


def test_the_same_request_told_twice_counts_once(book: Book) -> None:
    for _ in range(2):
        book.usage("llm", "same", purpose="summary")
    assert len(book.rows) == 1
    assert book.ledger.bill.cost == Decimal("0.01")


def test_without_prices_nothing_has_a_price() -> None:
    ledger = Ledger()
    ledger.take(Usage("a", "llm", "openai", "m"))
    assert ledger.bill.unknown == {"openai:m": 1}


def test_audio_is_set_against_speech_and_call(book: Book) -> None:
    book.ledger.observe(SpeechStopped(2000, 1, 1900, 1500), ())
    book.usage("stt", "a", piece_id=1, quantities={"audio_s": Decimal("2.1")})
    book.ledger.take(Usage("b", "stt", "on-device", "tiny", {"audio_s": Decimal(60)}))
    book.ledger.close(30_000)
    figures = book.ledger.bill.figures()
    assert (figures["audio_sent_s"], figures["speech_s"], figures["call_s"]) == (2.1, 1.5, 30.0)
    assert book.marks[-1] == ("bill", figures)


def test_a_call_that_ends_judges_what_is_left(book: Book) -> None:
    book.do(OpenTurn(3), StartReply(1, 5, "when", held=True))
    book.usage("llm", "model", reply_id=1)
    book.usage("stt", "words", piece_id=1)
    book.ledger.close(1000)
    assert book.used() == {"model": False, "words": False}
    book.usage("tts", "late", reply_id=1)
    assert book.used()["late"] is False


def test_a_stale_end_changes_nothing(book: Book) -> None:
    book.do(StartReply(1, 5, "a", held=False))
    book.usage("llm", "model", reply_id=1)
    book.ledger.cancelled(1, "Cert")
    book.ledger.observe(ReplyFinished(9, 1), ())
    book.ledger.observe(ReplyFinished(9, 77), ())
    book.ledger.observe(ReplyAudible(9, 77), ())
    assert book.used() == {"model": True}


def test_the_spending_is_told_as_it_grows(book: Book) -> None:
    told: list[Decimal] = []
    book.ledger.on_spent = told.append
    book.usage("llm", "a", purpose="summary")
    book.usage("llm", "b", purpose="summary", outcome="failed", billed=False)
    book.usage("llm", "c", purpose="summary")
    assert told == [Decimal("0.01"), Decimal("0.02")]


def test_a_long_call_keeps_no_more_than_it_needs(book: Book) -> None:
    for number in range(REMEMBERED_REPLIES + 50):
        book.do(StartReply(number, number, "x", held=True))
        book.usage("llm", f"model {number}", reply_id=number)
    assert len(book.ledger._replies) == REMEMBERED_REPLIES
    assert len(book.rows) == 50, "the oldest were given up and judged"


def test_nothing_that_was_said_is_in_rows_or_marks(book: Book) -> None:
    book.do(StartReply(1, 5, "my secret question", held=False))
    book.ledger.spoken(1, "my secret answer", "clause")
    book.usage("tts", "clause", reply_id=1)
    book.ledger.cancelled(1, "my secret")
    book.ledger.close(1000)
    assert "secret" not in repr(book.rows) + repr(book.marks) + repr(book.ledger.bill.summary())


def test_the_summary_is_plain_data(book: Book) -> None:
    book.usage("llm", "a", purpose="summary")
    book.usage("llm", "b", purpose="summary", outcome="failed")
    summary = book.ledger.bill.summary()
    assert summary["stages"] == {"llm": {"requests": 2, "failed": 1, "usd": "0.02", "usd_wasted": "0.01"}}
    assert replace(book.rows[0], used=False).cost == Decimal("0.01")
