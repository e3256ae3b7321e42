"""Microphones that give nothing, or more than is asked of them, and callers who say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from repartee.simulator.caller import Caller
from tests.system.helpers import MCP, eventually, server, simulate, write_agent

pytestmark = pytest.mark.livekit


@pytest.mark.long
async def test_a_dead_microphone_is_told_and_its_caller_is_let_go(speech: Path, tmp_path: Path) -> None:
    agent = write_agent(tmp_path, "limits: {silence_s: 11, silence_asks: 1}")
    async with (
        simulate(speech) as simulator,
        server(agent, tmp_path, simulator) as running,
    ):
        caller = Caller(running.url, dead=True)
        try:
            await caller.join()
            await eventually(lambda: "I cannot hear you" in " ".join(caller.captions("agent")), 30)
            assert caller.agent_attributes()["repartee.microphone"] == "silent"
            await eventually(caller.gone.is_set, 40)
        finally:
            await caller.leave()
        shown = " ".join(caller.captions("agent"))
        assert "Are you still there?" in shown
        assert shown.rstrip().endswith("Goodbye!")
        await eventually(lambda: '"detail": "silent"' in running.output.read_text(), 20)


async def test_a_stereo_microphone_is_understood(speech: Path, tmp_path: Path) -> None:
    async with (
        simulate(speech) as simulator,
        server(write_agent(tmp_path), tmp_path, simulator) as running,
    ):
        caller = Caller(running.url, channels=2)
        try:
            await caller.join()
            assert await caller.wait_for_answer(20)
            exchange = await caller.exchange(speech / "aiewf" / "turn_003.flac")
        finally:
            await caller.leave()
    assert exchange.heard == MCP
