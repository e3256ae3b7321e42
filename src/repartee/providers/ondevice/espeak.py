"""Voices of espeak-ng (GPL-3.0): a program of its own, one for each text, that is spoken to over pipes.

It speaks over a hundred languages, like a machine: what German, Spanish and others sound like where neither a vendor
nor a voice file is there.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator

import numpy as np
import soxr

from repartee.errors import ProviderError
from repartee.providers.ondevice.voice import BLOCK_S, OUT_SAMPLE_RATE_HZ, without_leading_silence

ESPEAK = "espeak:"
PROGRAM = "espeak-ng"
WORDS_PER_MINUTE = 165
READ_BYTES = 9600
HEAD_BYTES = 44
"""Of a WAV file; the rest of what it writes is samples."""
RATE_AT = slice(24, 28)


_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8}){0,2}")


def espeak_language(name: str) -> str | None:
    """Return the language that `espeak:LANGUAGE` is to speak; None for a voice that is not one of these."""
    language = name.removeprefix(ESPEAK)
    return language if language != name and _LANGUAGE.fullmatch(language) else None


def has_espeak() -> bool:
    """Say whether the program is installed."""
    return shutil.which(PROGRAM) is not None


class EspeakVoice:
    """One of its voices.

    Args:
        language: As espeak-ng calls it: `de`, `es`, `es-419`.
    """

    def __init__(self, language: str) -> None:
        self._language = language

    async def start(self) -> None:
        """Nothing: each text has a program of its own."""

    async def stop(self) -> None:
        """Nothing is left behind."""

    async def speak(self, text: str, speed: float = 1.0) -> AsyncIterator[bytes]:
        """Yield 16-bit mono PCM at 24 kHz.

        Raises:
            ProviderError: The program is not there, hangs, or does not know the language.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise _failed("espeak-ng is not installed; install it, e.g. `apt install espeak-ng`")
        words = str(round(WORDS_PER_MINUTE * speed))
        process = await asyncio.create_subprocess_exec(
            program,
            "-v",
            self._language,
            "-s",
            words,
            "--stdin",
            "--stdout",
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
        )
        assert process.stdin is not None  # noqa: S101 - PIPE was asked for
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        try:
            async with asyncio.timeout(BLOCK_S):
                process.stdin.write(" ".join(text.split()).encode())
                process.stdin.close()
                head = await process.stdout.readexactly(HEAD_BYTES)
            async for pcm in _resampled(process.stdout, int.from_bytes(head[RATE_AT], "little")):
                yield pcm
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            raise _failed(
                f"espeak-ng cannot speak '{self._language}'; `espeak-ng --voices` has its list"
            ) from error
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _resampled(out: asyncio.StreamReader, rate_hz: int) -> AsyncIterator[bytes]:
    resampler = soxr.ResampleStream(rate_hz, OUT_SAMPLE_RATE_HZ, 1, dtype="int16", quality="HQ")
    odd, silent = b"", True
    while block := await _read(out):
        data = odd + block
        odd = data[len(data) & ~1 :]
        samples = np.frombuffer(data[: len(data) & ~1], np.int16)
        if silent:
            samples = without_leading_silence(samples)
            silent = not np.any(samples)
            if silent:
                continue
        if pcm := resampler.resample_chunk(samples).tobytes():
            yield pcm
    if tail := resampler.resample_chunk(np.zeros(0, np.int16), last=True).tobytes():
        yield tail


async def _read(out: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(BLOCK_S):
        return await out.read(READ_BYTES)


def _failed(message: str) -> ProviderError:
    return ProviderError(message, kind="unavailable", provider="espeak-ng")
