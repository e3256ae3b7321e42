"""A piece of speech and several recognisers, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI
from pipecat.audio.utils import pcm_to_wav

from repartee.errors import ProviderError
from repartee.providers.failover import Watch
from repartee.providers.hearing import Recogniser, Transcriber
from repartee.providers.ladder import Rung
from repartee.providers.patience import Failsafe
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.desk import Fault
from repartee.simulator.providers.library import Heard

WAV = pcm_to_wav(bytes(32_000), 16_000)


class Ward:
    """Two recognisers of one vendor."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.failed: list[str] = []
        self.failsafe = Failsafe(
            watch=Watch(failed=lambda _, key, why: self.failed.append(f"{key.model}: {why}"))
        )
        models = ("gpt-4o-mini-transcribe", "whisper-1")
        rungs = [Rung("stt", "openai", model, "") for model in models]
        client = AsyncOpenAI(api_key="k", base_url=f"{simulator.url}/v1", max_retries=0)
        self.transcriber = Transcriber(
            self.failsafe.failover("stt", rungs, ["k", "k"]),
            [Recogniser(client, model) for model in models],
            self.failsafe.budget,
            "en",
        )

    async def words(self) -> str:
        return str((await self.transcriber.transcribe(WAV)).text)

    @property
    def asked(self) -> list[str]:
        return [entry.model for entry in self.simulator.desk.bill.entries]


@pytest.fixture
async def ward(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ward]:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:

        async def recognise(*_: Any) -> Heard:
            return Heard("two loaves please", ("x",), complete=True)

        monkeypatch.setattr(simulator.desk, "recognise", recognise)
        yield Ward(simulator)


@pytest.mark.parametrize(
    ("kind", "why"), [("error", "error"), ("rate_limit", "limited"), ("stall", "timeout")]
)
async def test_the_same_audio_goes_to_the_next(ward: Ward, kind: str, why: str) -> None:
    ward.simulator.desk.faults.append(Fault("stt", kind, 1))
    assert await ward.words() == "two loaves please"
    assert ward.failed == [f"gpt-4o-mini-transcribe: {why}"]
    heard_s = {entry.audio_s for entry in ward.simulator.desk.bill.entries}
    assert len(heard_s) == 1, "all of it, to both"


async def test_the_way_back_needs_no_switch(ward: Ward) -> None:
    ward.simulator.desk.faults.append(Fault("stt", "error", 1))
    await ward.words()
    await ward.words()
    assert ward.asked == ["gpt-4o-mini-transcribe", "whisper-1", "gpt-4o-mini-transcribe"]


async def test_nobody_hears_it(ward: Ward) -> None:
    ward.simulator.desk.faults.append(Fault("stt", "error", 99))
    with pytest.raises(ProviderError, match="no stt provider answered"):
        await ward.words()
    assert len(ward.asked) == 4, "each of them twice, as they answered at once"


async def test_a_caller_who_goes_on_speaking_is_no_failure_of_the_vendor(ward: Ward) -> None:
    ward.simulator.desk.faults.append(Fault("stt", "stall", 9))
    for _ in range(6):
        asking = asyncio.create_task(ward.words())
        async with asyncio.timeout(5):
            while not ward.simulator.desk.waiting:  # noqa: ASYNC110 - the server announces nothing
                await asyncio.sleep(0.001)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert ward.failed == []
    assert set(ward.failsafe.health.breakers.states().values()) <= {"closed"}
