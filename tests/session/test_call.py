"""Whole calls through the real bridge, tracker and gate, with scripted providers and a clock that stands still."""

from __future__ import annotations

import asyncio

from pipecat.frames.frames import EagerEndOfTurnCancelFrame, EagerTranscriptionFrame
from pipecat.processors.frame_processor import FrameDirection

from repartee.conversation import (
    Endpointing,
    Idle,
    Policies,
    Speaking,
    Speculating,
    Thinking,
    UserTurn,
    Yielding,
)
from repartee.conversation.policies import SENSITIVITY
from repartee.events import (
    CallEnded,
    CallerJoined,
    SpeechStarted,
    SpeechStopped,
    TextTyped,
    TranscriptReceived,
    TurnScored,
)
from repartee.providers.frames import CaptionFrame, VoiceStartedFrame
from tests.session.rig import Ask, Call

NOW = Policies(endpointing=Endpointing(min_silence_ms=0, max_silence_ms=0, digits_ms=0))
"""Turns end as soon as the words are there."""


def said(call: Call, text: str, *, segment: int = 1, probability: float = 0.95) -> None:
    now = call.now_ms
    call.happen(
        SpeechStarted(now, segment),
        SpeechStopped(now, segment, now, 800),
        TurnScored(now, segment, probability),
        TranscriptReceived(now, text, segment, segment),
    )


async def test_a_caller_is_greeted_asks_and_is_answered() -> None:
    async with Call(Ask("From eight to six."), policies=NOW) as call:
        call.happen(CallerJoined(0))
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
        said(call, "When are you open?")
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.history.entries == [
        {"role": "assistant", "content": "Hello, how can I help?"},
        {"role": "user", "content": "When are you open?"},
        {"role": "assistant", "content": "From eight to six."},
    ]
    assert call.model.asked == [call.history.entries[:2]]
    assert call.captions.states == ["thinking", "speaking", "listening", "thinking", "speaking", "listening"]
    assert ("When are you open?", True) in call.captions.user
    assert call.captions.agent[-1] == ("From eight to six.", True)


async def test_a_pause_starts_a_silent_reply_and_going_on_throws_it_away() -> None:
    async with Call(Ask("Wrong."), Ask("Right.")) as call:
        said(call, "I need an appointment", probability=0.8)
        await call.until(lambda: isinstance(call.state, Speculating))
        await call.until(lambda: call.gate.has_audio(1))
        assert call.sink.queue == 0, "a held reply must not be heard"
        call.happen(SpeechStarted(0, 2))
        await call.until(lambda: isinstance(call.state, UserTurn))
        call.happen(
            SpeechStopped(0, 2, 0, 500), TurnScored(0, 2, 0.95), TranscriptReceived(0, "on friday", 2, 2)
        )
        await call.until(lambda: len(call.model.asked) == 2)
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.history.entries == [
        {"role": "user", "content": "I need an appointment on friday"},
        {"role": "assistant", "content": "Right."},
    ]


async def test_an_interruption_keeps_only_what_was_heard() -> None:
    long = "We are open from eight in the morning until six in the evening on all weekdays."
    async with Call(Ask(long), Ask("Yes, parking is free."), policies=NOW) as call:
        said(call, "When are you open?")
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play(2000)
        said(call, "Is there parking?", segment=2)
        await call.until(lambda: len(call.model.asked) == 2)
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    heard = str(call.history.entries[1]["content"])
    assert heard.endswith("…")
    assert long.startswith(heard[:-1])
    assert 6 <= len(heard.split()) <= 8, heard
    assert call.history.entries[2:] == [
        {"role": "user", "content": "Is there parking?"},
        {"role": "assistant", "content": "Yes, parking is free."},
    ]
    assert call.captions.agent[-1] == ("Yes, parking is free.", True)


async def test_a_backchannel_or_a_noise_does_not_end_a_reply() -> None:
    text = "We are open from eight to six."
    async with Call(Ask(text), policies=NOW) as call:
        said(call, "When are you open?")
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play(400)
        said(call, "Mm-hm, okay.", segment=2)
        await call.settle()
        assert isinstance(call.state, Speaking)
        said(call, "", segment=3)
        await call.settle()
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.history.entries[-1] == {"role": "assistant", "content": text}
    assert len(call.model.asked) == 1


async def test_a_tool_is_called_and_its_result_reaches_the_model() -> None:
    async with Call(Ask(tool="free_slots"), Ask("Nine twenty is free."), policies=NOW) as call:
        said(call, "Is friday free?")
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    roles = [message["role"] for message in call.model.asked[1]]
    assert roles == ["user", "assistant", "tool"]
    assert call.model.asked[1][2]["content"] == "9:20 is free"
    assert call.history.entries[-1] == {"role": "assistant", "content": "Nine twenty is free."}
    assert any(entry.get("tool_calls") for entry in call.history.entries)


async def test_a_model_that_fails_is_said_once_and_the_call_goes_on() -> None:
    async with Call(Ask(fail=True), Ask("Hello again."), policies=NOW) as call:
        said(call, "When are you open?")
        await call.until(lambda: isinstance(call.state, Speaking))
        assert "technical problem" in call.voice.spoken[-1]
        await call.play_until(lambda: isinstance(call.state, Idle))
        said(call, "Hello?", segment=2)
        await call.until(lambda: len(call.model.asked) == 2)
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.history.entries[-1] == {"role": "assistant", "content": "Hello again."}


async def test_typing_interrupts_and_is_answered() -> None:
    thinking = asyncio.Event()
    async with Call(Ask("Never heard.", wait=thinking), Ask("Answer to typing."), policies=NOW) as call:
        said(call, "When are you open?")
        await call.until(lambda: isinstance(call.state, Thinking) and call.model.asked)
        call.happen(TextTyped(0, "Do you have parking?"))
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.model.cancelled == 1, "the first request must have been cancelled at the model"
    assert call.history.entries[-1] == {"role": "assistant", "content": "Answer to typing."}
    assert ("Do you have parking?", True) in call.captions.user


async def test_the_end_of_a_call_is_told_once() -> None:
    async with Call(Ask("Bye."), policies=NOW) as call:
        call.happen(CallerJoined(0))
        await call.until(lambda: isinstance(call.state, Speaking))
        call.happen(CallEnded(0, "caller_left"), CallEnded(0, "room_closed"))
        await call.until(lambda: call.ended)
        await call.settle()
    assert call.ended == ["caller_left"]


async def test_a_vendor_s_early_word_that_the_turn_is_over_starts_a_held_reply() -> None:
    """Some streaming recognisers tell the end of a turn themselves, and may take it back."""
    down = FrameDirection.DOWNSTREAM
    async with Call(Ask("Wrong."), Ask("Right.")) as call:
        call.happen(SpeechStarted(0, 1), SpeechStopped(0, 1, 0, 800))
        await call.bridge.process_frame(VoiceStartedFrame(segment_id=1), down)
        await call.bridge.process_frame(EagerTranscriptionFrame("I need an appointment", "ann", "now"), down)
        await call.until(lambda: isinstance(call.state, Speculating))
        await call.until(lambda: call.gate.has_audio(1))
        assert call.sink.queue == 0, "a held reply must not be heard"
        await call.bridge.process_frame(EagerEndOfTurnCancelFrame(), down)
        call.happen(SpeechStarted(0, 2), SpeechStopped(0, 2, 0, 500), TurnScored(0, 2, 0.95))
        call.happen(TranscriptReceived(0, "I need an appointment on friday", 1, 2))
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.history.entries == [
        {"role": "user", "content": "I need an appointment on friday"},
        {"role": "assistant", "content": "Right."},
    ]


async def test_words_of_a_piece_that_is_not_over_are_shown_and_nothing_else() -> None:
    async with Call() as call:
        call.happen(SpeechStarted(0, 1), TranscriptReceived(0, "I need", 1, 1), SpeechStarted(0, 2))
        await call.until(lambda: ("I need", False) in call.captions.user)
        for text in ("I need an", "I need an appointment"):
            caption = CaptionFrame(text=text, piece_id=1)
            await call.bridge.process_frame(caption, FrameDirection.DOWNSTREAM)
        state = call.state
        assert isinstance(state, UserTurn)
        assert state.turn.best_text == "I need"
    assert call.captions.user[-2:] == [("I need an", False), ("I need an appointment", False)]


async def test_how_easily_the_agent_gives_way_may_change_in_the_call() -> None:
    async with Call(Ask("From eight to six, every day but Sunday."), policies=NOW) as call:
        call.bridge.interruption = SENSITIVITY["high"]
        said(call, "When are you open?")
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play(1000)
        said(call, "mm-hm okay right", segment=2)
        await call.until(lambda: len(call.model.script) == 0 and not isinstance(call.state, Yielding))
    assert call.bridge.interruption.take_floor_ms == SENSITIVITY["high"].take_floor_ms
    assert any(text == "mm-hm okay right" for text, _ in call.captions.user)
