"""The library of recordings in a process of its own.

Recognising holds the interpreter for up to half a second at a time on a busy machine. In the process that also plays
a caller's microphone and the vendors' voices, that would be a pause nobody made.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soxr

from repartee.errors import ConfigError
from repartee.simulator.providers.library import RATE_HZ, Composed, Heard, SpeechLibrary

NOTHING = Heard("", (), complete=False)
END_S = 5.0
_LENGTH = struct.Struct("!I")


class Recogniser:
    """Recognises what is in a library; one upload at a time, in the order they come.

    Open it with `Recogniser.start`, and close it.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._one = asyncio.Lock()
        self._asking: set[asyncio.Task[Any]] = set()

    @staticmethod
    async def start(folder: Path, transcripts: Path | None, composed: Sequence[Composed]) -> Recogniser:
        """Start the process and wait until it has read the recordings; arguments as for `SpeechLibrary`.

        Raises:
            ConfigError: The folder is not such a library.
        """
        pipe = asyncio.subprocess.PIPE
        command = f"from {__name__} import main; main()"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", command), stdin=pipe, stdout=pipe
        )
        recogniser = Recogniser(process)
        problem: str | None = "it was not asked"
        try:
            problem = await recogniser._ask((folder, transcripts, tuple(composed)))
        finally:
            if problem is not None:
                await recogniser.aclose()
        if problem is not None:
            raise ConfigError(problem)
        return recogniser

    async def recognise(self, pcm: npt.NDArray[np.float32], rate_hz: int) -> Heard:
        """Return the words in mono sound of -1..1."""
        heard: Heard = await self._ask((pcm, rate_hz))
        return heard

    async def aclose(self) -> None:
        """End the process; what is still to be recognised is dropped."""
        if self._process.returncode is None:
            self._process.kill()
        await asyncio.wait_for(self._process.wait(), END_S)
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _ask(self, question: Any) -> Any:
        # Of a request that is given up the answer is still read: the next one's comes after it.
        task = asyncio.create_task(self._exchange(question), name="recognise")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return await asyncio.shield(task)

    async def _exchange(self, question: Any) -> Any:
        assert self._process.stdin is not None  # noqa: S101 - it was started with pipes
        assert self._process.stdout is not None  # noqa: S101
        async with self._one:
            self._process.stdin.write(_packed(question))
            await self._process.stdin.drain()
            (size,) = _LENGTH.unpack(await self._process.stdout.readexactly(_LENGTH.size))
            return pickle.loads(await self._process.stdout.readexactly(size))  # noqa: S301 - our own child's


def main() -> None:
    """Read questions from stdin, write answers to stdout, until stdin ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    try:
        library: SpeechLibrary = SpeechLibrary(*_read(source))
    except ConfigError as error:
        _write(sink, str(error))
        return
    _write(sink, None)
    while (question := _read(source)) is not None:
        pcm, rate_hz = question
        sound = pcm if rate_hz == RATE_HZ else soxr.resample(pcm, rate_hz, RATE_HZ)
        _write(sink, library.recognise(np.asarray(sound, dtype=np.float32)))


def _packed(message: Any) -> bytes:
    data = pickle.dumps(message)
    return _LENGTH.pack(len(data)) + data


def _write(sink: BinaryIO, message: Any) -> None:
    sink.write(_packed(message))
    sink.flush()


def _read(source: BinaryIO) -> Any:
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    return pickle.loads(source.read(_LENGTH.unpack(head)[0]))  # noqa: S301 - our own parent's
