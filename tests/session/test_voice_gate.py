"""No audio leaves for a paid service outside speech, a little before it and a little after; the ledger shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, get_args

import pytest

from repartee.agent import Agent, load_agent
from repartee.providers.transcribers import PREROLL_S, TRAILING_SILENCE_S
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.library import Heard
from tests.conftest import FRONT_DESK
from tests.session.billing import BilledCall, SttName

HANGOVER_S = 0.1
"""Silence in which the ears become sure that voice has ended; it is scripted here."""
RESAMPLER_S = 0.06
"""What 16 kHz made into 24 kHz may hold back or give in addition."""


@pytest.fixture
async def simulator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:

        async def recognise(*_: Any) -> Heard:
            return Heard("", (), complete=False)

        monkeypatch.setattr(simulator.desk, "recognise", recognise)
        yield simulator


@pytest.fixture(scope="module")
def agent() -> Agent:
    return load_agent(FRONT_DESK).model_copy(update={"tools": ()})


def billed_s(simulator: Simulator) -> float:
    return sum(entry.audio_s for entry in simulator.desk.bill.entries if entry.stage == "stt")


async def stretch(call: BilledCall, speech_s: float) -> None:
    """One stretch of voice, the silence in which its end is found, and the words (none) of it."""
    before = sum(usage.stage == "stt" for usage in call.usages)
    await call.say(speech_s, pause=False)
    await call.silence(HANGOVER_S)
    await call.pause(speech_s)
    await call.until(lambda: sum(usage.stage == "stt" for usage in call.usages) > before)
    await call.until_idle()


@pytest.mark.parametrize("stt", get_args(SttName))
async def test_silence_is_never_sent(simulator: Simulator, agent: Agent, stt: SttName) -> None:
    async with BilledCall(simulator, agent, stt=stt) as call:
        await call.silence(20)
        await call.silence(20)
    assert [usage for usage in call.usages if usage.stage == "stt"] == []
    assert billed_s(simulator) == 0
    assert call.ledger.bill.audio_sent_s == 0


@pytest.mark.parametrize("stt", get_args(SttName))
async def test_of_a_call_only_the_speech_is_sent(simulator: Simulator, agent: Agent, stt: SttName) -> None:
    stretches = (0.4, 1.0, 2.4)
    async with BilledCall(simulator, agent, stt=stt) as call:
        for speech_s in stretches:
            await call.silence(10)
            await stretch(call, speech_s)
        await call.silence(10)
    heard = [usage for usage in call.usages if usage.stage == "stt" and usage.quantities]
    sent = [float(usage.quantities["audio_s"]) for usage in heard]
    assert len(sent) == len(stretches)
    for sent_s, speech_s in zip(sent, stretches, strict=True):
        around_s = PREROLL_S + HANGOVER_S + TRAILING_SILENCE_S + RESAMPLER_S
        assert speech_s - RESAMPLER_S <= sent_s <= speech_s + around_s
    bill = call.ledger.bill
    assert float(bill.audio_sent_s) == pytest.approx(sum(sent))
    assert bill.speech_s == pytest.approx(sum(stretches))
    assert float(bill.audio_sent_s) < sum(stretches) + 0.8 * len(stretches), "of 44 seconds of audio"
    assert billed_s(simulator) == pytest.approx(sum(sent), abs=1e-6)


@pytest.mark.parametrize("stt", get_args(SttName))
async def test_a_voice_that_goes_on_is_charged_at_most_again_for_its_piece(
    simulator: Simulator, agent: Agent, stt: SttName
) -> None:
    """A piece that goes on after a pause is transcribed as a whole over HTTP, and only continued over the socket."""
    async with BilledCall(simulator, agent, stt=stt) as call:
        await call.silence(5)
        for _ in range(2):
            await call.say(1.0, pause=False)
            await call.silence(HANGOVER_S)
            await call.pause(1.0, probability=0.05)
        await call.until(lambda: any(usage.stage == "stt" for usage in call.usages))
        await call.silence(5)
    limit = 2 * 1.0 + 2 * HANGOVER_S + PREROLL_S + TRAILING_SILENCE_S + RESAMPLER_S
    pieces = [usage.quantities.get("audio_s", Decimal(0)) for usage in call.usages if usage.stage == "stt"]
    assert max(float(seconds) for seconds in pieces) <= limit
    again = limit if stt.startswith("openai:") else 0.0
    assert sum(float(seconds) for seconds in pieces) <= limit + again
