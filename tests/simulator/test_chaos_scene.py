"""What a case breaks, on real processes and a real small disk."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from repartee.cli.chaos import _small_disk
from repartee.errors import ConfigError, MediaError
from repartee.simulator.chaos import scene
from repartee.simulator.chaos.scene import Scene, call_process
from repartee.simulator.faults import Fault, FaultProxy, Plan
from repartee.simulator.invitation import RefusedError, ask_for_place
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.store.journal import Journal
from tests.server.loopback import serving

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE)
sys.stdin.read()
child.kill()
"""
CHILD = """
import socket, sys
media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
media.bind(("127.0.0.1", 0))
print("ready", flush=True)
sys.stdin.read()
"""


class Running:
    """A system whose child is in a call."""

    name = "running"

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def pid(self) -> int | None:
        return self.process.pid


class Clock:
    """Stands in for the caller, of whom only the time is asked."""

    def now_s(self) -> float:
        return 7.5


@pytest.fixture
async def process() -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, CHILD, stdin=pipe, stdout=pipe
    )
    assert running.stdout is not None
    assert await asyncio.wait_for(running.stdout.readline(), 30) == b"ready\n"
    yield running
    assert running.stdin is not None
    running.stdin.close()
    await running.wait()


@pytest.fixture
async def stage(process: asyncio.subprocess.Process) -> AsyncIterator[Scene]:
    done: list[str] = []

    async def kill() -> None:
        done.append("killed")

    async def start() -> None:
        done.append("started")

    config = SimulatorConfig(profile="instant")
    async with Simulator.start(config) as simulator, FaultProxy.start(simulator.url) as proxy:
        system: Any = Running(process)
        clock: Any = Clock()
        made = Scene(proxy, system, clock, kill, start)
        made.notes["done"] = done
        yield made


async def until(process: psutil.Process, *states: str) -> None:
    async with asyncio.timeout(10):
        while process.is_running() and process.status() not in states:  # noqa: ASYNC110 - it announces nothing
            await asyncio.sleep(0.005)


async def test_the_process_in_the_call_is_the_one_with_media(process: asyncio.subprocess.Process) -> None:
    system: Any = Running(process)
    (child,) = psutil.Process(process.pid).children()
    assert call_process(system).pid == child.pid


async def test_no_process_in_a_call_is_said() -> None:
    class Idle:
        name = "idle"

        def pid(self) -> int | None:
            return None

    idle: Any = Idle()
    with pytest.raises(MediaError, match="no process of idle is in a call"):
        call_process(idle)


async def test_a_call_is_killed(stage: Scene) -> None:
    child = call_process(stage.system)
    await scene.kill_call(stage)
    assert stage.struck_s == 7.5
    await until(child, psutil.STATUS_ZOMBIE)


async def test_a_call_stands_still_and_goes_on(stage: Scene) -> None:
    child = call_process(stage.system)
    await scene.freeze_call(0.2)(stage)
    await until(child, psutil.STATUS_STOPPED)
    await stage.calm()
    await until(child, psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING)


async def test_a_server_is_killed_and_comes_back(stage: Scene) -> None:
    await scene.restart_livekit(0.05)(stage)
    assert stage.notes["done"] == ["killed"]
    await stage.calm()
    assert stage.notes["done"] == ["killed", "started"]


async def test_a_database_is_stopped_and_comes_back(stage: Scene) -> None:
    done: list[str] = []
    stage.stop_database, stage.start_database = lambda: done.append("stopped"), lambda: done.append("started")
    await scene.without_database(0.05)(stage)
    assert done == ["stopped"]
    await stage.calm()
    assert done == ["stopped", "started"]


async def test_vendors_are_broken_until_the_turn_is_over(stage: Scene) -> None:
    await scene.vendors(Fault.of("refuse"))(stage)
    assert stage.proxy.plan.faults
    assert stage.struck_s is None, "nobody has asked yet"
    await stage.calm()
    assert stage.proxy.plan == Plan()


async def test_a_small_disk_is_filled_to_the_last_byte(stage: Scene, tmp_path: Path) -> None:
    try:
        with _small_disk(tmp_path / "spool") as stage.spool:
            await scene.fill_spool(stage)
            free = os.statvfs(tmp_path / "spool").f_bfree
            with pytest.raises(OSError, match="No space left"):
                Journal(tmp_path / "spool").append([b"x" * 100], sync=False)
    except ConfigError as error:
        pytest.skip(str(error))
    assert free == 0


class Talker(Clock):
    """Stands in for a caller who sends data."""

    def __init__(self) -> None:
        self.sent = 0

    async def send_data(self, payload: bytes, topic: str) -> None:
        assert topic == "rtvi-ai"
        assert json.loads(payload)["type"] == "client-message"
        self.sent += 1


async def test_the_caller_floods_the_agent_while_the_call_goes_on(stage: Scene) -> None:
    talker: Any = Talker()
    stage.caller = talker
    await scene.flood(1000)(stage)
    assert talker.sent == 0, "beside the call"
    await stage.calm()
    assert talker.sent == 1000


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RefusedError("busy", 503, 7), "refused: 503, told when to come again"),
        (RefusedError("busy", 503, None), "refused: 503, and not told when to come again"),
        (MediaError("no media server"), "failed: no media server"),
    ],
)
async def test_how_others_who_call_fare_is_told(stage: Scene, error: MediaError, told: str) -> None:
    class Busy(Running):
        async def invite(self) -> Any:
            raise error

    busy: Any = Busy(stage.system.process)  # type: ignore[attr-defined]
    stage.system = busy
    await scene.crowd(2)(stage)
    assert stage.notes["others"] == [told] * 2


async def test_a_server_that_refuses_says_when_to_come_again() -> None:
    app = FastAPI()

    @app.post("/api/token")
    def refuse() -> JSONResponse:
        return JSONResponse({"message": "all lines are busy"}, 503, {"Retry-After": "7"})

    async with serving(lambda _: app) as url:
        with pytest.raises(RefusedError, match="all lines are busy") as refused:
            await ask_for_place(url)
    assert (refused.value.status, refused.value.retry_after_s) == (503, 7)
