"""A rollout in the middle of calls: every worker is replaced, and no call ends for it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import numpy as np
import pytest

from repartee.settings import Settings
from repartee.simulator.audio import read_audio
from repartee.simulator.crowd import RATE_HZ, Arrival, Plan, Utterance, gather_crowd
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.store import Store
from tests.system.fleet import fleet
from tests.system.helpers import eventually, processes_with

PROFILE = "fixed:60/60/60"
CALLS = 10
ARRIVE_S = 1.2
UNTIL_S = 75.0
QUESTION, END_S = "aiewf/turn_001.flac", 2.0


@pytest.mark.timeout(240)
@pytest.mark.long
async def test_every_worker_is_replaced_under_ten_calls_and_none_is_lost(
    speech: Path, tmp_path: Path, plain_settings: Settings
) -> None:
    pcm = await asyncio.to_thread(read_audio, speech / QUESTION, RATE_HZ)
    voiced = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 800)
    question = Utterance(QUESTION, pcm, voiced[0] / RATE_HZ, voiced[-1] / RATE_HZ)
    arrivals = tuple(Arrival(n * ARRIVE_S, (0,) * 40, UNTIL_S) for n in range(CALLS))
    async with (
        Simulator.start(SimulatorConfig(profile=PROFILE, speech=speech)) as simulator,
        fleet(
            tmp_path, plain_settings, simulator, REPARTEE_DRAIN_S="2", REPARTEE_MAX_CALLS=str(CALLS)
        ) as running,
    ):
        crowd = asyncio.create_task(gather_crowd(Plan(running.url, arrivals, (question,))))
        old = list(running.workers)
        await eventually(
            lambda: sum(len(w.logged("call.started")) for w in old) == CALLS, CALLS * ARRIVE_S + 20
        )
        for worker in old:
            await running.start_worker()
            worker.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(worker.process.wait(), 30) == 0
        rows = await crowd
        adopted = sum(len(worker.logged("call.adopted")) for worker in running.workers)
        store = Store.open(f"sqlite:///{tmp_path / 'split' / 'repartee.db'}")
        await eventually(lambda: all(summary.call.reason for summary in store.calls()))
        reasons = [summary.call.reason for summary in store.calls()]
        store.close()
    assert [row["outcome"] for row in rows] == ["held"] * CALLS
    assert adopted >= CALLS, "each call had at least one more agent"
    assert reasons == ["caller_left"] * CALLS, "each is one call in the store, and its caller ended it"
    for row in rows:
        late = [
            turn for turn in row["turns"] if turn["at_s"] > max(turn["at_s"] for turn in row["turns"]) - 15
        ]
        assert late, row
        assert not late[0]["missed"], "and it goes on answering"
    await eventually(lambda: not processes_with(str(tmp_path / "split")))
