"""On-device speech and meaning: a host process, and `SpeechHost` to start it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from repartee.errors import ProviderError
from repartee.processes import end
from repartee.providers.ondevice.registry import OWN_VOICE, OWN_WHISPER
from repartee.providers.ondevice.sizes import Speed, known_speed, present

log = structlog.get_logger()
READY_S = 60.0
STOP_S = 5.0
RESTART_S = (0.5, 10.0)


class SpeechHost:
    """The host process, started again on its port when it dies.

    Attributes:
        url: Its base URL, without a path.
    """

    def __init__(self, process: Process, port: int, arguments: tuple[str, ...]) -> None:
        self._process = process
        self._port = port
        self._arguments = arguments
        self.url = f"http://127.0.0.1:{port}"

    @staticmethod
    @asynccontextmanager
    async def start(
        port: int = 0,
        *,
        speech: bool = True,
        whisper: str = OWN_WHISPER,
        voice: str = OWN_VOICE,
        models: Path = Path(),
    ) -> AsyncIterator[SpeechHost]:
        """Start the host and stop it at the end.

        Args:
            port: On loopback; 0 takes a free one.
            speech: Load the recogniser and the voice, not the sentence model alone.
            whisper: The recogniser, by its name in agent files.
            voice: The voice, by its name in agent files.
            models: Where fetched models are.

        Raises:
            ProviderError: It did not become ready.
        """
        chosen = ("--whisper", whisper, "--voice", voice, "--models", str(models))
        arguments = chosen if speech else ("--only-sentences",)
        process = await _spawn(port, arguments)
        keeping: asyncio.Task[None] | None = None
        try:
            host = SpeechHost(process, await _ready(process), arguments)
            keeping = asyncio.create_task(host._keep(), name="speech-host")
            yield host
        finally:
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
                process = host._process
            await end(process, STOP_S)

    async def _keep(self) -> None:
        wait_s = RESTART_S[0]
        while True:
            code = await self._process.wait()
            log.error("speech_host.died", exit_code=code, restart_in_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(RESTART_S[1], wait_s * 2)
            self._process = await _spawn(self._port, self._arguments)
            try:
                await _ready(self._process)
                wait_s = RESTART_S[0]
            except ProviderError:
                await end(self._process, STOP_S)


async def measured_speed(models: Path, cache_dir: Path, *, needed: bool = False) -> Speed | None:
    """Return how quick Whisper is here; measured now, in a process of its own, where that is not known.

    Args:
        models: Where fetched models are.
        cache_dir: Where the measurement is kept.
        needed: Measure also where there is only one size, and so nothing to choose.
    """
    sizes = await asyncio.to_thread(present, models)
    speed = await asyncio.to_thread(known_speed, cache_dir, sizes)
    if speed is not None or not (needed or len(sizes) > 1):
        return speed
    where = ("--models", str(models), "--measure", str(cache_dir))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "repartee.providers.ondevice", *where
    )
    try:
        async with asyncio.timeout(READY_S):
            await process.wait()
    except TimeoutError:
        log.warning("whisper.not_measured", after_s=READY_S)
    finally:
        await end(process, STOP_S)
    return await asyncio.to_thread(known_speed, cache_dir, sizes)


async def _spawn(port: int, arguments: tuple[str, ...]) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "repartee.providers.ondevice",
        "--port",
        str(port),
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        start_new_session=True,  # Ctrl+C reaches the parent, which ends its children in order
    )


async def _ready(process: Process) -> int:
    """Return the port it listens on."""
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
    return int(line[1])
