"""A LiveKit server of our own on loopback, for a machine that has none."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from livekit import api

from repartee.errors import ConfigError, MediaError
from repartee.processes import end
from repartee.settings import Settings
from repartee.urls import http_url
from repartee.worker import LiveKitAccess

log = structlog.get_logger()
VERSION = "1.13.5"
NO_STUN = "127.0.0.1:3478"
"""STUN's own port: with one that Firefox blocks (9, for instance) it refuses to connect at all."""
READY_S = 15.0
STOP_S = 5.0


def check_port(host: str, port: int, what: str, variable: str) -> None:
    """Make sure a port is free.

    Raises:
        ConfigError: It is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} for {what} is taken; stop what uses it, or set {variable} to another port"
            ) from error


async def check_access(access: LiveKitAccess, *, must_answer: bool) -> None:
    """Make sure the LiveKit server takes the key.

    Raises:
        ConfigError: It does not.
        MediaError: It does not answer, and `must_answer`.
    """
    try:
        async with api.LiveKitAPI(http_url(access.url), access.key, access.secret) as livekit:
            await livekit.room.list_rooms(api.ListRoomsRequest(names=["-"]))
    except api.TwirpError as error:
        if error.status in (401, 403):
            raise ConfigError(
                f"the LiveKit server at {access.url} refuses the key; check LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
            ) from error
        log.warning("livekit.check_failed", status=error.status)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        if must_answer:
            raise MediaError(
                f"no LiveKit server answers at {access.url}; check LIVEKIT_URL, or unset it to start one here"
            ) from error
        log.warning("livekit.unreachable", url=access.url)


@dataclass(frozen=True, slots=True)
class OwnLiveKit(LiveKitAccess):
    """A server of our own, and its process."""

    pid: int = 0


@contextlib.asynccontextmanager
async def own_livekit(settings: Settings) -> AsyncIterator[OwnLiveKit]:
    """Run a LiveKit server with a key made for this run.

    Raises:
        ConfigError: It is not installed, or its port is taken.
        MediaError: It did not start.
    """
    program = _program(settings)
    check_port("127.0.0.1", settings.livekit_port, "the LiveKit server", "REPARTEE_LIVEKIT_PORT")
    key, secret = f"key{secrets.token_hex(6)}", secrets.token_urlsafe(32)
    file, log = _write_config(settings, key, secret), settings.state_dir / "livekit.log"
    process = await _start(program, file, log)
    try:
        await _answers(settings.livekit_port, process, log)
        yield OwnLiveKit(f"ws://127.0.0.1:{settings.livekit_port}", key, secret, process.pid)
    finally:
        await end(process, STOP_S)


def _program(settings: Settings) -> str:
    program = shutil.which("livekit-server") or str(settings.cache_dir / "bin" / f"livekit-server-{VERSION}")
    if not Path(program).is_file():
        raise ConfigError("livekit-server is not installed; run `make setup`, or set LIVEKIT_URL to a server")
    return program


def _write_config(settings: Settings, key: str, secret: str, redis_address: str | None = None) -> Path:
    config: dict[str, Any] = {
        "port": settings.livekit_port,
        "bind_addresses": ["127.0.0.1"],
        "keys": {key: secret},
        "logging": {"level": "warn"},
        "rtc": {
            "udp_port": settings.livekit_udp_port,
            "tcp_port": 0,
            "node_ip": "127.0.0.1",
            "use_external_ip": False,
            # Left out, every client is told to ask a public STUN server for its address. Nobody answers here, which
            # does no harm; asking the media port itself would keep clients from connecting.
            "stun_servers": [NO_STUN],
            "enable_loopback_candidate": True,
            "interfaces": {"includes": ["lo" if sys.platform == "linux" else "lo0"]},
            "ips": {"includes": ["127.0.0.0/8"]},
        },
    }
    if (address := settings.media_address) is not None:
        # Signalling stays on loopback, and is passed on there; sound comes from the network itself.
        del config["rtc"]["interfaces"]
        config["rtc"] |= {"node_ip": address, "ips": {"includes": ["127.0.0.0/8", f"{address}/32"]}}
    if redis_address is not None:
        config["redis"] = {"address": redis_address}
    file = settings.state_dir / "livekit.json"
    file.unlink(missing_ok=True)
    # Created with its mode: the secret is never readable by others, not even for a moment.
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(config, out)  # JSON is YAML
    return file


async def _start(program: str, file: Path, log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as log_file:
        return await asyncio.create_subprocess_exec(
            program,
            "--config",
            str(file),
            stdout=log_file,
            stderr=log_file,
            start_new_session=True,  # Ctrl+C reaches us; calls end before the server does
        )


async def _answers(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    deadline = asyncio.get_running_loop().time() + READY_S
    while process.returncode is None and asyncio.get_running_loop().time() < deadline:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        # There is no signal to wait for: the server tells nobody that it listens.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.05)
    raise MediaError(f"the LiveKit server did not start; {log} says why")


class FragileLiveKit:
    """A LiveKit server that may be killed and started again, with the same port and key, as after a crash.

    Args:
        settings: Where it listens and keeps its files.
        redis_address: Where it meets the other nodes of its cluster; None is a server by itself.
        node_of: A node of the same cluster, whose key it takes.
    """

    def __init__(
        self, settings: Settings, redis_address: str | None = None, node_of: LiveKitAccess | None = None
    ) -> None:
        self._settings = settings
        self._program = _program(settings)
        key = node_of.key if node_of else f"key{secrets.token_hex(6)}"
        secret = node_of.secret if node_of else secrets.token_urlsafe(32)
        self._file = _write_config(settings, key, secret, redis_address)
        self._log = settings.state_dir / "livekit.log"
        self._process: asyncio.subprocess.Process | None = None
        self.access = LiveKitAccess(f"ws://127.0.0.1:{settings.livekit_port}", key, secret)

    async def start(self) -> None:
        """Start it.

        Raises:
            MediaError: It did not start.
        """
        self._process = await _start(self._program, self._file, self._log)
        await _answers(self._settings.livekit_port, self._process, self._log)

    async def kill(self) -> None:
        """End it without a word to anybody."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            await end(self._process, STOP_S)
