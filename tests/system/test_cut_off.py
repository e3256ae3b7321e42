"""A machine that is cut off in the middle of an answer: another goes on, and the one that comes back is nobody."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from repartee.cli.instance import answers, free_ports, own_environment, spawn
from repartee.simulator.audio import read_audio
from repartee.simulator.caller import Caller
from repartee.simulator.netns import CallerNetwork
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.server import vendors_at
from repartee.store import Held, Seats, Store
from tests import postgres
from tests.system.fleet import MODELS, logged
from tests.system.helpers import calling, eventually, write_agent
from tests.system.test_network import MediaServer

QUESTION = "aiewf/turn_001.flac"
MUST_S = 8.0
"""So long an agent is waited for of whom only the database has not heard: that a machine is gone is known sooner."""
BACK_S = 8.0
"""The cut-off agent is watched so long once the cable is back."""


@contextlib.asynccontextmanager
async def relayed(host: str, port: int) -> AsyncIterator[int]:
    """Pass connections to a port of an address on to the same service of this machine; return the port there."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, here), pump(there, writer))

    server = await asyncio.start_server(passed, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@dataclass
class Machines:
    """Two machines with a worker each, joined by a cable; database, LiveKit and callers are on the near one."""

    cable: CallerNetwork
    media: MediaServer
    folder: Path
    agent: Path
    near: dict[str, str]
    far: dict[str, str]
    processes: list[Process] = field(default_factory=list)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def environment(self, name: str, variables: dict[str, str], health: int = 0) -> dict[str, str]:
        shared = {
            "LIVEKIT_URL": self.media.url,
            "LIVEKIT_API_KEY": self.media.key,
            "LIVEKIT_API_SECRET": self.media.secret,
            "REPARTEE_SESSION_PROCESSES": "1",
            "REPARTEE_WORKER_PORT": str(health),
        }
        return own_environment(self.agent, self.folder / name, shared | variables)

    async def start_far(self) -> None:
        """Start the far worker, and wait until LiveKit knows it."""
        with self.log("far").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.cable.command(sys.executable, "-m", "repartee.cli", "worker"),
                env=self.environment("far", self.far),
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        await eventually(lambda: logged(self.log("far"), "worker.registered"), 60)

    async def start_near(self) -> None:
        """Start the near worker."""
        (health,) = free_ports(1)
        await self._start("worker", "near", self.environment("near", self.near, health), health, "readyz")

    async def serve(self) -> str:
        """Start the token server; return its address."""
        environment = self.environment("serve", self.near)
        port = int(environment["REPARTEE_PORT"])
        await self._start("serve", "serve", environment, port, "healthz")
        return f"http://127.0.0.1:{port}"

    async def _start(
        self, command: str, name: str, environment: dict[str, str], port: int, path: str
    ) -> None:
        process = await spawn([command], environment, self.log(name))
        self.processes.append(process)
        await answers(f"http://127.0.0.1:{port}/{path}", process, self.log(name))

    async def end(self) -> None:
        """End all, also what is cut off."""
        self.cable.clear()
        for process in self.processes:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(process.wait() for process in self.processes))


@contextlib.asynccontextmanager
async def machines(
    cable: CallerNetwork, folder: Path, speech: Path, url: str, port: int
) -> AsyncIterator[Machines]:
    """Run what both machines need; their workers are yet to be started."""
    media = MediaServer(cable, folder)
    # Nobody speaks unasked: what is heard in the end is somebody who should not speak.
    agent = write_agent(folder, f"{MODELS}\ncache: {{prepare_voice: false}}\nlimits: {{silence_s: 0}}")
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(media.kill)
        await media.start()
        config = SimulatorConfig(profile="fixed:60/60/60", speech=speech)
        simulator = await stack.enter_async_context(Simulator.start(config))
        sql = await stack.enter_async_context(relayed(cable.here, port))
        vendors = await stack.enter_async_context(relayed(cable.here, int(simulator.url.rpartition(":")[2])))
        far_url = url.replace(f"127.0.0.1:{port}", f"{cable.here}:{sql}")
        near = {"REPARTEE_DATABASE_URL": url, **simulator.environment}
        far = {"REPARTEE_DATABASE_URL": far_url, **vendors_at(f"http://{cable.here}:{vendors}")}
        both = Machines(cable, media, folder, agent, near, far)
        stack.push_async_callback(both.end)
        yield both


@pytest.mark.timeout(240)
@pytest.mark.long
async def test_a_machine_that_is_cut_off_loses_its_calls_and_never_speaks_again(
    speech: Path, tmp_path: Path, cable: CallerNetwork, database: postgres.Server
) -> None:
    url = database.new_database()
    async with machines(cable, tmp_path, speech, url, database.port) as both:
        await both.start_far()
        async with calling(await both.serve()) as caller:
            await both.start_near()
            waited_s = await cut_in_an_answer(caller, cable, speech / QUESTION)
            heard = caller.captions("agent")
            await asyncio.to_thread(cable.clear)
            await eventually(lambda: over(both.log("far")), 40)
            assert not await caller.wait_for_sound(BACK_S), "the one that comes back says nothing"
            assert caller.captions("agent") == heard, "nor does it show anything"
            exchange = await caller.exchange(speech / QUESTION)
            refused = await asyncio.to_thread(refused_epoch, url, tmp_path)
        assert both.processes[0].returncode is None, "it lived all the time"
    assert waited_s < MUST_S
    assert any("we were cut off for a moment" in text for text in heard)
    assert "are there any workshops about gemini" in exchange.reply
    [adopted] = logged(both.log("near"), "call.adopted")
    assert refused == {adopted["call_id"]}, "whoever comes with the first agent's epoch has lost the call"


async def cut_in_an_answer(caller: Caller, cable: CallerNetwork, recording: Path) -> float:
    """Ask something, cut the cable in the middle of the answer, return how long it took until another was heard."""
    await caller.say(read_audio(recording, 48_000))
    assert await caller.wait_for_sound(10), "the far agent answers"
    await asyncio.sleep(1.5)  # some words of the answer
    await asyncio.to_thread(cable.cut)
    cut_s = time.monotonic()
    # What was on its way is still heard; the line is dead then.
    await caller.wait_for_quiet(0.3, 3)
    assert await caller.wait_for_sound(MUST_S + 20), "somebody goes on"
    waited_s = time.monotonic() - cut_s
    await caller.wait_for_quiet(0.9, 30)
    return waited_s


def over(log: Path) -> list[dict[str, Any]]:
    """Return how a worker's calls ended for it, where it knows that they go on elsewhere."""
    left = {"handed_over", "room_closed"}
    return [entry for entry in logged(log, "call.ended") if entry["detail"] in left]


def refused_epoch(url: str, folder: Path) -> set[str]:
    """Return the call that the first agent of it may keep no more."""
    store = Store.open(url, spool=folder / "spool")
    try:
        (kept,) = store.calls()
        first = Held(kept.call.room, kept.call.call_id, "far", "agent-far", epoch=1)
        assert not Seats(store).holds(first)
        return Seats(store).keep([first])
    finally:
        store.close()
