"""What a call's record writes: turns by what was heard and when, events, and nothing that was to be forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, cast

import pytest

from repartee.events import (
    CloseTurn,
    Command,
    DeadlinePassed,
    Event,
    OpenTurn,
    ReplyAudible,
    ReplyFinished,
    SpeakGreeting,
    SpeakLine,
    SpeechStarted,
    SpeechStopped,
    StartReply,
)
from repartee.session.record import (
    REMEMBERED_REPLIES,
    SOUNDING,
    TOOL_CHARACTERS,
    CallRecord,
    SoFar,
    next_word,
    unheard,
)
from repartee.session.toolbox import ToolRun
from repartee.store import CallRow, CallWriter, EventRow, LedgerRow, TurnRow
from repartee.telemetry.calling import about_call, calling

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
CALL = CallRow("c", "Desk", "v1", "room", NOW)
TICK = DeadlinePassed(0.0, "reply")


@dataclass
class Rows:
    """Takes what would be written."""

    calls: list[CallRow] = field(default_factory=list)
    turns: list[TurnRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def begin(self, row: CallRow) -> None:
        self.calls.append(row)

    def turn(self, row: TurnRow) -> None:
        self.turns.append(row)

    def usage(self, row: LedgerRow) -> None:
        raise AssertionError

    def event(self, row: EventRow) -> None:
        self.events.append(row)

    def end(self, call_id: str, reason: str, ended_at: datetime, **_: Any) -> None:
        self.ends.append(reason)

    def last(self, turn_id: int) -> TurnRow:
        """The row that stands."""
        return [row for row in self.turns if row.turn_id == turn_id][-1]


def record() -> tuple[CallRecord, Rows]:
    rows = Rows()
    return CallRecord(cast("CallWriter", rows), CALL, lambda: NOW), rows


def step(record: CallRecord, event: Event, *commands: Command) -> None:
    record.observe(event, commands)


def exchange(record: CallRecord, turn_id: int, reply_id: int, at_ms: float) -> None:
    """The caller speaks for a second, and the reply begins half a second after."""
    step(record, SpeechStarted(at_ms, turn_id), OpenTurn(turn_id))
    step(
        record,
        SpeechStopped(at_ms + 1100, turn_id, at_ms + 1000, 1000),
        StartReply(reply_id, turn_id, "x", True),
    )
    record.mark("reply.started", at_ms + 1100, {"reply_id": reply_id, "held": True})
    step(record, TICK, CloseTurn(turn_id, "Are you open?"))
    step(record, ReplyAudible(at_ms + 1500, reply_id))


def test_a_turn_has_its_words_what_was_heard_and_how_long_it_took() -> None:
    book, rows = record()
    step(book, TICK, SpeakGreeting(1))
    step(book, ReplyAudible(50, 1))
    book.replied(1, "Hello.", "Hello.")
    exchange(book, 1, 2, 2000)
    book.replied(2, "Yes, we are.", "Yes, we are. Until six.")
    assert rows.last(0).heard_text == "Hello."
    turn = rows.last(1)
    assert (turn.user_text, turn.heard_text, turn.unheard_text) == (
        "Are you open?",
        "Yes, we are.",
        "Until six.",
    )
    assert (turn.started_at_ms, turn.ended_at_ms, turn.latency_ms) == (2000, 3000, 500)
    assert turn.timings == {"speech.paused": 3100, "reply.started": 3100, "reply.audible": 3500}


def test_each_answer_s_wait_is_told_once_and_a_greeting_is_none() -> None:
    book, _ = record()
    waits: list[float] = []
    book.on_answered = waits.append
    with calling("c"):
        step(book, TICK, SpeakGreeting(1))
        step(book, ReplyAudible(50, 1))
        exchange(book, 1, 2, 2000)
        step(book, ReplyAudible(5000, 2))  # the rest of it, after a pause
        assert about_call(None, "info", {})["turn_id"] == 1, "what is logged now is about this turn"
        exchange(book, 2, 3, 9000)
        assert about_call(None, "info", {})["turn_id"] == 2
    assert waits == [500, 500]


def test_a_voice_over_the_agent_that_takes_no_floor_leaves_the_turn_as_it_was() -> None:
    book, rows = record()
    exchange(book, 1, 2, 2000)
    step(book, SpeechStarted(3600, 2))
    step(book, SpeechStopped(3900, 2, 3800, 200))
    book.replied(2, "Yes.", "Yes.")
    assert rows.last(1).ended_at_ms == 3000


def test_words_over_the_agent_begin_with_the_voice_not_with_the_decision() -> None:
    book, rows = record()
    exchange(book, 1, 2, 2000)
    step(book, SpeechStarted(3600, 2))
    step(book, TICK, OpenTurn(2))
    step(book, SpeechStopped(4700, 2, 4600, 1000))
    step(book, TICK, CloseTurn(2, "Stop"))
    assert (rows.last(2).started_at_ms, rows.last(2).ended_at_ms) == (3600, 4600)


def test_a_reply_that_was_thrown_away_unheard_leaves_no_words() -> None:
    book, rows = record()
    step(book, SpeechStarted(0, 1), OpenTurn(1))
    step(book, TICK, StartReply(1, 1, "Are", True))
    book.replied(1, "", "You said are.")
    assert rows.turns == []


def test_a_line_belongs_to_the_turn_it_was_said_in() -> None:
    book, rows = record()
    exchange(book, 1, 2, 0)
    book.replied(2, "Yes.", "Yes.")
    step(book, TICK, SpeakLine(3, "goodbye"))
    step(book, ReplyAudible(9000, 3))
    step(book, ReplyFinished(9500, 3))
    book.replied(3, "Goodbye.", "Goodbye.")
    assert rows.last(1).heard_text == "Yes. Goodbye."
    assert rows.last(1).latency_ms == 500, "the first sound counts"


def test_noise_is_no_turn() -> None:
    book, rows = record()
    step(book, SpeechStarted(0, 1), OpenTurn(1))
    step(book, TICK, CloseTurn(1, ""))
    assert rows.turns == []


def test_some_marks_are_events_and_the_many_are_not() -> None:
    book, rows = record()
    for name in (
        "tool.finished",
        "speech.stopped",
        "reply.tier",
        "goal",
        "usage",
        "budget",
        "clause",
        "provider.failed",
    ):
        book.mark(name, 12.34, {"x": 1})
    assert [row.kind for row in rows.events] == [
        "tool.finished",
        "reply.tier",
        "goal",
        "budget",
        "provider.failed",
    ]
    assert rows.events[0] == EventRow("c", 12.3, "tool.finished", {"x": 1})


def test_after_forgetting_there_are_no_words_and_no_name() -> None:
    book, rows = record()
    book.identified("user/42")
    exchange(book, 1, 2, 0)
    book.replied(2, "Yes.", "Yes. No.")
    book.forget()
    exchange(book, 2, 3, 5000)
    book.replied(3, "Yes.", "Yes.")
    book.identified("user/42")
    assert [call.caller_id for call in rows.calls] == [None, "user/42", None]
    for turn_id in (1, 2):
        turn = rows.last(turn_id)
        assert turn.user_text + turn.heard_text + turn.unheard_text == ""
        assert turn.latency_ms == 500, "the figures stay"


def test_the_end_is_written_once_and_old_replies_are_let_go() -> None:
    book, rows = record()
    for reply_id in range(REMEMBERED_REPLIES + 10):
        step(book, TICK, StartReply(reply_id, 1, "x", True))
        book.mark("reply.started", 1, {"reply_id": reply_id})
    assert len(book._reply_turns) == len(book._steps) == REMEMBERED_REPLIES
    book.end("hung_up", 1.0, 0.5)
    book.end("error", 1.0, 0.5)
    assert rows.ends == ["hung_up"]


def test_what_was_not_heard_is_the_rest_of_the_words() -> None:
    assert unheard("Yes, we", "Yes, we are. Until six.") == "are. Until six."
    assert unheard("", "All of it.") == "All of it."
    assert unheard("All of it.", "All of it.") == ""


def test_what_became_of_each_reply_is_an_event_also_of_those_nobody_heard() -> None:
    book, rows = record()
    exchange(book, 1, 2, 2000)
    book.mark("reply.finished", 5000, {"reply_id": 2})
    book.replied(2, "Yes, we are.", "Yes, we are.")
    step(book, TICK, OpenTurn(2), StartReply(3, 2, "x", True))
    book.mark("reply.started", 6000, {"reply_id": 3})
    book.mark("reply.cancelled", 6200, {"reply_id": 3})
    book.replied(3, "", "Never heard.")
    told = [row for row in rows.events if row.kind == "reply"]
    assert [(row.at_ms, row.data["turn_id"], row.data["heard"]) for row in told] == [
        (3100, 1, "all"),
        (6000, 2, "none"),
    ]
    assert told[0].data["reply.finished"] == 5000
    assert told[1].data["reply.cancelled"] == 6200
    assert book._steps == {}


def test_each_word_that_was_heard_has_its_time() -> None:
    book, rows = record()
    exchange(book, 1, 2, 2000)
    for at_ms, heard in ((3600, "Yes,"), (3620, "Yes,"), (3900, "Yes, we are"), (4200, "Yes, we are. Until")):
        book.words_heard(2, at_ms, heard, partial(str, heard))
    book.mark("reply.cancelled", 4300, {"reply_id": 2})
    book.replied(2, "Yes, we are.", "Yes, we are. Until six.")  # the last one was cut off in its middle
    (reply,) = (row.data for row in rows.events if row.kind == "reply")
    assert reply["words"] == [3600, 3900, 3900]
    assert book._word_times == {}


def stands(known_ms: float) -> SoFar:
    return "Yes,", "Yes, we are.", [100.0, 400.0], known_ms


@pytest.mark.parametrize(
    ("texts", "known_ms"),
    [((1, 2, 2, 2, 2, 2), 1500.0), ((2,) * 6, 40.0)],
    ids=["the model writes on", "the voice is on its way"],
)
def test_a_reply_that_is_heard_is_written_down_each_second_and_whenever_more_is_known_of_it(
    texts: tuple[int, ...], known_ms: float
) -> None:
    book, rows = record()
    exchange(book, 1, 2, 2000)
    before = len(rows.turns)
    for at_ms, count in zip((3500, 3600, 3900, 4100, 4900, 5000), texts, strict=True):
        known = known_ms if at_ms < 3900 else 1500.0
        book.sounding(2, at_ms, count, partial(stands, known))
    written = rows.turns[before:]
    assert [row.timings[SOUNDING] for row in written] == [3500, 3900, 4900]
    assert (written[1].heard_text, written[1].unheard_text) == ("Yes,", "we are.")
    assert [written[1].timings[next_word(n)] for n in (0, 1)] == [4000, 4300]
    book.replied(2, "Yes, we are.", "Yes, we are.")
    assert not [name for name in rows.last(1).timings if name.startswith(SOUNDING)]


def test_where_an_earlier_reply_was_cut_nobody_reckons_what_is_heard_next() -> None:
    book, rows = record()
    exchange(book, 1, 2, 2000)
    book.replied(2, "Yes,", "Yes, we are.")
    step(book, TICK, StartReply(3, 1, "x", True))
    step(book, ReplyAudible(5000, 3))
    book.sounding(3, 5000, 1, lambda: ("", "Until six.", [100.0], 1500.0))
    assert rows.last(1).unheard_text == "we are. Until six."
    assert next_word(0) not in rows.last(1).timings


def test_words_are_counted_only_where_more_is_shown() -> None:
    book, _ = record()
    exchange(book, 1, 2, 2000)
    asked = list[float]()

    def heard(at_ms: float) -> str:
        asked.append(at_ms)
        return ""

    for at_ms, shown in (
        (3600, ""),
        (3620, "One moment."),
        (3640, "One moment."),
        (3660, "One moment. Yes,"),
    ):
        book.words_heard(2, at_ms, shown, partial(heard, at_ms))
    assert asked == [3600, 3620, 3660]


def test_each_stretch_of_the_caller_s_voice_is_an_event() -> None:
    book, rows = record()
    exchange(book, 1, 2, 2000)
    assert [(row.at_ms, row.data) for row in rows.events if row.kind == "speech"] == [
        (2000, {"ended_at_ms": 3000})
    ]


def test_the_steps_of_a_turn_are_those_of_its_first_sound() -> None:
    book, rows = record()
    exchange(book, 1, 2, 2000)
    step(book, TICK, SpeakLine(3, "trouble"))
    step(book, ReplyAudible(9000, 3))
    assert rows.last(1).timings["reply.audible"] == 3500
    assert rows.last(1).latency_ms == 500


def ran(**changes: Any) -> ToolRun:
    values: dict[str, Any] = {
        "tool": "book",
        "reply_id": 2,
        "arguments": {"day": date(2026, 12, 1)},
        "result": "Booked.",
        "outcome": "done",
        "began_ms": 3200.0,
        "took_ms": 40.0,
    }
    return ToolRun(**values | changes)


def test_a_tool_is_kept_with_its_arguments_and_its_result_up_to_a_length() -> None:
    book, rows = record()
    exchange(book, 1, 2, 2000)
    book.tool(ran())
    book.tool(ran(result="x" * 9000, reply_id=77))
    first, second = (row.data for row in rows.events if row.kind == "tool")
    assert (first["arguments"], first["result"], first["turn_id"]) == ({"day": "2026-12-01"}, "Booked.", 1)
    assert len(second["result"]) == TOOL_CHARACTERS + 1
    assert "turn_id" not in second
    book.forget()
    book.tool(ran())
    assert len([row for row in rows.events if row.kind == "tool"]) == 2, "none after forgetting"
