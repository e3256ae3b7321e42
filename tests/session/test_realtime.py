"""A model that hears and speaks itself, in a call without a room: against the simulator's socket, tools and bill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from repartee.agent import Agent, load_agent
from repartee.conversation import Speaking
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.library import Heard
from repartee.simulator.providers.replies import Replies, Reply
from tests.billing import Comparison, compare
from tests.conftest import FRONT_DESK
from tests.session.billing import BilledCall

MODEL = "gpt-realtime"


class Overheard(Replies):
    """The model, and every conversation it was shown."""

    def __init__(self) -> None:
        super().__init__(None)
        self.asked: list[list[dict[str, Any]]] = []

    def answer(self, messages: list[dict[str, Any]]) -> Reply:
        self.asked.append(messages)
        return super().answer(messages)


@pytest.fixture
def agent() -> Agent:
    return load_agent(FRONT_DESK).model_copy(update={"tools": ()})


@pytest.fixture
async def simulator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        simulator.desk.replies = Overheard()
        said = iter(("are you open on friday", "are you open on friday", "and on monday", "and on monday"))

        async def recognise(*_: Any) -> Heard:
            words = next(said, "thank you that is all")
            return Heard(words, tuple(words.split()), complete=True)

        monkeypatch.setattr(simulator.desk, "recognise", recognise)
        yield simulator


def asked(simulator: Simulator) -> list[list[dict[str, Any]]]:
    replies = simulator.desk.replies
    assert isinstance(replies, Overheard)
    return replies.asked


async def greeted(call: BilledCall) -> None:
    call.join()
    await call.until(lambda: isinstance(call.state, Speaking))
    await call.until_idle()


async def test_what_was_said_is_answered_by_the_model_itself(simulator: Simulator, agent: Agent) -> None:
    async with BilledCall(simulator, agent, realtime=MODEL) as call:
        await greeted(call)
        await call.say(0.6)
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.until_idle()
        said = call.history.entries[-1]["content"]
    stages = [(entry.stage, entry.model, entry.outcome) for entry in simulator.desk.bill.entries]
    assert ("llm", MODEL, "ok") in stages
    assert [entry for entry in stages if entry[0] == "tts"] == [("tts", "gpt-4o-mini-tts", "ok")], stages
    assert "You said: are you open on friday" in said
    assert [message["role"] for message in asked(simulator)[-1]] == ["system", "assistant", "user"]


async def test_the_ledger_is_the_vendors_bill(simulator: Simulator, agent: Agent) -> None:
    async with BilledCall(simulator, agent, realtime=MODEL) as call:
        await greeted(call)
        for _ in range(2):
            await call.say(0.6)
            await call.until(lambda: isinstance(call.state, Speaking))
            await call.until_idle()

        def compared() -> Comparison:
            return compare(call.rows, simulator.desk.bill)

        with suppress(TimeoutError):
            await call.until(lambda: not compared().problems, timeout_s=3)
    one = compared()
    assert not one.problems, "\n".join(one.problems)
    assert one.ours == one.theirs == call.ledger.bill.cost > 0


