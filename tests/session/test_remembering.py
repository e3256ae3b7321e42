"""The fold worker: never in a reply's way, called off by an interruption, never losing a turn."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from repartee.agent import load_agent
from repartee.conversation import Conversation, Idle, Speaking, Turn, UserTurn
from repartee.conversation.history import History
from repartee.conversation.memory import Folding, FoldJob, Memory, Resting
from repartee.conversation.notes import Budget
from repartee.conversation.summaries import Summary
from repartee.conversation.tokens import request_tokens
from repartee.errors import ConfigError, ProviderError
from repartee.session import remembering as module
from repartee.session.prompt_budget import agent_tool_tokens, check_budget, history_for
from repartee.session.remembering import Remembering
from tests.conftest import FRONT_DESK
from tests.session.rig import Ask, Call
from tests.session.test_call import NOW, said

SMALL = Budget(turns=3, tokens=2000)
IDLE, SPEAKING = Conversation(Idle()), Conversation(Speaking(1))
USER = Conversation(UserTurn(Turn(1)))


class Writer:
    """A summariser that answers when told."""

    by_model = True

    def __init__(self) -> None:
        self.jobs: list[FoldJob] = []
        self.cancelled = 0
        self.gate = asyncio.Event()
        self.fails = False

    async def summarise(self, job: FoldJob) -> Summary:
        self.jobs.append(job)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fails:
            raise ProviderError("no", kind="unavailable", provider="openai")
        return Summary(f"Notes {job.number}.")


class Worker:
    """A running fold worker."""

    def __init__(self, turns: int = 6) -> None:
        self.history = History(Memory(SMALL))
        self.talk(turns)
        self.writer = Writer()
        self.marks: list[str] = []
        self.remembering = Remembering(self.history, self.writer, lambda name, **_: self.marks.append(name))

    def talk(self, turns: int) -> None:
        for number in range(turns):
            self.history.remember_user(f"Something about the garden, part {number} of it.")
            self.history.remember_heard("I see, please go on.")

    async def __aenter__(self) -> Worker:
        self.task = asyncio.create_task(self.remembering.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


async def test_a_fold_starts_in_a_quiet_moment_and_lands() -> None:
    async with Worker() as worker:
        await worker.settle()
        assert worker.writer.jobs == [], "nothing begins by itself"
        worker.remembering.state(USER)
        await worker.settle()
        assert worker.writer.jobs == [], "nor while the user talks"
        worker.remembering.state(IDLE)
        await worker.settle()
        assert isinstance(worker.history.memory.fold, Folding)
        before = worker.history.messages("And now?")
        assert "Notes" not in str(before), "a request does not wait for it"
        worker.writer.gate.set()
        await worker.settle()
    assert worker.history.memory.notes.summary == "Notes 1."
    assert worker.marks == ["memory.folded"]


async def test_an_interruption_calls_a_fold_off_and_it_begins_again() -> None:
    async with Worker() as worker:
        for _ in range(module.CALLED_OFF_MAX):
            worker.remembering.state(SPEAKING)
            await worker.settle()
            worker.remembering.state(USER)
            await worker.settle()
            assert isinstance(worker.history.memory.fold, Resting)
        assert worker.writer.cancelled == module.CALLED_OFF_MAX
        worker.remembering.state(SPEAKING)
        await worker.settle()
        worker.remembering.state(USER)
        await worker.settle()
        assert isinstance(worker.history.memory.fold, Folding), "the third is left to finish"
        worker.writer.gate.set()
        await worker.settle()
    assert worker.history.memory.notes.summary == f"Notes {module.CALLED_OFF_MAX + 1}."
    assert worker.history.memory.turns[0].number == worker.writer.jobs[-1].upto
    assert worker.marks == [*["memory.fold_called_off"] * module.CALLED_OFF_MAX, "memory.folded"]


async def test_an_ordinary_turn_of_the_user_calls_nothing_off() -> None:
    async with Worker() as worker:
        worker.remembering.state(IDLE)
        await worker.settle()
        worker.remembering.state(USER)
        await worker.settle()
        assert worker.writer.cancelled == 0


async def test_after_failures_sentences_are_picked() -> None:
    async with Worker() as worker:
        worker.writer.fails = True
        worker.writer.gate.set()
        for _ in range(module.FAILURES_MAX + 1):
            worker.remembering.state(IDLE)
            await worker.settle()
    assert len(worker.writer.jobs) == module.FAILURES_MAX
    assert worker.history.memory.notes.pieces[0].made == "picked"
    assert worker.history.memory.failures == 0


async def test_a_fold_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLD_S", 0.0)
    async with Worker() as worker:
        worker.remembering.state(IDLE)
        await worker.settle()
        assert worker.marks == ["memory.fold_late"]
        assert worker.writer.cancelled == 1
        assert worker.history.memory.failures == 1
        assert len(worker.history.memory.turns) == 6, "its turns are where they were"


async def test_a_worker_that_is_ended_leaves_no_fold_under_way() -> None:
    async with Worker() as worker:
        worker.remembering.state(IDLE)
        await worker.settle()
    assert isinstance(worker.history.memory.fold, Resting)
    assert worker.writer.cancelled == 1


async def test_at_the_end_the_whole_call_is_noted() -> None:
    worker = Worker(turns=2)
    worker.writer.gate.set()
    await worker.remembering.finish()
    assert worker.history.memory.notes.summary == "Notes 1."
    assert worker.history.memory.turns == ()


async def test_at_the_end_of_a_call_nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_FOLD_S", 0.0)
    worker = Worker(turns=2)
    await worker.remembering.finish()
    assert "the garden" in worker.history.memory.notes.summary


async def test_a_call_is_folded_while_it_goes_on() -> None:
    """The real bridge tells the worker of quiet moments; the model is shown notes and the newest turns."""
    turns = 12
    writer = Writer()
    writer.gate.set()
    async with Call(*(Ask(f"Answer {number}.") for number in range(turns)), policies=NOW) as call:
        call.history.memory = Memory(SMALL)
        call.remembering = Remembering(call.history, writer, lambda *_, **__: None)
        call.connect()
        folding = asyncio.create_task(call.remembering.run())
        for number in range(turns):
            said(call, f"Question {number} about the garden?", segment=number + 1)
            await call.until(lambda: isinstance(call.state, Speaking))
            await call.play_until(lambda: isinstance(call.state, Idle))
        folding.cancel()
        await asyncio.gather(folding, return_exceptions=True)
    last = call.model.asked[-1]
    assert "Notes" in str(last[0]["content"])
    assert last[-1] == {"role": "user", "content": "Question 11 about the garden?"}
    assert len([m for m in last if m["role"] == "user"]) <= 1 + SMALL.turns + SMALL.step
    assert all(request_tokens(asked) <= SMALL.tokens for asked in call.model.asked)


async def test_tools_that_make_a_request_longer_are_cut_to_the_budget() -> None:
    async with Call(Ask(tool="free_slots"), Ask("Nine twenty is free."), policies=NOW) as call:
        call.history.memory = Memory(Budget(turns=3, tokens=700, fixed_tokens=40))
        call.model.result = "9:20 is free, " * 2000
        said(call, "Is friday free?")
        await call.until(lambda: isinstance(call.state, Speaking))
    assert [m["role"] for m in call.model.asked[1]] == ["user", "assistant", "tool"]
    assert request_tokens(call.model.asked[1], 40) <= 700


class TestBudget:
    def write(self, folder: Path, more: str, persona: str = "You are A.") -> Path:
        file = folder / "a.yaml"
        file.write_text(f"name: A\npersona: '{persona}'\ngreeting: Hello.\n{more}")
        return file

    def test_persona_and_tools_are_counted_in(self) -> None:
        agent = load_agent(FRONT_DESK)
        fixed = check_budget(agent)
        assert fixed > agent_tool_tokens(agent) > 200
        assert history_for(agent, None, by_answers=False).memory.budget.fixed_tokens < fixed

    def test_a_budget_without_room_is_told_with_the_number_it_takes(self, tmp_path: Path) -> None:
        agent = load_agent(self.write(tmp_path, "memory: {tokens: 1000}\n", "Be kind and exact. " * 200))
        with pytest.raises(
            ConfigError, match=r"memory.tokens is 1000, but .* take about \d+ .* at least \d+00,"
        ):
            check_budget(agent)

    def test_off_means_every_word(self, tmp_path: Path) -> None:
        agent = load_agent(self.write(tmp_path, "memory: {enabled: false}\n"))
        assert history_for(agent, None, by_answers=False).memory.due_upto is None
        assert check_budget(agent) > 0

    def test_only_tools_that_act_are_pinned(self) -> None:
        agent = load_agent(FRONT_DESK)
        acting: Any = history_for(agent, None, by_answers=True).memory.notes.acting
        assert "book_appointment" in acting
        assert "free_slots" not in acting
