"""A call whose money runs out: the watch, the short answers, the goodbye."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from repartee.agent import Agent, load_agent
from repartee.agent.budget import Budget
from repartee.conversation import Idle
from repartee.conversation.budget import BudgetPolicy, BudgetState, Limits
from repartee.errors import ProviderError
from repartee.events import BudgetSpent
from repartee.session.budget import BudgetWatch, Today, policy_for, today_reader
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.library import Heard
from tests.conftest import FRONT_DESK
from tests.session.billing import BilledCall


class Watch:
    def __init__(self, limits: Limits, read: Any = None) -> None:
        self.over = 0
        self.marks: list[dict[str, Any]] = []
        self.watch = BudgetWatch(
            BudgetPolicy(limits), read, self._over, lambda _, **values: self.marks.append(values)
        )

    def _over(self) -> None:
        self.over += 1


def test_a_call_s_own_spending_changes_its_state_and_ends_it_once() -> None:
    rig = Watch(Limits(call=Decimal(1)))
    states = []
    for cents in (10, 60, 61, 80, 100, 120):
        rig.watch.spent(Decimal(cents) / 100)
        states.append((rig.watch.state, rig.watch.shorter(), rig.over))
    assert states == [
        ("normal", False, 0),
        ("saving", False, 0),
        ("saving", False, 0),
        ("last", True, 0),
        ("last", True, 1),
        ("last", True, 1),
    ]
    assert [mark["state"] for mark in rig.marks] == ["saving", "last", "last"], "told when it changes"
    assert rig.marks[-1] == {"state": "last", "shorter": True, "over": True, "limit": "call"}


async def test_the_day_s_spending_is_read_off_the_loop_and_added_to_the_call_s() -> None:
    read = asyncio.Event()
    loop = asyncio.get_running_loop()

    def today() -> Today:
        loop.call_soon_threadsafe(read.set)
        return Today(Decimal("9.5"), Decimal(50))

    rig = Watch(Limits(day=Decimal(10), installation=Decimal(100)), today)
    rig.watch.start()
    await asyncio.wait_for(read.wait(), 5)
    assert rig.watch._reading is not None
    await asyncio.wait_for(rig.watch._reading, 5)
    assert (rig.watch.state, rig.watch.verdict.tightest, rig.over) == ("last", "day", 0)
    rig.watch.spent(Decimal("0.5"))
    assert rig.over == 1
    await rig.watch.aclose()


async def test_a_store_that_is_away_ends_no_call() -> None:
    def away() -> Today:
        raise ProviderError("the database is away", kind="unavailable", provider="store")

    rig = Watch(Limits(day=Decimal(10)), away)
    rig.watch.start()
    assert rig.watch._reading is not None
    await asyncio.wait_for(rig.watch._reading, 5)
    assert (rig.watch.state, rig.over) == ("normal", 0)
    await rig.watch.aclose()


async def test_without_a_limit_of_the_day_nothing_is_read() -> None:
    rig = Watch(Limits(call=Decimal(1)), lambda: pytest.fail("read"))
    rig.watch.start()
    assert rig.watch._reading is None
    await rig.watch.aclose()


def test_other_calls_are_counted_and_this_one_is_not() -> None:
    class Store:
        def spent(self, agent: str | None, since: datetime, call_id: str | None = None) -> Decimal:
            assert (since.hour, since.minute, str(since.tzinfo)) == (0, 0, "UTC")
            return Decimal({("desk", None): 5, ("desk", "c1"): 2, (None, None): 20}[(agent, call_id)])

    assert today_reader(Store(), "desk", "c1")() == Today(Decimal(3), Decimal(18))
    assert today_reader(Store(), "desk")() == Today(Decimal(5), Decimal(20))


def test_the_policy_is_the_agent_file_s_and_the_installation_s() -> None:
    agent = load_agent(FRONT_DESK).model_copy(
        update={"budget": Budget(call_usd=Decimal("0.5"), cheaper_at=Decimal("0.3"), actions=("end",))}
    )
    policy = policy_for(agent, Decimal(40))
    assert policy.limits == Limits(Decimal("0.5"), None, Decimal(40))
    assert (policy.cheaper_at, policy.actions) == (Decimal("0.3"), {"end"})


# --- a whole call -----------------------------------------------------------------------------------------------


@pytest.fixture
async def simulator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:

        async def recognise(*_: Any) -> Heard:
            return Heard("tell me about your opening hours please", ("x",), complete=True)

        monkeypatch.setattr(simulator.desk, "recognise", recognise)
        yield simulator


@pytest.fixture(scope="module")
def agent() -> Agent:
    return load_agent(FRONT_DESK).model_copy(update={"tools": ()})


async def test_a_call_saves_answers_shortly_says_goodbye_and_ends(simulator: Simulator, agent: Agent) -> None:
    rig = Watch(Limits(call=Decimal("0.02")))
    call = BilledCall(simulator, agent, shorter=rig.watch.shorter)
    rig.watch._on_over = lambda: call.bridge.submit(BudgetSpent(call.clock()))
    call.ledger.on_spent = rig.watch.spent
    seen: list[BudgetState] = []
    async with call:
        call.join()
        await call.until(lambda: call.last_reply_id == 1)
        await call.until_idle()
        while not call.ended and len(seen) < 40:
            reply_id = call.last_reply_id
            await call.say(0.4)
            await call.until(lambda before=reply_id: call.last_reply_id > before or call.ended)  # type: ignore[misc]
            await call.until(lambda: isinstance(call.state, Idle) or call.ended)
            seen.append(rig.watch.state)
    assert call.ended == ["budget"]
    assert seen == sorted(seen, key=["normal", "saving", "last"].index)
    assert set(seen) == {"normal", "saving", "last"}
    spoken = [entry.text for entry in simulator.desk.bill.entries if entry.stage == "tts"]
    assert any("I have to end our call here" in text for text in spoken)
    last = max(row.cost or Decimal(0) for row in call.rows)
    assert call.ledger.bill.cost < Decimal("0.02") + 4 * last, (
        "passed by the reply in the making and the goodbye"
    )
