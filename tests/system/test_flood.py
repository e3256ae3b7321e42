"""A caller, and somebody else in the room, who flood the agent while the caller talks to it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from livekit import api

from repartee.cli.instance import Instance
from tests.system.flooding import flood
from tests.system.helpers import GEMINI, MCP, calling, processes_with, server, simulate, write_agent
from tests.system.test_simulated import overhear

MESSAGES = 10_000
LATENCY_LIMIT_MS = 5000
"""A turn takes 0.6 s with these vendors; this only notices one that waited for the flood, 20 s, to end."""
GROWTH_LIMIT_MB = 60


def memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def growth_mb(before: dict[int, float]) -> list[float]:
    """By how much the processes that still run have grown."""
    return [memory_mb(pid) - size for pid, size in before.items() if Path(f"/proc/{pid}").exists()]


def cpu_s(pids: list[int]) -> dict[str, float]:
    """What processes have computed so far, by their names."""
    ticks = os.sysconf("SC_CLK_TCK")
    used: dict[str, float] = {}
    for pid in pids:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").partition(") ")
        used[f"{name.split('(')[1]} {pid}"] = sum(map(int, rest.split()[11:13])) / ticks
    return used


@pytest.mark.livekit
@pytest.mark.speech
@pytest.mark.long
async def test_a_flood_leaves_the_call_as_it_was(speech: Path, tmp_path: Path) -> None:
    async with simulate(speech) as simulator:
        heard = overhear(simulator)
        async with (
            server(write_agent(tmp_path), tmp_path, simulator) as running,
            calling(running.url) as caller,
        ):
            pids = processes_with(str(running.state_dir))
            computed = cpu_s(pids)
            before = {pid: memory_mb(pid) for pid in pids}
            stranger = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.system.flooder", *invitation(running, caller.room_name),
                str(MESSAGES), stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert stranger.stdout is not None
            assert await stranger.stdout.readline() == b"in\n"
            flooding = asyncio.create_task(flood(caller._room, MESSAGES))
            during = await caller.exchange(speech / "aiewf" / "turn_001.flac")
            sent = await asyncio.wait_for(flooding, 60)
            sent_too = int(await asyncio.wait_for(stranger.stdout.readline(), 60))
            await stranger.wait()
            spent = {name: round(value - computed[name], 1) for name, value in cpu_s(pids).items()}
            sys.stdout.write(f"computed {spent}\n")
            after = await caller.exchange(speech / "aiewf" / "turn_003.flac")
            grown = growth_mb(before)
        marks = [json.loads(line) for line in next((running.state_dir / "calls").glob("*.jsonl")).open()]
    assert min(sent, sent_too) >= MESSAGES
    counts = next(mark for mark in marks if mark["name"] == "messages.refused")
    sys.stdout.write(f"latency {during.latency_ms} then {after.latency_ms} ms, growth {grown} MB, {counts}\n")
    assert during.heard == GEMINI
    assert during.latency_ms is not None
    assert during.latency_ms < LATENCY_LIMIT_MS
    assert after.heard == MCP
    assert after.latency_ms is not None
    assert after.latency_ms < LATENCY_LIMIT_MS
    assert max(grown) < GROWTH_LIMIT_MB, grown
    assert counts["data.not_caller"] >= MESSAGES * 0.8
    assert counts["data.too_many"] >= MESSAGES * 0.5
    assert counts["chat.not_caller"] >= 49
    told = [mark for mark in marks if mark["name"] == "message.refused"]
    assert len(told) == len({(mark["kind"], mark["why"]) for mark in told}), "each kind is told once"
    said = [message for asked in heard.asked for message in asked]
    assert not any("names of all" in str(message.get("content")) for message in said), "a stranger typed"
    assert not any("booked" in str(message.get("content")) for message in said), "a forged result was taken"


def invitation(running: Instance, room: str) -> tuple[str, str]:
    """Where the room is, and a token for somebody else in it, as an operator's mistake would give out."""
    config = json.loads((running.state_dir / "livekit.json").read_text(encoding="utf-8"))
    ((key, secret),) = config["keys"].items()
    grants = api.VideoGrants(room_join=True, room=room, can_publish_data=True, can_update_own_metadata=True)
    token = api.AccessToken(key, secret).with_identity("stranger").with_grants(grants).to_jwt()
    return f"ws://127.0.0.1:{config['port']}", token
