"""The cache of one call: what it finds, what stops it, and what is left of it in the file."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from repartee.agent import Agent, load_agent
from repartee.providers.answer_cache import AnswerCache, space_of
from repartee.providers.embedding import Embed, Embedder, Vectors
from repartee.providers.learned import LearnedAnswers
from tests.conftest import FRONT_DESK

QUESTION, ANSWER = "Do you have a playground?", "Yes, there is one in the yard."


@pytest.fixture
def desk() -> Agent:
    return load_agent(FRONT_DESK)


@pytest.fixture
async def cache(desk: Agent, embed: Embed) -> AnswerCache:
    cache = AnswerCache(desk, embed, None)
    await cache.warm()
    return cache


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def learned(path: Path, space: str = "a", size: int = 3, clock: Clock | None = None) -> LearnedAnswers:
    return LearnedAnswers(path, space, ttl_s=60, size=size, now_s=clock or Clock())


@pytest.mark.parametrize(
    ("text", "answer_id"),
    [
        ("When are you open?", "hours"),
        ("what are your opening hours", "hours"),
        ("Hello, could you tell me where you are?", "location"),
        ("Do you have parking?", "parking"),
        ("Do you offer flu shots?", "vaccination"),
        ("Goodbye.", "goodbye"),
    ],
)
async def test_the_file_s_answers_are_found(cache: AnswerCache, text: str, answer_id: str) -> None:
    hit = (await cache.find(text)).hit
    assert hit is not None
    assert hit.known.answer_id == answer_id


@pytest.mark.parametrize(
    "text",
    [
        "I would like to book an appointment",
        "Please could you cancel my visit?",
        "When is my appointment?",
        "Do you give tetanus shots?",
        "Are you open on Sunday?",
        "Yes.",
        "No.",
        "And how much is it?",
        "",
    ],
)
async def test_what_a_tool_or_the_model_must_answer_is_not(cache: AnswerCache, text: str) -> None:
    assert (await cache.find(text)).hit is None


async def test_without_vectors_the_same_words_are_still_found(desk: Agent) -> None:
    async def away(texts: Sequence[str]) -> Vectors:
        raise httpx.ConnectError("no host")

    cache = AnswerCache(desk, away, None)
    await cache.warm()
    assert (await cache.find("When are you open?")).hit is not None
    assert (await cache.find("What are your opening times?")).hit is None


async def test_a_host_that_hangs_costs_a_moment_only(desk: Agent, embed: Embed) -> None:
    hanging = asyncio.Event()

    async def slow(texts: Sequence[str]) -> Vectors:
        if hanging.is_set():
            await asyncio.Event().wait()
        return await embed(texts)

    cache = AnswerCache(desk, slow, None)
    await cache.warm()
    hanging.set()
    async with asyncio.timeout(5):
        assert (await cache.find("What are your opening times?")).why_not == "TimeoutError"


async def test_another_language_is_matched_by_its_words_only(tmp_path: Path, embed: Embed) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "name: A\nlanguage: de\npersona: x\ngreeting: Hallo\ncache: {learn: true}\n"
        "answers: [{id: hours, ask: ['Wann habt ihr offen?'], say: Von acht bis sechs.}]\n"
    )
    cache = AnswerCache(load_agent(file), embed, learned(tmp_path / "a.db"))
    await cache.warm()
    assert (await cache.find("Wann habt ihr offen?")).hit is not None
    assert (await cache.find("Wann seid ihr offen?")).hit is None
    assert not cache.learns


async def test_what_was_learned_is_found_by_the_next_call(desk: Agent, embed: Embed, tmp_path: Path) -> None:
    learning = desk.model_copy(update={"cache": desk.cache.model_copy(update={"learn": True})})
    clock = Clock()
    first = AnswerCache(learning, embed, learned(tmp_path / "a.db", clock=clock))
    assert await first.learn(QUESTION, ANSWER, agent_said="", said_before=[]) is None
    assert await first.learn("Is it big?", "Yes.", agent_said="", said_before=[]) == "reference"
    second = AnswerCache(learning, embed, learned(tmp_path / "a.db", clock=clock))
    await second.warm()
    hit = (await second.find("Is there a playground?")).hit
    assert hit is not None
    assert (hit.known.answer, hit.known.source) == (ANSWER, "learned")
    clock.now_s += 61
    third = AnswerCache(learning, embed, learned(tmp_path / "a.db", clock=clock))
    await third.warm()
    assert (await third.find("Is there a playground?")).hit is None, "it is too old"


async def test_of_a_caller_only_the_normalised_question_is_kept(
    desk: Agent, embed: Embed, tmp_path: Path
) -> None:
    learning = desk.model_copy(update={"cache": desk.cache.model_copy(update={"learn": True})})
    cache = AnswerCache(learning, embed, learned(tmp_path / "a.db"))
    said = ["My name is Jennifer Walsh", "Um, hi, could you tell me, do you have a playground, please?"]
    assert await cache.learn(said[1], ANSWER, agent_said="", said_before=said[:1]) is None
    assert (
        await cache.learn("Is Jennifer Walsh a patient?", "Yes.", agent_said="", said_before=said) is not None
    )
    unsure = await cache.learn("is miller a patient?", "Yes.", agent_said="", said_before=[])
    assert unsure == "no capitals", "a name could not be told from a word"
    with sqlite3.connect(tmp_path / "a.db") as db:
        rows = db.execute("SELECT question, answer FROM learned").fetchall()
    assert rows == [("do you have a playground", ANSWER)]
    assert "Walsh" not in _bytes(tmp_path)


def _bytes(folder: Path) -> str:
    return "".join(file.read_text(errors="replace") for file in folder.glob("a.db*"))


def test_the_file_is_bounded_and_split_by_agent_and_version(desk: Agent, tmp_path: Path) -> None:
    path, clock = tmp_path / "a.db", Clock()
    mine, other = learned(path, "a", clock=clock), learned(path, "b", clock=clock)
    other.keep("q", "theirs", None)
    for number in range(5):
        clock.now_s += 1
        mine.keep(f"q{number}", str(number), None)
        mine.used("q0")
    assert {question for question, _, _ in mine.load()} == {"q0", "q3", "q4"}, "what is used stays"
    assert [answer for _, answer, _ in other.load()] == ["theirs"]
    changed = desk.model_copy(update={"version": "other"})
    assert len({space_of(desk, "m"), space_of(changed, "m"), space_of(desk, "n")}) == 3


def test_a_file_that_cannot_be_used_is_an_empty_cache(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("this is no database, but quite long enough to be taken for one")
    broken = learned(tmp_path / "a.db")
    broken.keep("q", "a", None)
    assert broken.load() == []


async def test_vectors_are_asked_for_once() -> None:
    asked: list[list[str]] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        texts = json.loads(request.content)["input"]
        asked.append(texts)
        return httpx.Response(200, json={"data": [{"embedding": [float(len(t))]} for t in texts]})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://host") as client:
        embedder = Embedder(client)
        first = await embedder(["a", "bb", "a"])
        again = await embedder(["bb", "ccc"])
    assert first.tolist() == [[1.0], [2.0], [1.0]]
    assert again.tolist() == [[2.0], [3.0]]
    assert asked == [["a", "bb"], ["ccc"]]
