"""Which tier answers a turn: known answers before the model, a small model before the large one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from openai.types.chat import ChatCompletionChunk
from pipecat.frames.frames import Frame, LLMTextFrame
from pipecat.processors.frame_processor import FrameDirection

from repartee.agent import Agent, load_agent
from repartee.conversation import Idle, Speaking
from repartee.conversation.clauses import clauses_of
from repartee.providers.answer_cache import AnswerCache, space_of
from repartee.providers.embedding import Embed
from repartee.providers.frames import ReplyContext
from repartee.providers.learned import LearnedAnswers
from repartee.providers.routed import RoutedLLM
from repartee.providers.services import SharedClientLLM
from repartee.providers.voice_cache import VoiceCache
from repartee.session.tiers import Standing, TierParts, Tiers
from tests.session.rig import Ask, Call
from tests.session.test_call import NOW, said

HOURS = "We are open from eight to six. At weekends we are closed."
FILE = """
name: Riverside Clinic
persona: x
greeting: Hello
answers:
  - {id: hours, ask: ['When are you open?'], say: '%s'}
  - {id: parking, ask: ['Is there parking at the clinic?'], say: Parking is free.}
cache: {learn: true}
"""


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    file = tmp_path / "a.yaml"
    file.write_text(FILE % HOURS)
    return load_agent(file)


@pytest.fixture
def learned(agent: Agent, tmp_path: Path) -> LearnedAnswers:
    return LearnedAnswers(tmp_path / "a.db", space_of(agent, "m"), ttl_s=60, size=10, now_s=lambda: 1000.0)


@pytest.fixture
async def cache(agent: Agent, learned: LearnedAnswers, embed: Embed) -> AnswerCache:
    cache = AnswerCache(agent, embed, learned)
    await cache.warm()
    return cache


class Marks:
    """What the timeline was told."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def __call__(self, name: str, **values: Any) -> None:
        self.all.append({"name": name, **values})

    def tiers(self) -> list[str]:
        return [mark["tier"] for mark in self.all if mark["name"] == "reply.tier"]

    def has(self, name: str) -> bool:
        return any(mark["name"] == name for mark in self.all)

    def last(self, name: str) -> dict[str, Any]:
        return next(mark for mark in reversed(self.all) if mark["name"] == name)


async def turn(call: Call, text: str, segment: int = 1) -> None:
    """Say something and hear the answer to its end."""
    said(call, text, segment=segment)
    await call.until(lambda: isinstance(call.state, Speaking))
    await call.play_until(lambda: isinstance(call.state, Idle))


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("When are you open?", "exact"),
        ("Um, hi, when are you open, please?", "exact"),
        ("What are your opening hours?", "meaning"),
        ("Could you tell me what time you're open?", "meaning"),
    ],
)
async def test_a_known_question_never_reaches_the_model(cache: AnswerCache, text: str, how: str) -> None:
    marks = Marks()
    async with Call(policies=NOW, tiers=Tiers(TierParts(cache), marks)) as call:
        await turn(call, text)
    assert call.model.asked == []
    assert call.voice.spoken == clauses_of(HOURS), "clause by clause, as a model's words would be"
    assert call.history.entries[-1] == {"role": "assistant", "content": HOURS}
    assert marks.tiers() == ["cached"]
    assert marks.last("reply.tier")["how"] == how


@pytest.mark.parametrize(
    "text",
    [
        "When are you not open?",
        "When are you closed?",
        "When are you open on Sunday?",
        "Why are you open?",
        "How much is parking at the clinic?",
        "And when are you open?",
        "Is there parking at the clinic for trucks?",
    ],
)
async def test_a_near_miss_goes_to_the_model(cache: AnswerCache, text: str) -> None:
    marks = Marks()
    async with Call(Ask("That depends."), policies=NOW, tiers=Tiers(TierParts(cache), marks)) as call:
        await turn(call, text)
    assert len(call.model.asked) == 1
    assert marks.tiers() == ["large"]


async def test_an_open_goal_or_question_keeps_the_cache_out(cache: AnswerCache) -> None:
    marks = Marks()
    goal = Tiers(TierParts(cache), marks, lambda: Standing(open_goal=True))
    async with Call(Ask("From eight. So, which day?"), policies=NOW, tiers=goal) as call:
        await turn(call, "When are you open?")
    assert marks.last("reply.tier")["not_cached"] == "open goal"
    asking = Tiers(TierParts(cache), marks)
    async with Call(
        Ask("Which day suits you?"), Ask("From eight. Which day?"), policies=NOW, tiers=asking
    ) as call:
        await turn(call, "I need to see somebody.")
        await turn(call, "When are you open?", 2)
    assert marks.last("reply.tier")["not_cached"] == "pending question"
    assert len(call.model.asked) == 2


async def test_a_note_at_the_end_of_a_request_hides_no_question(cache: AnswerCache) -> None:
    marks, pushed = Marks(), list[Frame]()
    tiers = Tiers(TierParts(cache), marks)

    async def push_frame(frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        pushed.append(frame)

    tiers.push_frame = push_frame  # type: ignore[method-assign]
    messages: list[Any] = [
        {"role": "user", "content": "When are you open?"},
        {"role": "developer", "content": "Goals of this call, kept by the system:\n- done: book"},
    ]
    assert await tiers._answered(ReplyContext(messages, reply_id=1))
    assert "".join(frame.text for frame in pushed if isinstance(frame, LLMTextFrame)).strip() == HOURS


async def test_an_interrupted_known_answer_leaves_only_what_was_heard(cache: AnswerCache) -> None:
    async with Call(Ask("Yes."), policies=NOW, tiers=Tiers(TierParts(cache), Marks())) as call:
        said(call, "When are you open?")
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play(1000)
        said(call, "Is the doctor in today?", segment=2)
        await call.until(lambda: call.model.asked)
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    heard = str(call.history.entries[1]["content"])
    assert heard.endswith("…")
    assert HOURS.startswith(heard[:-1])
    assert 2 <= len(heard.split()) <= 5, heard


async def test_an_answer_of_the_model_is_kept_once_it_was_heard(
    cache: AnswerCache, learned: LearnedAnswers
) -> None:
    marks, voice_asked = Marks(), "Do you have a playground?"
    async with Call(
        Ask("Yes, there is one in the yard."), policies=NOW, tiers=Tiers(TierParts(cache), marks)
    ) as call:
        await turn(call, voice_asked)
        await call.until(lambda: marks.has("answer.learned"))
        await turn(call, "Is there a playground?", 2)
    assert marks.tiers() == ["large", "cached"]
    assert marks.last("reply.tier")["source"] == "learned"
    assert len(call.model.asked) == 1
    kept = [(question, answer) for question, answer, _ in learned.load()]
    assert kept == [("do you have a playground", "Yes, there is one in the yard.")]


async def test_an_answer_that_was_cut_off_is_not_kept(cache: AnswerCache, learned: LearnedAnswers) -> None:
    marks = Marks()
    async with Call(
        Ask("Yes, there is a large one in the yard behind the house."),
        Ask("Yes."),
        policies=NOW,
        tiers=Tiers(TierParts(cache), marks),
    ) as call:
        said(call, "Do you have a playground?")
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play(600)
        said(call, "And my name is Anna Miller.", segment=2)
        await call.until(lambda: len(call.model.asked) == 2)
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
        await call.until(lambda: marks.has("answer.learned"))
    assert marks.last("answer.learned")["kept"] is False
    assert learned.load() == []


async def test_an_answer_that_took_a_tool_is_not_kept(cache: AnswerCache, learned: LearnedAnswers) -> None:
    marks = Marks()
    tiers = Tiers(TierParts(cache), marks)
    script = Ask(tool="free_slots"), Ask("Yes, there is one.")
    async with Call(*script, policies=NOW, tiers=tiers) as call:
        await turn(call, "Do you have a playground?")
        await call.settle()
    assert [mark["name"] for mark in marks.all] == ["reply.tier"]
    assert learned.load() == []


async def test_the_audio_of_a_learned_answer_is_kept_with_it(cache: AnswerCache, tmp_path: Path) -> None:
    marks, voice = Marks(), VoiceCache(tmp_path / "voices", "v")
    answer = "Yes, there is one. It is in the yard."
    async with Call(Ask(answer), policies=NOW, tiers=Tiers(TierParts(cache, voice=voice), marks)) as call:
        for clause in clauses_of(answer):
            voice.put(clause, b"\1\0")  # as the voice does when it has spoken; not kept yet
        assert not voice.has_all(clauses_of(answer))
        await turn(call, "Do you have a playground?")
        await call.until(lambda: voice.has_all(clauses_of(answer)))


# --- small and large ----------------------------------------------------------------------------------------------


class Vendor:
    """A vendor's client: streams what its script says, and counts."""

    api_key, base_url = "k", "http://vendor"

    def __init__(self, *replies: str | Exception) -> None:
        self.replies = list(replies)
        self.asked = 0
        self.closed = 0
        self.chat = self.completions = self

    async def create(self, **_: Any) -> Any:
        self.asked += 1
        return Stream(self, self.replies.pop(0))


class Stream:
    def __init__(self, vendor: Vendor, reply: str | Exception) -> None:
        self.vendor, self.reply = vendor, reply

    async def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        if isinstance(self.reply, Exception):
            raise self.reply
        for piece in self.reply.split(" "):
            tool = piece.removeprefix("CALL:") if piece.startswith("CALL:") else None
            function = {"name": tool, "arguments": "{}"}
            call = [{"index": 0, "id": "c", "type": "function", "function": function}]
            delta: dict[str, Any] = {"tool_calls": call} if tool else {"content": f"{piece} "}
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            yield ChatCompletionChunk.model_validate(
                {
                    "id": "x",
                    "object": "chat.completion.chunk",
                    "created": 0,
                    "model": "m",
                    "choices": [choice],
                }
            )

    async def close(self) -> None:
        self.vendor.closed += 1


def routed(small: Vendor, large: Vendor) -> RoutedLLM:
    def settings(name: str) -> Any:
        return SharedClientLLM.Settings(model=name)

    inner = SharedClientLLM(cast("Any", small), settings=settings("small"))
    return RoutedLLM(cast("Any", large), small=inner, acting_tools=["book"], settings=settings("large"))


async def ask_routed(small: Vendor, large: Vendor, text: str, **standing: Any) -> tuple[Call, Marks]:
    marks, llm = Marks(), routed(small, large)
    llm.on_replaced = lambda reply_id, request_id: marks("replaced", reply_id=reply_id, request_id=request_id)
    tiers = Tiers(TierParts(models=llm, has_tools=True), marks, lambda: Standing(**standing))
    async with Call(policies=NOW, tiers=tiers, model=llm) as call:
        await turn(call, text)
    return call, marks


async def test_a_simple_turn_is_answered_by_the_small_model() -> None:
    small, large = Vendor("Yes, parking is free behind the house."), Vendor()
    call, marks = await ask_routed(small, large, "Is there parking?")
    assert (small.asked, large.asked) == (1, 0)
    assert marks.tiers() == ["small"]
    assert call.history.entries[-1]["content"] == "Yes, parking is free behind the house."
    assert small.closed == 1


@pytest.mark.parametrize(
    ("text", "standing"),
    [
        ("I would like to book a table.", {}),
        ("Is there parking?", {"open_goal": True}),
        ("What is the difference between the two plans?", {}),
    ],
)
async def test_what_matters_goes_to_the_large_model(text: str, standing: dict[str, Any]) -> None:
    small, large = Vendor(), Vendor("Let us see.")
    _, marks = await ask_routed(small, large, text, **standing)
    assert (small.asked, large.asked) == (0, 1)
    assert marks.tiers() == ["large"]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("I'm sorry, I can't help with that.", "small: cannot"),
        ("Unfortunately I have no idea.", "small: cannot"),
        ("CALL:book", "small: tool"),
        ("Sure, I will book that for you now CALL:book", "small: tool"),
        ("", "small: empty"),
    ],
)
async def test_a_small_model_that_will_not_do_is_replaced_within_the_turn(reply: str, why: str) -> None:
    small, large = Vendor(reply), Vendor("Yes, it is behind the house.")
    call, marks = await ask_routed(small, large, "Is there parking?")
    assert (small.asked, large.asked) == (1, 1), "and only once"
    assert marks.tiers() == ["small", "large"]
    assert marks.last("reply.tier")["why"] == why
    assert str(call.history.entries[-1]["content"]).endswith("Yes, it is behind the house.")
    assert "sorry" not in str(call.history.entries)
    assert not any(entry.get("tool_calls") for entry in call.history.entries)
    assert (small.closed, large.closed) == (1, 1), "no connection is left open"
    partly_heard = reply.startswith("Sure")
    assert marks.has("replaced") is not partly_heard, "what was not passed on was made for nothing"


async def test_the_budget_s_last_word_is_the_small_model() -> None:
    small, large = Vendor("We can do that."), Vendor()
    _, marks = await ask_routed(small, large, "I would like to book a table.", budget="last")
    assert marks.tiers() == ["small"]
