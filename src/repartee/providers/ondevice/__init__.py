"""On-device speech and meaning: a host process, and `SpeechHost` to start it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from repartee.errors import ProviderError

log = structlog.get_logger()
READY_S = 60.0
STOP_S = 5.0


class SpeechHost:
    """The running host process.

    Attributes:
        url: Its base URL, without a path.
    """

    def __init__(self, process: Process, url: str) -> None:
        self._process = process
        self.url = url

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait until the process ends."""
        return await self._process.wait()

    @staticmethod
    @asynccontextmanager
    async def start(port: int = 0) -> AsyncIterator[SpeechHost]:
        """Start the host and stop it at the end.

        Raises:
            ProviderError: It did not become ready.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "repartee.providers.ondevice",
            "--port",
            str(port),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # Ctrl+C reaches the parent, which ends its children in order
        )
        try:
            yield SpeechHost(process, await _ready(process))
        finally:
            await _stop(process)


async def _ready(process: Process) -> str:
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for
    try:
        async with asyncio.timeout(READY_S):
            line = (await process.stdout.readline()).decode().split()
    except TimeoutError:
        line = []
    if len(line) != 2 or line[0] != "ready":
        raise ProviderError(
            "the on-device models did not start; `repartee models verify` checks their files",
            kind="unavailable",
            provider="on-device",
        )
    return f"http://127.0.0.1:{line[1]}"


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
