"""What the vendor of a model that hears and speaks is told of the conversation, and what is reckoned of tokens."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import FunctionCallResultFrame, InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.services.openai.realtime import events
from pipecat.tests.utils import run_test

from repartee.providers.frames import ReplyContext, VoicePausedFrame, VoiceStartedFrame
from repartee.providers.realtime_asked import Asked, RealtimeReply, Spent
from repartee.providers.realtime_ears import RealtimeEars
from repartee.providers.realtime_memory import VendorConversation, notes_of
from repartee.providers.realtime_turns import CallerTurns

SECOND = bytes(48_000)
GREETED = [{"role": "assistant", "content": "Hello."}]


class Vendor:
    """What it was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def __call__(self, event: events.ClientEvent, *, may_fail: bool = False) -> None:
        self.told.append(event.model_dump(exclude_none=True) | {"may_fail": may_fail})

    @property
    def kinds(self) -> list[str]:
        return [event["type"].removeprefix("input_audio_buffer.") for event in self.told]

    def items(self) -> list[tuple[str, str]]:
        items = [event["item"] for event in self.told if event["type"] == "conversation.item.create"]
        return [
            (
                item.get("role", item["type"]),
                item["content"][0]["text"] if "content" in item else item["output"],
            )
            for item in items
        ]


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


def context(*messages: Any, **kwargs: Any) -> ReplyContext:
    return ReplyContext(list(messages), reply_id=2, **kwargs)


class TestCallerTurns:
    @pytest.fixture
    def typed(self) -> list[str]:
        return []

    @pytest.fixture
    def turns(self, vendor: Vendor, typed: list[str]) -> CallerTurns:
        return CallerTurns(vendor, typed.append)

    def voice(self, turns: CallerTurns, pcm: bytes = SECOND) -> None:
        turns.began()
        turns.hear(pcm)
        turns.paused()

    def test_a_turn_is_committed_when_its_answer_is_wanted(
        self, turns: CallerTurns, vendor: Vendor, typed: list[str]
    ) -> None:
        turns.opened()
        self.voice(turns)
        assert turns.give("hello") == 1.0
        assert vendor.kinds == ["append", "commit"]
        assert turns.give("hello again") == 0.0, "its words are known better now, and it has been heard"
        assert typed == []

    def test_words_are_told_where_there_is_no_sound(
        self, turns: CallerTurns, vendor: Vendor, typed: list[str]
    ) -> None:
        turns.opened()
        self.voice(turns, bytes(4000))
        assert turns.give("yes") == 0.0
        assert (vendor.kinds, typed) == (["append"], ["yes"]), "the vendor takes no tenth of a second"

    def test_what_was_typed_after_a_voice_is_told_beside_it(
        self, turns: CallerTurns, vendor: Vendor, typed: list[str]
    ) -> None:
        turns.opened()
        self.voice(turns)
        turns.typed("at ten")
        turns.give("on friday at ten")
        assert (vendor.kinds, typed) == (["append", "commit"], ["at ten"])

    def test_a_noise_is_cleared(self, turns: CallerTurns, vendor: Vendor) -> None:
        turns.opened()
        self.voice(turns)
        turns.closed("")
        assert vendor.kinds == ["append", "clear"]

    def test_a_voice_over_the_agent_that_goes_on_may_still_ask_for_the_floor(
        self, turns: CallerTurns, vendor: Vendor
    ) -> None:
        turns.began()
        turns.hear(SECOND)
        turns.discard()
        turns.hear(SECOND)
        assert vendor.kinds == ["append", "append"], "it may be the beginning of a sentence"
        turns.opened()
        turns.paused()
        assert turns.give("stop") == 2.0

    def test_and_is_cleared_when_it_ends_without(self, turns: CallerTurns, vendor: Vendor) -> None:
        turns.began()
        turns.hear(SECOND)
        turns.discard()
        turns.paused()
        assert vendor.kinds == ["append", "clear"]

    @pytest.mark.parametrize("told_first", [True, False])
    def test_sound_that_was_answered_and_had_no_words_is_deleted(
        self, turns: CallerTurns, vendor: Vendor, told_first: bool
    ) -> None:
        turns.opened()
        self.voice(turns)
        turns.give("")
        if told_first:
            turns.added("item-1")
        turns.closed("")
        if not told_first:
            turns.added("item-1")
        assert vendor.told[-1]["type"] == "conversation.item.delete"
        assert vendor.told[-1]["item_id"] == "item-1"
        turns.opened()
        self.voice(turns)
        turns.give("hello")
        turns.added("item-2")
        turns.closed("hello")
        assert sum(event["type"] == "conversation.item.delete" for event in vendor.told) == 1


class TestVendorConversation:
    @pytest.fixture
    def there(self, vendor: Vendor) -> VendorConversation:
        there = VendorConversation(vendor, {"book"})
        there.begin(context(*GREETED, {"role": "user", "content": "hello"}))
        vendor.told.clear()
        return there

    def test_the_greeting_is_told_and_the_question_is_not(self, vendor: Vendor) -> None:
        VendorConversation(vendor, ()).begin(context(*GREETED, {"role": "user", "content": "hello"}))
        assert vendor.items() == [("assistant", "Hello.")]

    def test_an_unknown_question_is_not_taken_for_the_greeting(self, vendor: Vendor) -> None:
        VendorConversation(vendor, ()).begin(context(*GREETED, wordless=True))
        assert vendor.items() == [("assistant", "Hello.")]

    def test_a_call_that_was_taken_over_is_told_in_one_note(self, vendor: Vendor) -> None:
        before = [
            *GREETED,
            {"role": "user", "content": "I am Ann."},
            {"role": "assistant", "content": "Hi Ann."},
        ]
        there = VendorConversation(vendor, ())
        for _ in range(2):
            there.begin(context(*before, {"role": "user", "content": "hello"}))
        ((role, note),) = vendor.items()
        assert role == "system"
        assert note.splitlines()[1:] == ["You: Hello.", "Caller: I am Ann.", "You: Hi Ann."]

    def test_what_was_not_heard_is_cut_or_deleted(self, there: VendorConversation, vendor: Vendor) -> None:
        reply = RealtimeReply(2, items={"a": 96_000, "b": 96_000, "c": 48_000})
        reply.heard_ms = {"a": 2000.0, "b": 812.7}
        there.settle(reply, list(reply.items))
        cut, deleted = vendor.told
        assert (cut["type"], cut["item_id"], cut["audio_end_ms"]) == ("conversation.item.truncate", "b", 812)
        assert (deleted["type"], deleted["item_id"]) == ("conversation.item.delete", "c")
        assert cut["may_fail"], "it may be gone already"

    def test_what_was_said_besides_is_added(self, there: VendorConversation, vendor: Vendor) -> None:
        there.over(None, "Sorry?")
        there.over(RealtimeReply(3, text="One moment."), "One moment. Shall I book it?")
        there.over(RealtimeReply(4, text="We are open until six."), "We are open")
        assert vendor.items() == [("assistant", "Sorry?"), ("assistant", "Shall I book it?")]

    @pytest.mark.parametrize(
        ("tool", "told"),
        [
            ("look", []),
            ("book", [("system", 'book {"day": "friday"} gave: done')]),
        ],
    )
    def test_a_tool_that_acted_for_a_reply_that_is_over_is_told_of(
        self, there: VendorConversation, vendor: Vendor, tool: str, told: list[tuple[str, str]]
    ) -> None:
        reply = RealtimeReply(2, items={"f": 0}, calls={"f": "call-1"})
        there.called("call-1", "f")
        there.settle(reply, ["f"])
        assert vendor.told[-1]["type"] == "conversation.item.delete"
        there.result(FunctionCallResultFrame(tool, "call-1", {"day": "friday"}, "done"))
        assert vendor.items() == told

    def test_the_result_of_a_tool_answers_its_call_once(
        self, there: VendorConversation, vendor: Vendor
    ) -> None:
        there.called("call-1", "f")
        for call_id in ("call-1", "call-1", "of-the-other-model"):
            there.result(FunctionCallResultFrame("look", call_id, {}, {"free": "ten"}))
        assert vendor.items() == [("function_call_output", '{"free": "ten"}')]


def test_notes_are_what_is_said_to_the_model_alone() -> None:
    asked = context(
        {"role": "system", "content": "Ann called."}, *GREETED, {"role": "developer", "content": "Form 2."}
    )
    assert notes_of(asked) == "Ann called.\nForm 2."


def test_a_response_that_was_never_counted_is_reckoned_from_the_one_before() -> None:
    spent = Spent(tokens_in=100)
    details = SimpleNamespace(audio_tokens=40, cached_tokens=0, cached_tokens_details=None)
    counted = SimpleNamespace(
        input_tokens=140, output_tokens=90, input_token_details=details, output_token_details=details
    )
    assert spent.take(counted)["audio_tokens_in"] == 40
    asked = Asked(RealtimeReply(2), context(*GREETED), heard_s=1.5, text="One two three", sound_bytes=48_000)
    assert spent.reckon(asked) == {
        "tokens_in": Decimal(155),
        "tokens_out": Decimal(23),
        "audio_tokens_in": Decimal(55),
        "audio_tokens_out": Decimal(20),
    }


class Told:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.pcm = bytearray()

    def began(self) -> None:
        self.events.append("began")

    def hear(self, pcm: bytes) -> None:
        self.pcm += pcm

    def paused(self) -> None:
        self.events.append("paused")


async def test_a_voice_comes_with_a_little_before_it_and_without_the_silence() -> None:
    told = Told()
    silent, loud = (
        InputAudioRawFrame(np.full(320, level, np.int16).tobytes(), 16_000, 1) for level in (0, 900)
    )
    frames = [
        *[silent] * 100,
        VoiceStartedFrame(start_secs=0.1, segment_id=1),
        *[loud] * 50,
        VoicePausedFrame(stop_secs=0.1, segment_id=1),
        *[silent] * 100,
    ]
    received, _ = await run_test(Pipeline([RealtimeEars(told)]), frames_to_send=frames)
    assert told.events == ["began", "paused"]
    seconds = len(told.pcm) / 48_000
    assert seconds == pytest.approx(1.5, abs=0.02), "a second, and half of one before it"
    assert sum(isinstance(frame, InputAudioRawFrame) for frame in received) == 250, "all of it goes on"
