"""A repartee of its own on free ports, as a child process: what a benchmark measures and a test calls."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from repartee.errors import MediaError
from repartee.settings import Settings
from repartee.simulator.invitation import Invitation, ask_for_place

READY_S = 60.0
STOP_S = 30.0
PORTS = range(15_000, 32_000)
"""Below what Linux, macOS and Windows give to outgoing connections."""
_OURS = ("LIVEKIT_", "REPARTEE_", "OPENAI_", "ELEVENLABS_", "ELEVEN_", "CARTESIA_", "LLM_")


@dataclass(frozen=True, slots=True)
class Instance:
    """A running server.

    Attributes:
        url: Where its page is.
        state_dir: Its data: `calls/`, `calendar.db`, `livekit.log`.
        output: What it printed and logged.
    """

    url: str
    state_dir: Path
    output: Path
    process: asyncio.subprocess.Process

    async def stop(self) -> int:
        """End it as an operator would; return its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), STOP_S)


@dataclass(slots=True)
class Ours:
    """A running server as a system that is called."""

    running: Instance
    name: str = "repartee"

    async def invite(self) -> Invitation:
        """Return where to call.

        Raises:
            MediaError: The server refuses.
        """
        return await ask_for_place(self.running.url)

    async def hang_up(self) -> None:
        """The session ends when the caller has left."""

    def pid(self) -> int | None:
        """Return the process whose tree does the work."""
        return self.running.process.pid

    async def stop(self) -> None:
        """Its context ends it."""


async def livekit_settings(folder: Path) -> Settings:
    """Return settings for a LiveKit server of one's own: on free ports, its data in a folder of `folder`."""
    port, udp = free_ports(2)
    settings = Settings().model_copy(
        update={"state_dir": folder / "livekit", "livekit_port": port, "livekit_udp_port": udp}
    )
    await asyncio.to_thread(settings.state_dir.mkdir, parents=True)
    return settings


@contextlib.asynccontextmanager
async def instance(
    agent: Path, state_dir: Path, variables: Mapping[str, str] | None = None
) -> AsyncIterator[Instance]:
    """Run `repartee up` until the context ends.

    Args:
        agent: The agent file.
        state_dir: Where it keeps its data.
        variables: Environment variables; none of repartee's own are taken from this process.

    Raises:
        MediaError: It did not start; says what it printed.
    """
    environment = own_environment(agent, state_dir, variables)
    await asyncio.to_thread(state_dir.mkdir, parents=True, exist_ok=True)
    output = state_dir / "output.log"
    process = await spawn(["up"], environment, output)
    host = environment.get("REPARTEE_HOST", "127.0.0.1")
    running = Instance(f"http://{host}:{environment['REPARTEE_PORT']}", state_dir, output, process)
    try:
        await answers(f"{running.url}/healthz", process, output)
        yield running
    finally:
        await running.stop()


def own_environment(
    agent: Path, state_dir: Path, variables: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of a repartee on free ports, with nothing of this process's own configuration."""
    port, livekit, udp = free_ports(3)
    return clean_environment() | {
        "REPARTEE_AGENT": str(agent),
        "REPARTEE_STATE_DIR": str(state_dir),
        "REPARTEE_PORT": str(port),
        "REPARTEE_LIVEKIT_PORT": str(livekit),
        "REPARTEE_LIVEKIT_UDP_PORT": str(udp),
        # No model of the person who runs this shall take part.
        "LLM_BASE_URL": "http://127.0.0.1:9/v1",
        # Vendors are measured and tested alone, without this machine's models beside them.
        "REPARTEE_STANDBY": "false",
        # Its callers and vendors are on the same machine: what they compute is none of its load.
        "REPARTEE_LEVEL": "0",
        **(variables or {}),
    }


async def spawn(
    arguments: list[str], environment: Mapping[str, str], output: Path
) -> asyncio.subprocess.Process:
    """Start `repartee` with arguments; what it prints goes to a file."""
    with output.open("ab") as file:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "repartee.cli", *arguments, env=environment, stdout=file, stderr=file
        )


async def answers(url: str, process: asyncio.subprocess.Process, output: Path) -> None:
    """Wait until a server answers 200.

    Raises:
        MediaError: Its process ended, or it took too long.
    """
    deadline = asyncio.get_running_loop().time() + READY_S
    async with httpx.AsyncClient() as client:
        while process.returncode is None and asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(url)).status_code == httpx.codes.OK:
                    return
            # It tells nobody that it listens; only its end can be waited for.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 0.1)
    said = (await asyncio.to_thread(output.read_text, errors="replace"))[-2000:]
    raise MediaError(f"the server did not start; it said:\n{said}")


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what configures repartee."""
    kept = ("REPARTEE_CACHE_DIR",)
    return {n: v for n, v in os.environ.items() if n in kept or not n.startswith(_OURS)}


def free_ports(count: int) -> list[int]:
    """Return ports nothing listens on, and that the system gives to no outgoing connection meanwhile."""
    ports: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(ports) < count:
            probe, port = stack.enter_context(socket.socket()), random.choice(PORTS)  # noqa: S311 - no secret
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                ports.append(port)
    return ports
