"""The on-device voice: drives the voice program over pipes and hands out 24 kHz PCM."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import soxr
import structlog

from repartee.errors import ProviderError

log = structlog.get_logger()
OUT_SAMPLE_RATE_HZ = 24_000
START_S = 30.0
BLOCK_S = 15.0
LEADING_SILENCE_LEVEL = 200
"""Samples below this at the start of a sentence are silence the listener would wait through."""
PROGRAM = Path(__file__).with_name("voice_program.py")


class Voice:
    """One voice program; requests are spoken one after another.

    Args:
        model: Voice file.
        config: Its configuration.
    """

    def __init__(self, model: Path, config: Path) -> None:
        self._command = [sys.executable, "-u", str(PROGRAM), str(model), str(config)]
        self._process: Process | None = None
        self._sample_rate_hz = 0
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Start the program and wait until its voice is loaded.

        Raises:
            ProviderError: It could not start.
        """
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)
        assert self._process.stdout is not None  # noqa: S101 - PIPE was asked for
        try:
            async with asyncio.timeout(START_S):
                first = await self._process.stdout.readline()
            self._sample_rate_hz = json.loads(first)["sample_rate_hz"]
        except (TimeoutError, ValueError, KeyError) as error:
            await self.stop()
            raise ProviderError(
                "the on-device voice did not start; install it with `uv sync --extra piper`",
                kind="unavailable",
                provider="piper",
            ) from error

    async def stop(self) -> None:
        """End the program."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def speak(self, text: str, speed: float = 1.0) -> AsyncIterator[bytes]:
        """Yield 16-bit mono PCM at 24 kHz, a sentence at a time.

        Raises:
            ProviderError: The program died or hangs; it is started anew for the next request.
        """
        async with self._lock:
            if self._process is None or self._process.returncode is not None:
                await self.start()
            finished = False
            try:
                request = json.dumps({"text": " ".join(text.split()), "speed": speed}) + "\n"
                resampler = soxr.ResampleStream(
                    self._sample_rate_hz, OUT_SAMPLE_RATE_HZ, 1, dtype="int16", quality="HQ"
                )
                await self._send(request)
                first = True
                while block := await self._block():
                    samples = np.frombuffer(block, dtype=np.int16)
                    if first:
                        samples = without_leading_silence(samples)
                        first = False
                    if out := resampler.resample_chunk(samples).tobytes():
                        yield out
                finished = True
                if tail := resampler.resample_chunk(np.zeros(0, np.int16), last=True).tobytes():
                    yield tail
            except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
                log.warning("voice.failed", error=type(error).__name__)
                raise ProviderError(
                    "the on-device voice stopped", kind="unavailable", provider="piper"
                ) from error
            finally:
                if not finished:  # a listener who left in the middle: the rest must not reach the next one
                    await self._drain()

    async def _send(self, request: str) -> None:
        assert self._process is not None  # noqa: S101 - started above
        assert self._process.stdin is not None  # noqa: S101 - PIPE was asked for
        self._process.stdin.write(request.encode())
        await self._process.stdin.drain()

    async def _block(self) -> bytes:
        assert self._process is not None  # noqa: S101 - started above
        assert self._process.stdout is not None  # noqa: S101 - PIPE was asked for
        async with asyncio.timeout(BLOCK_S):
            size = int.from_bytes(await self._process.stdout.readexactly(4), "big")
            return await self._process.stdout.readexactly(size) if size else b""

    async def _drain(self) -> None:
        try:
            while await self._block():
                pass
        except (TimeoutError, OSError, asyncio.IncompleteReadError, AssertionError):
            await self.stop()


def without_leading_silence(samples: np.ndarray) -> np.ndarray:
    """Return samples from just before the first sound on; all of them where nothing sounds."""
    loud = np.flatnonzero(np.abs(samples) > LEADING_SILENCE_LEVEL)
    # Keep 5 ms before the first sound: the attack of a consonant.
    return samples[max(0, int(loud[0]) - 110) :] if loud.size else samples
