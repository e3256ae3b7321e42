"""What a benchmark calls: repartee or a peer, each in processes of its own, all on one LiveKit server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from livekit import api

from repartee.errors import ConfigError, MediaError
from repartee.processes import end
from repartee.simulator.invitation import Invitation
from repartee.urls import http_url

READY_S = 60.0
STOP_S = 8.0
OURS = "repartee"
PEERS = ("pipecat", "pipecat-tuned", "livekit", "livekit-tuned")
"""Pipecat and LiveKit Agents as their documentation shows them, and tuned by their documentation."""
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Ground:
    """What all systems share: the LiveKit server and the simulated vendors."""

    url: str
    key: str
    secret: str
    vendors: Mapping[str, str]
    """Environment variables that send every vendor's requests to the simulator."""

    def token(self, room: str, identity: str, *, agent: bool = False) -> str:
        """Return a token for a room."""
        token = api.AccessToken(self.key, self.secret).with_identity(identity)
        if agent:
            token = token.with_kind("agent")
        return token.with_grants(api.VideoGrants(room_join=True, room=room, agent=agent)).to_jwt()

    @property
    def livekit(self) -> dict[str, str]:
        """What sends a system to this LiveKit server."""
        return {
            "LIVEKIT_URL": self.url,
            "LIVEKIT_API_KEY": self.key,
            "LIVEKIT_API_SECRET": self.secret,
        }

    @property
    def variables(self) -> dict[str, str]:
        """What sends a system here, with all it asks of vendors."""
        return {**self.livekit, **self.vendors}

    def environment(self) -> dict[str, str]:
        """Return the environment of a peer."""
        mine = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {**mine, **self.variables}


class System(Protocol):
    """Something that answers calls."""

    name: str

    async def invite(self) -> Invitation:
        """Return where to call; an agent is there, or on its way."""

    async def hang_up(self) -> None:
        """The call is over."""

    def pid(self) -> int | None:
        """Return the process whose tree does the work."""

    async def stop(self) -> None:
        """End it."""


def knob_of(name: str) -> tuple[str, float]:
    """Split `NAME@SECONDS`: a system, and the endpointing delay it is given; 0 leaves what is usual.

    Raises:
        ConfigError: What follows the @ is no number of seconds.
    """
    system, _, seconds = name.partition("@")
    try:
        knob = float(seconds or 0)
    except ValueError:
        knob = -1.0
    if not 0 <= knob <= 10:
        raise ConfigError(
            f"'{name}' has '{seconds}' for an endpointing delay; give 0 to 10 seconds, as in {system}@0.6"
        )
    return system, knob


def peer(name: str, ground: Ground, environments: Path, programs: Path, *, alone: bool = True) -> System:
    """Return a peer by name.

    Args:
        name: One of `PEERS`, with `@SECONDS` for another endpointing delay than its usual one.
        ground: What it runs on.
        environments: Folder with a Python environment for each of the two frameworks.
        programs: Folder with their programs.
        alone: One call at a time; for many it keeps as many processes ready as it does by default.

    Raises:
        ConfigError: There is no such peer, or its environment is not installed.
    """
    base, _ = knob_of(name)
    if base not in PEERS:
        raise ConfigError(f"there is no peer '{base}'; choose from: {', '.join(PEERS)}")
    folder = environments / ("pipecat" if base.startswith("pipecat") else "livekit-agents")
    python = folder / "bin" / "python"
    if not python.is_file():
        raise ConfigError(f"the peer '{base}' is not installed in {folder}; run `make bench-peers`")
    if base.startswith("pipecat"):
        return PipecatPeer(name, ground, python, programs / "pipecat_bot.py")
    return LiveKitPeer(name, ground, python, programs / "livekit_agent.py", alone=alone)


class PipecatPeer:
    """A Pipecat bot: one process per call, in the room before the caller."""

    def __init__(self, name: str, ground: Ground, python: Path, program: Path) -> None:
        self.name = name
        self._base, self._knob = knob_of(name)
        self._ground, self._python, self._program = ground, python, program
        self._process: Process | None = None

    async def invite(self) -> Invitation:
        """Start a bot in a new room.

        Raises:
            MediaError: It did not come.
        """
        room = f"bench-{secrets.token_hex(6)}"
        kind = "tuned" if self._base.endswith("tuned") else "stock"
        arguments = [
            self._ground.url,
            self._ground.token(room, "bot", agent=True),
            room,
            kind,
            str(self._knob),
        ]
        self._process = await asyncio.create_subprocess_exec(
            str(self._python),
            str(self._program),
            *arguments,
            env=self._ground.environment(),
            stdout=PIPE,
            stderr=DEVNULL,
        )
        await _said(self._process, b"ready", self.name)
        return Invitation(self._ground.url, self._ground.token(room, "caller"), room)

    async def hang_up(self) -> None:
        """End the bot."""
        process, self._process = self._process, None
        if process is not None:
            await end(process, STOP_S)

    def pid(self) -> int | None:
        """Return the bot's process, which ends when its caller has left."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def stop(self) -> None:
        """End the bot."""
        await self.hang_up()


class LiveKitPeer:
    """A LiveKit Agents worker: takes dispatched calls in warm processes of its own."""

    def __init__(self, name: str, ground: Ground, python: Path, program: Path, *, alone: bool) -> None:
        self.name = name
        self._ready = {"PEER_READY": "1"} if alone else {}
        self._base, self._knob = knob_of(name)
        self._ground, self._python, self._program = ground, python, program
        self._process: Process | None = None
        self._output: asyncio.Task[None] | None = None

    async def invite(self) -> Invitation:
        """Dispatch the agent to a new room.

        Raises:
            MediaError: The worker did not start.
        """
        await self.start()
        room = f"bench-{secrets.token_hex(6)}"
        async with api.LiveKitAPI(
            http_url(self._ground.url), self._ground.key, self._ground.secret
        ) as livekit:
            await livekit.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(agent_name=self.name, room=room)
            )
        return Invitation(self._ground.url, self._ground.token(room, "caller"), room)

    async def start(self) -> None:
        """Start the worker, if it does not run yet; not by two at once.

        Raises:
            MediaError: It did not start.
        """
        if self._process is not None:
            return
        kind = "tuned" if self._base.endswith("tuned") else "default"
        more = {"PEER_NAME": self.name, "PEER_KIND": kind, "PEER_KNOB": str(self._knob or "")}
        more |= self._ready
        self._process = await asyncio.create_subprocess_exec(
            str(self._python),
            str(self._program),
            "start",
            env={**self._ground.environment(), **more},
            stdout=PIPE,
            stderr=STDOUT,
        )
        await _said(self._process, b"registered worker", self.name)
        self._output = asyncio.create_task(_drain(self._process), name=f"{self.name} output")

    async def hang_up(self) -> None:
        """The session ends by itself when the caller has left."""

    def pid(self) -> int | None:
        """Return the worker's process."""
        return self._process.pid if self._process is not None else None

    async def stop(self) -> None:
        """End the worker."""
        process, self._process = self._process, None
        if process is not None:
            await end(process, STOP_S)
        if self._output is not None:
            self._output.cancel()
            await asyncio.gather(self._output, return_exceptions=True)


async def _said(process: Process, word: bytes, name: str) -> None:
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for
    said = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            while line := await process.stdout.readline():
                if word in line:
                    return
                said = (said + line)[-2000:]
    raise MediaError(f"the peer '{name}' did not start; it said:\n{said.decode(errors='replace')}")


async def _drain(process: Process) -> None:
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for
    while await process.stdout.read(1 << 16):
        pass
