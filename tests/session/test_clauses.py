"""A reply is cut so that it is heard early and sounds well."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    TTSSpeakFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection

from repartee.providers.frames import SpeakerFrame
from repartee.session.clauses import ClauseCutter, Clauses
from repartee.session.frames import AsideFrame, ReplyStartFrame


def cut(text: str) -> list[str]:
    cutter = ClauseCutter()
    found = [clause for word in text.split(" ") for clause in cutter.add(word + " ")]
    return [*found, *([rest] if (rest := cutter.flush()) else [])]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Sure. We open at eight.", ["Sure.", "We open at eight."]),
        (
            "Of course, I can do that for you, just a moment.",
            ["Of course, I can do that for you,", "just a moment."],
        ),
        (
            "Yes. It is. No. It is not. Well, who knows what it really is in the end? Nobody.",
            ["Yes.", "It is. No. It is not. Well, who knows what it really is in the end?", "Nobody."],
        ),
        ("Dr. Smith is in on Monday. Anything else?", ["Dr. Smith is in on Monday.", "Anything else?"]),
        ("That costs 9.50 euros", ["That costs 9.50 euros"]),
        ("", []),
    ],
)
def test_clauses(text: str, clauses: list[str]) -> None:
    assert cut(text) == clauses


def test_nothing_is_lost_or_doubled_however_the_text_arrives() -> None:
    text = "Good. I have found it, I think; let me see! " + "word " * 120 + "end. Done?"
    for size in (1, 3, 7, 50):
        cutter, got = ClauseCutter(), []
        for at in range(0, len(text), size):
            got += cutter.add(text[at : at + size])
        got.append(cutter.flush())
        assert " ".join(" ".join(got).split()) == " ".join(text.split())
        assert max(map(len, got)) <= 320


class Voice:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def prefetch(self, text: str, reply_id: int | None) -> None:
        assert reply_id is not None
        self.asked.append(text)

    def speaks_next(self, name: str) -> None:
        self.asked.append(f"({name})")


async def clauses(monkeypatch: pytest.MonkeyPatch) -> tuple[Clauses, Voice, list[Frame]]:
    voice, pushed = Voice(), []
    part = Clauses(voice)

    async def push(frame: Frame, *_: Any) -> None:
        pushed.append(frame)
        await asyncio.sleep(0)

    async def base(*_: Any) -> None: ...

    monkeypatch.setattr(part, "push_frame", push)
    monkeypatch.setattr("pipecat.processors.frame_processor.FrameProcessor.process_frame", base)
    return part, voice, pushed


def texts(pushed: list[Frame]) -> list[str]:
    return [frame.text for frame in pushed if isinstance(frame, AggregatedTextFrame)]


async def test_a_held_reply_is_not_voiced_before_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    part, voice, pushed = await clauses(monkeypatch)
    down = FrameDirection.DOWNSTREAM
    await part.process_frame(ReplyStartFrame(reply_id=3, context=LLMContext()), down)
    await part.process_frame(LLMTextFrame("Sure. We open at eight."), down)
    await part.process_frame(LLMFullResponseEndFrame(), down)
    assert (texts(pushed), voice.asked) == ([], [])
    await part.allow(3)
    assert texts(pushed) == voice.asked == ["Sure.", "We open at eight."]
    assert isinstance(pushed[-1], LLMFullResponseEndFrame), "the end stays behind the text"


async def test_what_was_held_of_a_thrown_away_reply_is_never_voiced(monkeypatch: pytest.MonkeyPatch) -> None:
    part, voice, pushed = await clauses(monkeypatch)
    down = FrameDirection.DOWNSTREAM
    await part.process_frame(ReplyStartFrame(reply_id=3, context=LLMContext()), down)
    await part.process_frame(LLMTextFrame("Wrong. "), down)
    await part.process_frame(InterruptionFrame(), down)
    await part.process_frame(ReplyStartFrame(reply_id=4, context=LLMContext()), down)
    await part.allow(4)
    await part.process_frame(LLMTextFrame("Right. And more."), down)
    await part.process_frame(LLMFullResponseEndFrame(), down)
    assert texts(pushed) == voice.asked == ["Right.", "And more."]


async def test_a_line_of_our_own_needs_no_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    part, _, pushed = await clauses(monkeypatch)
    await part.process_frame(ReplyStartFrame(reply_id=1), FrameDirection.DOWNSTREAM)
    await part.process_frame(LLMTextFrame("Hello there. "), FrameDirection.DOWNSTREAM)
    assert texts(pushed) == ["Hello there."]


async def test_what_another_agent_says_is_asked_for_in_their_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    part, voice, pushed = await clauses(monkeypatch)
    down = FrameDirection.DOWNSTREAM
    await part.process_frame(ReplyStartFrame(reply_id=3, context=LLMContext()), down)
    await part.process_frame(LLMTextFrame("I pass you on. "), down)
    await part.process_frame(SpeakerFrame(agent="Billing"), down)
    await part.process_frame(LLMTextFrame("Billing here. "), down)
    await part.process_frame(LLMFullResponseEndFrame(), down)
    await part.allow(3)
    assert voice.asked == ["I pass you on.", "(Billing)", "Billing here."]
    kinds = [AggregatedTextFrame, SpeakerFrame, AggregatedTextFrame, LLMFullResponseEndFrame]
    assert [type(frame) for frame in pushed[1:]] == kinds


async def test_what_there_is_of_a_reply_is_known_before_the_voice_comes_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another agent could say it, should this one die."""
    part, _, pushed = await clauses(monkeypatch)
    down = FrameDirection.DOWNSTREAM
    await part.process_frame(ReplyStartFrame(reply_id=3, context=LLMContext()), down)
    await part.process_frame(LLMTextFrame("Sure. We open at eight. And we"), down)
    assert part.written(3) == ["Sure."]
    assert not [frame for frame in pushed if isinstance(frame, AggregatedTextFrame)], "it is held"
    await part.process_frame(LLMTextFrame(" close at six."), down)
    await part.process_frame(LLMFullResponseEndFrame(), down)
    assert " ".join(part.written(3)) == "Sure. We open at eight. And we close at six."
    assert part.written(2) == [], "another reply's"
    for aside in (AsideFrame(begins=True), TTSSpeakFrame("One moment."), AsideFrame(begins=False)):
        await part.process_frame(aside, down)
    assert "One moment." not in part.written(3), "what is said beside it is no part of it"
    await part.process_frame(ReplyStartFrame(reply_id=4), down)
    await part.process_frame(TTSSpeakFrame("Sorry."), down)
    await part.process_frame(TTSSpeakFrame("The rest."), down)
    assert part.written(4) == ["Sorry.", "The rest."]
    assert part.written(3) == [], "it is over"
