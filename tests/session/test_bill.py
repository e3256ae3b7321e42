"""The ledger against the simulator's own bill: many calls, mixed providers, cut off at seeded moments."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from itertools import count
from typing import Any, get_args

import pytest

from repartee.agent import Agent, load_agent
from repartee.conversation import Idle, Speaking
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.desk import Fault
from repartee.simulator.providers.library import Heard
from repartee.simulator.providers.profiles import Profile, Spread
from tests.billing import Comparison, compare
from tests.conftest import FRONT_DESK
from tests.session.billing import BilledCall, SttName, TtsName

CALLS = 102
TURNS = 3
CENT = Decimal("0.01")
BRISK = Profile(Spread(4, 9), Spread(6, 15), Spread(5, 12), 0, 800, 0.01)
"""Long enough that every moment of a request can be met, short enough for many calls."""
SENTENCES = (
    "are you open on friday",
    "can I bring my dog to the appointment on tuesday morning",
    "what does a consultation cost",
    "I would like to speak to somebody about my last invoice please",
)


@pytest.fixture
async def simulator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        simulator.desk.profile = BRISK
        numbers = count()

        async def recognise(*_: Any) -> Heard:
            number = next(numbers)
            return Heard(f"{SENTENCES[number % len(SENTENCES)]} {number}", ("x",), complete=True)

        monkeypatch.setattr(simulator.desk, "recognise", recognise)
        yield simulator


@pytest.fixture(scope="module")
def agent() -> Agent:
    return load_agent(FRONT_DESK).model_copy(update={"tools": ()})


async def cut_in(call: BilledCall, rng: random.Random) -> None:
    """Let a turn go on until a seeded moment, then speak over whatever is being made."""
    before = call.last_reply_id

    def idle() -> bool:
        return isinstance(call.state, Idle)  # what could not be heard is not answered

    match rng.choice(("at once", "vendor waits", "begun", "audio", "heard", "finished", "finished")):
        case "at once":
            pass
        case "vendor waits":
            await call.until(lambda: call.simulator.desk.waiting or idle())
        case "begun":
            await call.until(lambda: call.last_reply_id > before or idle())
        case "audio":
            await call.until(lambda: call.gate.has_audio(call.last_reply_id) or idle())
        case "heard":
            await call.until(lambda: isinstance(call.state, Speaking) or idle())
            for _ in range(rng.randint(1, 40)):
                call.sink.play(20)
        case _:
            await call.until_idle()


async def converse(call: BilledCall, rng: random.Random) -> None:
    call.join()
    if rng.random() < 0.6:
        await call.until_idle()
    else:
        await call.until(lambda: isinstance(call.state, Speaking))
    for _ in range(TURNS):
        if rng.random() < 0.15:
            stage, kind = rng.choice(("llm", "tts", "stt")), rng.choice(("error", "rate_limit", "cut"))
            call.simulator.desk.faults.append(Fault(stage, kind, 1))  # type: ignore[arg-type]
        await call.say(rng.choice((0.3, 0.6, 1.2)), probability=rng.choice((0.97, 0.97, 0.6)))
        await cut_in(call, rng)
    if rng.random() < 0.5:
        await call.until_idle()


async def test_the_ledger_is_the_vendors_bill_to_the_cent(simulator: Simulator, agent: Agent) -> None:
    rng = random.Random(5)
    total = Comparison()
    voices, ears = get_args(TtsName), get_args(SttName)
    for number in range(CALLS):
        simulator.desk.bill.reset()
        simulator.desk.faults.clear()
        async with BilledCall(simulator, agent, stt=ears[number // 3 % 2], tts=voices[number % 3]) as call:
            await converse(call, rng)

        def compared(call: BilledCall = call) -> Comparison:
            return compare(call.rows, simulator.desk.bill)

        with suppress(TimeoutError):  # the simulator books what was cut a moment later
            await call.until(lambda: not compared().problems, timeout_s=5)
        one = compared()
        assert not one.problems, f"call {number}:\n" + "\n".join(one.problems)
        assert one.requests == len(call.usages), "every request has its row"
        assert one.ours == call.ledger.bill.cost
        assert not call.ledger.bill.unknown
        total += one
    print(f"\n{CALLS} calls, {total}")  # noqa: T201 - the difference is to be seen
    assert total.requests > 5 * CALLS
    assert total.cut > CALLS // 8, "streams must have been cut for this to show anything"
    assert total.ours > 10 * CENT
    assert abs(total.ours - total.theirs) < CENT / 2
