"""Goals in a call: read in the background, shown to the model, to tools and to clients, offered once."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from openai import AsyncOpenAI

from repartee.agent import load_agent
from repartee.conversation import Idle, Speaking
from repartee.goals import Goals
from repartee.providers.embedding import Embedder
from repartee.providers.intents import OTHER, MeaningReader, ModelReader
from repartee.providers.metered_http import MeteredClient
from repartee.providers.metering import Meter
from repartee.session.intents import GoalKeeper, goals_json
from repartee.session.tools import LiveReply
from repartee.telemetry.usage import Usage
from tests.session.desk import Does, Marks, call_with, write
from tests.session.test_call import said

TOOLS = '''
from datetime import date, time
seen = []

@tool(side_effect=True)
def book(ctx: ToolContext, name: str, day: date, at: time) -> str:
    """Book."""
    seen.append(ctx.goals)
    return "Booked."

@tool(side_effect=True)
def cancel(name: str) -> str:
    """Cancel."""
    return "Cancelled."
'''
INTENTS = """intents:
  - name: book
    description: The caller wants an appointment.
    examples: [I need to see a doctor]
    phrases: [book an appointment]
    tool: book
    slots:
      name: {type: name, ask: Your name}
      day: {type: date, ask: Which day}
      at: {type: time, ask: What time}
    resume: Shall we go on with your appointment?
  - name: cancel
    description: The caller cancels.
    examples: [I cannot come]
    phrases: [cancel my appointment]
    tool: cancel
    slots: {name: {type: name, ask: Your name}}
"""
NOW = datetime(2026, 11, 24, 9, 0)  # noqa: DTZ001 - a Tuesday, on the wall clock
OFFER = "Shall we go on with your appointment?"


class Reader:
    """Finds what it is told to find, when it is told to."""

    def __init__(self, **topics: str | None) -> None:
        self.topics = topics
        self.asked: list[tuple[str, str | None]] = []
        self.may = asyncio.Event()
        self.may.set()

    async def read(self, text: str, present: str | None) -> str | None:
        self.asked.append((text, present))
        await self.may.wait()
        return next((topic for word, topic in self.topics.items() if word in text.lower()), None)


class Keeping:
    """A keeper, driven turn by turn."""

    def __init__(self, folder: Path, reader: Reader | None = None) -> None:
        self.marks = Marks()
        self.shown: list[Goals] = []
        self.keeper = GoalKeeper(load_agent(write(folder, TOOLS, INTENTS)), reader, self.marks, lambda: NOW)
        self.keeper.on_change(self.shown.append)
        self.turns = 0

    async def __aenter__(self) -> Keeping:
        self.keeper.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.keeper.aclose()

    async def turn(self, text: str, reply: str = "All right.", *, settle: bool = True) -> str:
        """The user says something, hears a reply; returns the note the model had."""
        self.turns += 1
        live = LiveReply(self.turns, self.turns, text)
        self.keeper.opened(live)
        note = self.keeper.note(self.turns)
        self.keeper.turn_remembered(live, text)
        self.keeper.heard(self.turns, reply)
        if settle:
            await self.settled()
        return note

    async def settled(self) -> None:
        async with asyncio.timeout(10):
            await self.keeper._turns.join()

    @property
    def standing(self) -> list[tuple[str, str]]:
        return [(goal.intent, goal.status) for goal in self.keeper.goals.items]


async def test_a_booking_is_kept_over_a_question_and_offered_once(tmp_path: Path) -> None:
    async with Keeping(tmp_path) as call:
        assert await call.turn("I'd like to book an appointment for tomorrow at ten o'clock") == ""
        goal = call.keeper.goals.open
        assert goal is not None
        assert goal.values == {"day": "2026-11-25", "at": "10:00"}
        assert goal.missing == ("name",)
        note = await call.turn("Wait, first tell me, is there parking?", "Yes, there is.")
        assert "book (open); day=2026-11-25, at=10:00; still needed: name" in note
        assert OFFER not in note
        assert call.standing == [("book", "waiting")]
        note = await call.turn("Good to know, thank you", f"You are welcome. {OFFER}")
        assert OFFER in note
        note = await call.turn("Yes, please.")
        assert OFFER not in note, "it was offered"
        assert call.standing == [("book", "open")]
        await call.turn("My name is Ann Hill")
        assert call.keeper.goals.open is not None
        assert call.keeper.goals.open.missing == ()
        call.keeper.tool_done("book", {"name": "Ann Hill"})
        assert call.standing == [("book", "done")]
        assert "done: book" in await call.turn("Thanks")


async def test_an_offer_that_was_not_made_is_asked_for_again(tmp_path: Path) -> None:
    async with Keeping(tmp_path) as call:
        await call.turn("I want to book an appointment")
        await call.turn("Hold on, one question: where are you?")
        assert OFFER in await call.turn("And when are you open?", "From eight to six.")
        assert OFFER in await call.turn("And at weekends?", "Never.")


@pytest.mark.parametrize(
    ("answer", "status"), [("No, thanks.", "dropped"), ("Hm.", "waiting"), ("Yes.", "open")]
)
async def test_the_answer_to_the_offer(tmp_path: Path, answer: str, status: str) -> None:
    async with Keeping(tmp_path) as call:
        await call.turn("I want to book an appointment")
        await call.turn("Hold on, where are you?")
        await call.turn("I see", OFFER)
        await call.turn(answer)
        assert call.standing == [("book", status)]


async def test_another_wish_has_the_floor_until_its_tool_is_done(tmp_path: Path) -> None:
    async with Keeping(tmp_path) as call:
        await call.turn("I want to book an appointment")
        await call.turn("Oh, before that please cancel my appointment")
        assert call.standing == [("book", "waiting"), ("cancel", "open")]
        call.keeper.tool_done("cancel", {"name": "Ann"})
        assert OFFER in await call.turn("Thanks")


async def test_what_rules_do_not_tell_is_found_by_the_reader(tmp_path: Path) -> None:
    reader = Reader(doctor="book", parking=OTHER)
    async with Keeping(tmp_path, reader) as call:
        await call.turn("Could a doctor have a look at my knee on Friday?")
        assert call.standing == [("book", "open")]
        assert call.keeper.goals.items[0].values == {"day": "2026-11-27"}
        await call.turn("Do you have parking?")
        assert call.standing == [("book", "waiting")]
        await call.turn("At ten o'clock in the morning")
        assert call.standing == [("book", "open")], "who answers the open question has come back"
    assert [present for _, present in reader.asked] == [None, "book", None]


async def test_nothing_waits_for_a_slow_reader_and_it_has_a_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repartee.session.intents.READ_S", 0.01)
    reader = Reader(doctor="book")
    reader.may.clear()
    async with Keeping(tmp_path, reader) as call:
        await call.turn("Could a doctor have a look?", settle=False)
        assert await call.turn("I want to book an appointment", settle=False) == "", (
            "the request did not wait"
        )
        await call.settled()
        assert call.standing == [("book", "open")], "the next turn was read"


async def test_a_turn_whose_tool_told_what_it_was_about_costs_nothing_more(tmp_path: Path) -> None:
    reader = Reader()
    async with Keeping(tmp_path, reader) as call:
        live = LiveReply(1, 1, "Ten would suit me")
        call.keeper.opened(live)
        call.keeper.tool_done("book", {"name": "Ann"})
        call.keeper.turn_remembered(live, live.text)
        await call.settled()
    assert reader.asked == []
    assert call.standing == [("book", "done")]


async def test_marks_and_clients_learn_nothing_personal(tmp_path: Path) -> None:
    async with Keeping(tmp_path) as call:
        await call.turn("My name is Ann Hill and I want to book an appointment")
    told = goals_json(call.shown[-1])
    assert json.loads(told) == [
        {"id": 1, "intent": "book", "status": "open", "known": ["name"], "missing": ["day", "at"]}
    ]
    assert call.keeper.goals.items[0].values == {"name": "Ann Hill"}
    assert "Ann" not in told + str(call.marks)
    assert call.marks[-1] == (
        "goal",
        {"goal_id": 1, "intent": "book", "status": "open", "known": 1, "missing": 2},
    )


async def test_in_a_call_the_model_and_the_tools_see_the_goals(tmp_path: Path) -> None:
    file = write(tmp_path, TOOLS, INTENTS)
    booking = {"name": "Ann", "day": "2031-03-04", "at": "10:00"}
    call, model, _ = call_with(file, Does("Whose name?"), Does(calls=[("book", booking)]), Does("Done."))
    async with call:
        assert call.agenda is not None
        call.agenda.start()
        said(call, "I want to book an appointment")
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
        await call.until(lambda: call.agenda is not None and call.agenda.goals.open)
        said(call, "Ann, on the fourth of March at ten", segment=2)
        await call.until(lambda: len(model.asked) == 3)
        await call.play_until(lambda: isinstance(call.state, Idle))
        goals = call.agenda.goals
        await call.agenda.aclose()
    assert model.asked[0] == [{"role": "user", "content": "I want to book an appointment"}]
    # The note is the last message, so that what comes before is the same in the next request.
    assert [message["role"] for message in model.asked[1]] == ["user", "assistant", "user", "developer"]
    assert "book (open)" in str(model.asked[1][-1]["content"])
    assert model.asked[1][:2] == call.history.entries[:2]
    assert not any(entry["role"] == "developer" for entry in call.history.entries)
    assert [(goal.intent, goal.status) for goal in goals.items] == [("book", "done")]
    assert goals.items[0].values["name"] == "Ann"


def embeddings(request: httpx.Request) -> httpx.Response:
    """Texts with a word in common are near."""
    topics = ("doctor", "cancel", "come", "parking")
    texts = json.loads(request.content)["input"]
    vectors = [[float(topic in text.lower()) for topic in topics] for text in texts]
    return httpx.Response(200, json={"data": [{"embedding": vector} for vector in vectors]})


async def test_by_meaning(tmp_path: Path) -> None:
    answers = "answers:\n  - {id: parking, ask: [Is there parking], say: There is.}\n"
    agent = load_agent(write(tmp_path, TOOLS, INTENTS + answers))
    asked: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.extend(json.loads(request.content)["input"])
        return embeddings(request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond), base_url="http://speech") as client:
        reader = MeaningReader(Embedder(client), agent)
        assert await reader.read("A doctor, please", None) == "book"
        assert await reader.read("A doctor, please", "book") is None, "that is what it is about"
        assert await reader.read("Where is parking?", "book") == OTHER
        assert await reader.read("Hello", None) is None
    assert len(asked) == len(set(asked)), "the examples once, and each text once"


def completion(answer: str) -> Any:
    def respond(request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        assert body["max_tokens"] <= 16
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer}}
        usage = {"prompt_tokens": 90, "completion_tokens": 2, "total_tokens": 92}
        head = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
        return httpx2.Response(200, json={**head, "choices": [choice], "usage": usage})

    return respond


@pytest.mark.parametrize(
    ("answer", "topic"),
    [("book", "book"), (" Book.", "book"), ("something_else", OTHER), ("goes_on", None), ("a poem", None)],
)
async def test_by_a_small_model_and_what_it_used(tmp_path: Path, answer: str, topic: str | None) -> None:
    agent = load_agent(write(tmp_path, TOOLS, INTENTS))
    used: list[Usage] = []
    transport = httpx2.MockTransport(completion(answer))
    async with MeteredClient(Meter(used.append), "openai", transport=transport) as http:
        client = AsyncOpenAI(api_key="k", base_url="http://model/v1", http_client=http)
        reader = ModelReader(client, "small", agent)
        assert await reader.read("I need help", None) == topic
    (usage,) = used
    assert (usage.stage, usage.model, usage.outcome, usage.estimated) == ("llm", "small", "done", False)
    assert usage.purpose == "classification"
    assert usage.quantities == {"tokens_in": Decimal(90), "tokens_out": Decimal(2)}
