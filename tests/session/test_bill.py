"""The ledger against the simulator's own bill: many calls, mixed providers, cut off at seeded moments."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
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
from tests.conftest import FRONT_DESK
from tests.session.billing import (
    BilledCall,
    SttName,
    TtsName,
    accounts,
    difference,
    realtime_seconds,
    vendor_usd,
)

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
    idle = lambda: isinstance(call.state, Idle)  # noqa: E731 - what could not be heard is not answered
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
    ours, theirs, cut, requests, off, unseen = Decimal(0), Decimal(0), 0, 0, 0, 0
    voices, ears = get_args(TtsName), get_args(SttName)
    for number in range(CALLS):
        simulator.desk.bill.reset()
        simulator.desk.faults.clear()
        async with BilledCall(simulator, agent, stt=ears[number // 3 % 2], tts=voices[number % 3]) as call:
            await converse(call, rng)

        def settled(call: BilledCall = call) -> bool:
            heard_by_us, heard_by_them = realtime_seconds(call.usages, simulator.desk.bill)
            paired = accounts(call.usages, simulator.desk.bill).values()
            return all(difference(a) is None for a in paired) and abs(heard_by_us - heard_by_them) < CENT

        try:
            await call.until(settled, timeout_s=3)  # the simulator books what was cut a moment later
        except TimeoutError:
            problems = [
                p for a in accounts(call.usages, simulator.desk.bill).values() if (p := difference(a))
            ]
            seconds = realtime_seconds(call.usages, simulator.desk.bill)
            pytest.fail(f"call {number}: seconds {seconds}\n" + "\n".join(problems))
        assert len(call.rows) == len(call.usages), "every request has its row"
        assert sum((row.cost or 0) for row in call.rows) == call.ledger.bill.cost
        assert not call.ledger.bill.unknown
        ours += call.ledger.bill.cost
        theirs += vendor_usd(simulator.desk.bill)
        requests += len(call.usages)
        for account in accounts(call.usages, simulator.desk.bill).values():
            unseen += account.refused_unseen
            if account.cut:
                cut += 1
                counted, made = account.tokens_out()
                off += made - counted
    print(  # noqa: T201 - the difference is to be seen
        f"\n{CALLS} calls, {requests} requests, {cut} cut: ledger {ours:.6f} USD, bill {theirs:.6f} USD, "
        f"difference {theirs - ours:.6f} USD, {off} tokens were on their way when a stream was cut, "
        f"{unseen} refusals when a request was cancelled"
    )
    assert requests > 5 * CALLS
    assert cut > CALLS // 4, "streams must have been cut for this to show anything"
    assert ours.quantize(CENT) > 0
    assert abs(ours - theirs) < CENT / 2
