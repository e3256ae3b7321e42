"""A word while the answer takes long: in nobody's context, never over the user, and the answer right behind it."""

from __future__ import annotations

import asyncio

from repartee.conversation import Idle, Speaking, Thinking, UserTurn, Yielding
from repartee.conversation.fillers import texts_for
from repartee.events import (
    CallerLost,
    CallerReturned,
    DeadlinePassed,
    ReplyFailed,
    SpeechStarted,
    SpeechStopped,
    ToolStarted,
    TranscriptReceived,
    TurnScored,
)
from repartee.providers.patience import REPLY_S
from tests.session.rig import RATE, Ask, Call
from tests.session.test_call import NOW, said

QUESTIONS = texts_for("en")["question"]


async def long_wait(call: Call, text: str = "When are you open?") -> None:
    """The user asks, and the model is silent for a second."""
    said(call, text)
    await call.until(lambda: isinstance(call.state, Thinking) and call.model.asked)
    await call.settle()
    call.now_ms += 1000
    call.happen(DeadlinePassed(call.now_ms, "waiting"))


async def test_the_answer_follows_the_filler_and_only_the_answer_is_remembered() -> None:
    think = asyncio.Event()
    async with Call(Ask("From eight to six.", wait=think), policies=NOW) as call:
        await long_wait(call)
        await call.until(lambda: call.voice.spoken)
        assert call.voice.spoken == [QUESTIONS[0]]
        await call.play(200)
        assert isinstance(call.state, Thinking), "a filler is no answer"
        think.set()
        await call.until(lambda: len(call.voice.spoken) == 2)
        reply = call.gate._replies[1]
        filler_samples = len(QUESTIONS[0]) * 60 * RATE // 1000
        await call.until(lambda: reply.own_start is not None)
        assert reply.own_start == filler_samples, "nothing is between the filler and the answer"
        await call.play_until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.history.entries == [
        {"role": "user", "content": "When are you open?"},
        {"role": "assistant", "content": "From eight to six."},
    ]
    assert not any(QUESTIONS[0] in str(message) for asked in call.model.asked for message in asked)
    assert call.captions.agent[-1][0] == f"{QUESTIONS[0]} From eight to six."
    assert [values["what"] for name, values in call.marks if name == "filler"] == ["filler"]


async def test_what_follows_a_slow_tool_has_as_long_as_the_core_waits_for_it() -> None:
    async with Call(Ask("Yes.", wait=asyncio.Event()), policies=NOW) as call:
        said(call, "Is Friday free?")
        await call.until(lambda: isinstance(call.state, Thinking) and call.model.asked)
        budget = call.bridge.parts.budget
        call.happen(ToolStarted(call.now_ms, 7, call.now_ms + 60_000))
        await call.settle()
        assert budget.deadline().remaining() <= REPLY_S, "another reply's tool"
        call.happen(ToolStarted(call.now_ms, 1, call.now_ms + 20_000))
        await call.settle()
        after_s = NOW.patience.after_tool_ms / 1000
        assert 20 < budget.deadline().remaining() < 20 + after_s


async def test_a_lost_caller_is_told_nothing_that_bridges_a_wait() -> None:
    async with Call(Ask("From eight to six.", wait=asyncio.Event()), policies=NOW) as call:
        said(call, "When are you open?")
        await call.until(lambda: isinstance(call.state, Thinking) and call.model.asked)
        call.now_ms += 600
        call.happen(CallerLost(call.now_ms, call.now_ms))
        await call.until(lambda: call.bridge._conversation.presence.away == "away")
        assert not {"waiting", "reply"} & call.bridge._deadlines.armed
        call.now_ms += 20_000
        call.happen(DeadlinePassed(call.now_ms, "waiting"))  # was due as they were lost
        await call.settle()
        assert call.voice.spoken == []
        call.happen(CallerReturned(call.now_ms))
        await call.until(lambda: call.bridge._conversation.presence.away == "here")
        assert {"waiting", "reply"} <= call.bridge._deadlines.armed
        call.now_ms += 1000
        call.happen(DeadlinePassed(call.now_ms, "waiting"))
        await call.until(lambda: call.voice.spoken)
        assert call.voice.spoken == [QUESTIONS[0]]


async def test_a_filler_s_audio_is_told_whole_so_that_it_need_not_be_made_again() -> None:
    made: list[tuple[str, int]] = []
    async with Call(Ask("Yes.", wait=asyncio.Event()), policies=NOW) as call:
        call.gate.on_aside = lambda text, pcm: made.append((text, len(pcm)))
        await long_wait(call)
        await call.until(lambda: made)
    assert made == [(QUESTIONS[0], len(QUESTIONS[0]) * 60 * RATE // 1000 * 2)]


async def test_the_user_stops_a_filler_at_once_and_an_acknowledgement_brings_the_answer_back() -> None:
    think = asyncio.Event()
    async with Call(Ask("From eight to six.", wait=think), policies=NOW) as call:
        await long_wait(call)
        await call.until(lambda: call.sink.queue)
        call.happen(SpeechStarted(call.now_ms, 2))
        await call.until(lambda: isinstance(call.state, Yielding))
        reply = call.gate._replies[1]
        assert reply.lowered
        position = reply.position
        await call.play(400)
        assert reply.position <= position, "nothing is said over the user"
        now = call.now_ms
        call.happen(SpeechStopped(now, 2, now, 300), TranscriptReceived(now, "okay", 2, 2))
        await call.until(lambda: isinstance(call.state, Thinking))
        think.set()
        await call.play_until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert len(call.model.asked) == 1, "the answer is not begun anew"
    assert call.model.cancelled == 0
    assert call.history.entries[-1] == {"role": "assistant", "content": "From eight to six."}


async def test_more_words_over_a_filler_take_the_floor_and_both_are_remembered() -> None:
    async with Call(Ask("Never.", wait=asyncio.Event()), Ask("At seven, four seats."), policies=NOW) as call:
        await long_wait(call, "I need a table for four")
        await call.until(lambda: call.sink.queue)
        said(call, "at seven tomorrow please", segment=2)
        await call.until(lambda: len(call.model.asked) == 2)
        await call.play_until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.model.cancelled == 1
    assert call.history.entries == [
        {"role": "user", "content": "I need a table for four at seven tomorrow please"},
        {"role": "assistant", "content": "At seven, four seats."},
    ]


async def test_nothing_is_said_when_the_answer_s_words_are_there() -> None:
    async with Call(Ask("From eight to six."), policies=NOW) as call:
        said(call, "When are you open?")
        await call.until(lambda: call.gate.has_audio(1))
        call.happen(DeadlinePassed(9000, "waiting"))
        await call.settle()
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.voice.spoken == ["From eight to six."]


async def test_an_apology_comes_next_and_then_the_trouble_is_said() -> None:
    async with Call(Ask("Never.", wait=asyncio.Event()), policies=NOW) as call:
        await long_wait(call)
        await call.play_until(lambda: call.voice.spoken and call.gate.quiet(1))
        call.now_ms = 4000
        call.happen(DeadlinePassed(4000, "waiting"))
        await call.until(lambda: len(call.voice.spoken) == 2)
        assert "longer than usual" in call.voice.spoken[1]
        await call.play_until(lambda: call.gate.quiet(1))
        call.happen(DeadlinePassed(9000, "waiting"))
        await call.settle()
        assert len(call.voice.spoken) == 2, "two things are enough"
        call.happen(ReplyFailed(9100, 1))
        await call.until(lambda: len(call.voice.spoken) == 3)
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert "technical problem" in call.voice.spoken[2]


async def test_under_load_only_words_whose_audio_is_kept_are_said() -> None:
    async with Call(Ask("Yes.", wait=asyncio.Event()), policies=NOW) as call:
        call.only_kept = True
        call.kept = {QUESTIONS[1]}
        await long_wait(call)
        await call.until(lambda: call.voice.spoken)
        await call.settle()
    assert call.voice.spoken == [QUESTIONS[1]]


async def test_a_turn_that_goes_on_before_anything_was_heard_is_still_one_turn() -> None:
    async with Call(Ask("Never.", wait=asyncio.Event()), Ask("Right."), policies=NOW) as call:
        said(call, "I need an appointment")
        await call.until(lambda: isinstance(call.state, Thinking) and call.model.asked)
        call.happen(SpeechStarted(0, 2))
        await call.until(lambda: isinstance(call.state, UserTurn))
        call.happen(
            SpeechStopped(0, 2, 0, 500), TurnScored(0, 2, 0.95), TranscriptReceived(0, "on friday", 2, 2)
        )
        await call.until(lambda: len(call.model.asked) == 2)
        await call.play_until(lambda: isinstance(call.state, Speaking))
    assert call.history.entries[0] == {"role": "user", "content": "I need an appointment on friday"}
