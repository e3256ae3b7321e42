"""What `repartee bench load` stands on: LiveKit, the vendors, and a system that takes calls."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from repartee.cli.bench import AGENT as BENCH_AGENT
from repartee.cli.bench import PROGRAMS, TRANSCRIPTS, prepare_agent, write_agent
from repartee.cli.instance import instance, livekit_settings
from repartee.cli.livekit import own_livekit
from repartee.cli.load_kills import copy_tools
from repartee.cli.load_options import LoadOptions
from repartee.errors import MediaError
from repartee.settings import Settings
from repartee.simulator.kills import NotingReplies
from repartee.simulator.loads import AGENT, Trees, left_over
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.reception import Reception
from repartee.simulator.savings import simulated
from repartee.simulator.systems import OURS, Ground, LiveKitPeer, peer
from repartee.store import Seats, Store


@dataclass(frozen=True, slots=True)
class Stage:
    """What all systems share."""

    folder: Path
    ground: Ground
    simulator: Simulator
    settings: Settings
    livekit: int
    """Process id."""


@dataclass(frozen=True, slots=True)
class Running:
    """A system that takes calls.

    Attributes:
        url: Where a place is asked for.
        roots: Processes whose trees do the work.
        taken: Returns the seats that are taken, where there are seats.
        state: Its data, where it is ours.
    """

    name: str
    url: str
    roots: Callable[[], Sequence[int]]
    livekit: int
    taken: Callable[[], int | None] = lambda: None
    state: Path = Path()

    def trees(self) -> Trees:
        """Return the parts of the machine's work."""
        return {AGENT: self.roots(), "livekit": [self.livekit], "simulator": [os.getpid()]}

    def left(self) -> dict[str, Any]:
        """Return what the processes hold, and how many seats are taken."""
        held, seats = left_over(self.roots()), self.taken()
        return held if seats is None else held | {"tasks": _tasks(self.url), "seats": seats}


@contextlib.asynccontextmanager
async def ground(options: LoadOptions, folder: Path) -> AsyncIterator[Stage]:
    """Start a LiveKit server and the vendors."""
    settings = await livekit_settings(folder)
    config = SimulatorConfig(
        profile=options.profile,
        seed=options.seed,
        speech=options.speech,
        transcripts=TRANSCRIPTS,
        style="short",
    )
    async with own_livekit(settings) as access, Simulator.start(config) as simulator:
        if options.mode == "kills":
            simulator.desk.replies = NotingReplies(None, "short")
        here = Ground(access.url, access.key, access.secret, simulator.environment)
        yield Stage(folder, here, simulator, settings, access.pid)


@contextlib.asynccontextmanager
async def running(
    options: LoadOptions, name: str, stage: Stage, texts: Sequence[str]
) -> AsyncIterator[Running]:
    """Start a system. It stays up over all steps: what is left of one is seen in the next.

    Args:
        options: How.
        name: Which.
        stage: What it stands on.
        texts: What its callers say: an agent with this machine's models knows answers to these.
    """
    if name != OURS:
        environments = stage.settings.cache_dir / "peers"
        another = partial(peer, name, stage.ground, environments, PROGRAMS, alone=False)
        one = another()
        if isinstance(one, LiveKitPeer):
            await one.start()
        # Pipecat's way is a process for each call; a worker of LiveKit's takes them all.
        async with Reception(
            (lambda: one) if isinstance(one, LiveKitPeer) else another
        ).opened() as reception:
            yield Running(name, reception.url, reception.roots, stage.livekit)
        return
    state = stage.folder / "repartee"
    file = state / "bench.yaml"
    if options.on_device:
        await asyncio.to_thread(write_agent, file, _knowing(texts))
    else:
        tools = {"tools": await asyncio.to_thread(copy_tools, state)} if options.mode == "kills" else {}
        vendors = simulated(stage.settings, stage.simulator).model_copy(update={"state_dir": state})
        await prepare_agent(file, BENCH_AGENT | tools, vendors)
    variables = {
        **(stage.ground.livekit if options.on_device else stage.ground.variables),
        "REPARTEE_MAX_CALLS": str(max(options.calls)),
        "REPARTEE_TOKEN_RATE": "100000",
        # What is given up before a machine is full is part of how many calls it holds: measured, not held at 0.
        "REPARTEE_LEVEL": "",
        **dict(options.settings),
    }
    async with instance(file, state, variables) as server:

        def taken() -> int:
            store = Store.open(f"sqlite:///{server.state_dir / 'repartee.db'}")
            try:
                return Seats(store).seating().taken
            finally:
                store.close()

        yield Running(name, server.url, lambda: [server.process.pid], stage.livekit, taken, server.state_dir)


def _knowing(texts: Sequence[str]) -> dict[str, Any]:
    """Return an agent that needs no vendor: it knows an answer to each of what is said."""
    answers = [
        {"id": f"answer-{number}", "ask": [text], "say": f"Gladly. I have noted: {text}"}
        for number, text in enumerate(texts)
    ]
    return {name: BENCH_AGENT[name] for name in ("name", "persona", "greeting", "cache")} | {
        "answers": answers
    }


def _tasks(url: str) -> int:
    """Return how many tasks a server's session processes have, by its metrics."""
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text):
        for sample in family.samples:
            if sample.name == "repartee_session_tasks":
                return int(sample.value)
    raise MediaError(f"the server at {url} does not say in its metrics how many tasks it has")
