"""Workers and a token server on one database and one LiveKit server, each a process: workers come and go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repartee.cli.instance import answers, free_ports, own_environment, spawn
from repartee.cli.livekit import own_livekit
from repartee.settings import Settings
from repartee.simulator.providers import Simulator
from tests.system.helpers import write_agent

MODELS = "models: {stt: 'openai:whisper-1', llm: 'openai:gpt-4.1-mini', tts: 'openai:gpt-4o-mini-tts'}"


@dataclass(eq=False)
class Worker:
    """One worker process."""

    process: Process
    url: str
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def logged(self, event: str) -> list[dict[str, Any]]:
        return logged(self.log, event)


@dataclass(eq=False)
class Fleet:
    """What runs.

    Attributes:
        url: The token server's.
        workers: All that were started.
    """

    folder: Path
    environment: dict[str, str]
    workers: list[Worker] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['REPARTEE_PORT']}"

    async def start_worker(self) -> Worker:
        """Start one more and wait until LiveKit knows it."""
        (port,) = free_ports(1)
        log = self.folder / f"worker-{port}.log"
        process = await spawn(["worker"], {**self.environment, "REPARTEE_WORKER_PORT": str(port)}, log)
        worker = Worker(process, f"http://127.0.0.1:{port}", log)
        self.workers.append(worker)
        await answers(f"{worker.url}/readyz", process, log)
        return worker


@contextlib.asynccontextmanager
async def fleet(
    folder: Path, settings: Settings, simulator: Simulator, workers: int = 2, **variables: str
) -> AsyncIterator[Fleet]:
    """Start workers and a token server; at the end all are told to end, and do."""
    livekit, udp = free_ports(2)
    settings = settings.model_copy(update={"livekit_port": livekit, "livekit_udp_port": udp})
    async with own_livekit(settings) as access:
        environment = own_environment(
            write_agent(folder, MODELS),
            folder / "split",
            {
                **simulator.environment,
                "LIVEKIT_URL": access.url,
                "LIVEKIT_API_KEY": access.key,
                "LIVEKIT_API_SECRET": access.secret,
                "REPARTEE_SESSION_PROCESSES": "1",
                "REPARTEE_WARM_PROCESSES": "0",
                **variables,
            },
        )
        running = Fleet(folder, environment)
        started: list[Process] = []
        try:
            for _ in range(workers):
                await running.start_worker()
            serve = await spawn(["serve"], environment, folder / "serve.log")
            started.append(serve)
            await answers(f"{running.url}/healthz", serve, folder / "serve.log")
            yield running
        finally:
            processes = [*started, *(worker.process for worker in running.workers)]
            for process in processes:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.send_signal(signal.SIGTERM)
            await asyncio.gather(*(process.wait() for process in processes))


def logged(log: Path, event: str) -> list[dict[str, Any]]:
    """Return a log's lines of one event."""
    found = []
    for line in log.read_text().splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if entry.get("event") == event:
                found.append(entry)
    return found
