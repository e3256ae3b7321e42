"""A caller whose connection breaks in the middle of a call, and one who says nothing."""

from __future__ import annotations

import numpy as np
import pytest

from repartee.conversation import Idle, Patience, Policies, Speaking, Thinking, UserTurn
from repartee.conversation.state import Ended
from repartee.events import (
    CallerJoined,
    CallerLost,
    CallerReturned,
    CallerUnheard,
    DeadlinePassed,
    ReplyFinished,
    SpeechStarted,
    SpeechStopped,
    TranscriptReceived,
)
from tests.session.rig import MS_PER_LETTER, RATE, Ask, Call
from tests.session.test_call import NOW, said

HOURS = "We are open from eight to six. On Saturday we close at noon. On Sunday we are closed."
FIRST, SECOND, THIRD = (
    "We are open from eight to six.",
    "On Saturday we close at noon.",
    "On Sunday we are closed.",
)


async def hear(call: Call, duration_ms: int) -> None:
    """Listen, and time passes."""
    for _ in range(duration_ms // 20):
        call.now_ms += 20
        call.sink.play(20)
        await call.settle(10)


async def answering(call: Call) -> None:
    """The agent has begun to answer."""
    said(call, "When are you open?")
    await call.until(lambda: isinstance(call.state, Speaking))


async def test_what_a_lost_caller_did_not_hear_is_said_again_and_only_then_remembered() -> None:
    async with Call(Ask(HOURS), policies=NOW) as call:
        await answering(call)
        # Two sentences and a bit are spoken, and the connection broke in the middle of the second.
        await hear(call, (len(FIRST) + len(SECOND)) * MS_PER_LETTER + 500)
        since_ms = call.now_ms - 1500
        call.happen(CallerLost(call.now_ms, since_ms))
        await call.until(lambda: call.bridge._conversation.presence.away == "away")
        before = call.gate.heard(1)
        assert FIRST in before
        assert SECOND not in before
        await hear(call, 5000)
        assert call.gate.heard(1) == before, "nothing sounds for nobody"
        assert call.sink.queue == 0
        call.happen(CallerReturned(call.now_ms))
        await call.until(lambda: call.bridge._conversation.presence.away == "here")
        await hear(call, len(SECOND) * MS_PER_LETTER + 300)
        assert SECOND in call.gate.heard(1), "the sentence that was cut is said again from its beginning"
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.history.entries == [
        {"role": "user", "content": "When are you open?"},
        {"role": "assistant", "content": HOURS},
    ]
    assert len(call.model.asked) == 1


async def test_who_does_not_come_back_leaves_a_history_of_what_they_heard() -> None:
    async with Call(Ask(HOURS), policies=NOW) as call:
        await answering(call)
        await hear(call, (len(FIRST) + len(SECOND)) * MS_PER_LETTER + 500)
        call.happen(CallerLost(call.now_ms, call.now_ms - 1500))
        call.happen(DeadlinePassed(call.now_ms + 30_000, "absent"))
        await call.until(lambda: call.ended)
    assert call.ended == ["caller_lost"]
    heard = str(call.history.entries[-1]["content"])
    assert heard.startswith(FIRST)
    assert SECOND not in heard
    assert heard.endswith("…")


async def test_a_reply_whose_end_was_lost_is_taken_back_and_said_again() -> None:
    async with Call(Ask(HOURS), policies=NOW) as call:
        await answering(call)
        while not isinstance(call.state, Idle):
            await hear(call, 20)
        assert call.history.entries[-1]["content"] == HOURS
        call.happen(CallerLost(call.now_ms, call.now_ms - len(THIRD) * MS_PER_LETTER))
        await call.until(lambda: isinstance(call.state, Speaking))
        assert len(call.history.entries) == 1, "they have not heard it"
        call.happen(CallerReturned(call.now_ms + 1000))
        await call.settle()
        heard_before = call.gate.heard(1)
        assert THIRD not in heard_before
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert [entry["content"] for entry in call.history.entries] == ["When are you open?", HOURS]


async def test_what_is_said_again_was_heard_before_whoever_interrupts_it() -> None:
    async with Call(Ask(HOURS), Ask("Yes."), policies=NOW) as call:
        await answering(call)
        await hear(call, len(FIRST) * MS_PER_LETTER + 1200)
        call.happen(CallerLost(call.now_ms, call.now_ms + 200))
        await call.until(lambda: call.bridge._conversation.presence.away == "away")
        heard = call.gate.heard(1)
        assert heard.startswith(f"{FIRST} On Saturday")
        call.happen(CallerReturned(call.now_ms + 1000))
        await call.until(lambda: call.bridge._conversation.presence.away == "here")
        await hear(call, 200)
        said(call, "Is there parking?", segment=2)
        await call.until(lambda: len(call.model.asked) == 2)
    assert str(call.model.asked[1][1]["content"]) == f"{heard}…"


async def test_a_long_absence_is_explained_before_going_on() -> None:
    async with Call(Ask(HOURS), policies=NOW) as call:
        call.kept_audio = lambda _: np.full(RATE, 5000, np.int16).tobytes()
        call.connect()
        await answering(call)
        await hear(call, len(FIRST) * MS_PER_LETTER + 400)
        call.happen(CallerLost(call.now_ms, call.now_ms))
        await call.settle()
        call.now_ms += 10_000
        call.happen(CallerReturned(call.now_ms))
        await call.until(lambda: call.bridge._conversation.presence.away == "here")
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.history.entries[-1]["content"] == HOURS, "what explains is no part of the conversation"
    shown = call.captions.agent[-1][0]
    assert "cut off" in shown
    assert shown.index(FIRST) < shown.index("cut off") < shown.index(SECOND)


HALLS = "Yes, hall 297 in the morning, hall 864 at noon, hall 135 at four, and hall 950 at night."


@pytest.mark.parametrize(
    "cut_in", ["Yes, hall 297 in the mor", "Yes, hall 297 in the morning, hall 864 at noon, hall 13"]
)
async def test_of_a_long_sentence_only_the_clause_that_was_cut_is_said_again(cut_in: str) -> None:
    """A call whose process stood still, or whose media server was started again, in the middle of an answer."""
    async with Call(Ask(HALLS), policies=NOW) as call:
        await answering(call)
        await hear(call, len(cut_in) * MS_PER_LETTER)
        call.happen(CallerLost(call.now_ms, call.now_ms), CallerReturned(call.now_ms + 2000))
        reply = call.gate._replies[1]
        await call.until(lambda: reply.heard_to)
        back_ms = (reply.heard_to - reply.position) * 1000 / RATE
        clause_ms = len(cut_in.rpartition(", ")[2]) * MS_PER_LETTER
        # The player is a little ahead again, and what was just sent had not arrived.
        assert clause_ms - 500 <= back_ms <= clause_ms, "the clause, and nothing before it"
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.history.entries[-1]["content"] == HALLS
    assert len(call.model.asked) == 1


async def test_a_sentence_of_the_callers_that_was_cut_is_asked_for_again() -> None:
    async with Call(Ask("Friday at nine is free."), policies=NOW) as call:
        call.happen(CallerJoined(0), SpeechStarted(100, 1))
        await call.until(lambda: isinstance(call.state, UserTurn | Speaking))
        await call.play_until(lambda: isinstance(call.state, UserTurn | Idle))
        call.happen(SpeechStarted(3000, 2), SpeechStopped(5060, 2, 5000, 1900))
        call.happen(CallerLost(7000, 4990), TranscriptReceived(7100, "I would like an appointm", 2, 2))
        await call.settle()
        assert call.model.asked == [], "half a sentence is not answered"
        call.happen(CallerReturned(9000))
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
        assert call.history.entries[-1]["content"] == "Sorry, we were cut off. Could you say that again?"
        assert call.history.entries[-2]["content"] == "I would like an appointm"


async def test_an_answer_that_is_made_while_they_are_away_waits_for_them() -> None:
    async with Call(Ask(FIRST), policies=NOW) as call:
        said(call, "When are you open?")
        call.happen(CallerLost(2000, 1900))
        await call.until(lambda: call.gate.has_audio(1))
        await call.settle()
        assert isinstance(call.state, Thinking)
        assert call.sink.queue == 0
        call.happen(CallerReturned(2500))
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.history.entries[-1]["content"] == FIRST


PATIENT = Policies(patience=Patience(silence_ms=20_000, silence_asks=2))


async def through_a_line(call: Call) -> str:
    await call.until(lambda: isinstance(call.state, Speaking))
    await call.play_until(lambda: not isinstance(call.state, Speaking))
    return call.voice.spoken[-1]


async def test_a_silent_caller_is_asked_twice_and_then_let_go() -> None:
    async with Call(policies=PATIENT) as call:
        call.happen(CallerJoined(0))
        await through_a_line(call)
        for _ in range(2):
            call.happen(DeadlinePassed(0, "silence"))
            assert await through_a_line(call) == "Are you still there?"
            assert isinstance(call.state, Idle)
        call.happen(DeadlinePassed(0, "silence"))
        assert "hang up now" in await through_a_line(call)
        await call.until(lambda: call.ended)
    assert call.ended == ["silent"]


async def test_a_word_brings_the_patience_back_even_over_the_goodbye() -> None:
    async with Call(
        Ask("Yes."), policies=Policies(NOW.endpointing, patience=Patience(silence_asks=0))
    ) as call:
        call.happen(CallerJoined(0))
        await through_a_line(call)
        call.happen(DeadlinePassed(0, "silence"))
        await call.until(lambda: isinstance(call.state, Speaking))
        said(call, "Wait, I was looking for my card")
        await call.until(lambda: len(call.model.asked) == 1)
        await through_a_line(call)
        assert call.ended == []
        assert isinstance(call.state, Idle)


async def test_a_microphone_without_sound_is_told_after_the_greeting() -> None:
    async with Call() as call:
        call.happen(CallerJoined(0), CallerUnheard(100))
        assert await through_a_line(call) == "Hello, how can I help?"
        assert await through_a_line(call) == "I cannot hear you. Please check your microphone."
        assert isinstance(call.state, Idle)


async def test_patience_ends_with_the_absence_not_with_a_reply_that_is_over() -> None:
    """Away and idle: no question is asked of nobody."""
    async with Call(policies=PATIENT) as call:
        call.happen(CallerJoined(0))
        await through_a_line(call)
        spoken = len(call.voice.spoken)
        call.happen(CallerLost(5000, 5000), DeadlinePassed(20_000, "silence"), ReplyFinished(20_000, 99))
        await call.settle()
        assert len(call.voice.spoken) == spoken
        call.happen(DeadlinePassed(35_000, "absent"))
        await call.until(lambda: isinstance(call.state, Ended))
    assert call.ended == ["caller_lost"]
