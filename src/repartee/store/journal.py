"""A file beside the database: rows it has not confirmed yet, one line of JSON each."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import structlog

from repartee.store.rows import Record, decode

MAX_BYTES = 64 * 2**20
_SUFFIX = ".jsonl"

log = structlog.get_logger()


class Journal:
    """Written by one writer, and locked by it while it lives. Not made before there is something to write.

    Args:
        folder: Where it is.
        max_bytes: Its bound.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = folder / f"{uuid.uuid4().hex}{_SUFFIX}"
        self._max_bytes = max_bytes
        self._file: IO[bytes] | None = None
        self._bytes = 0

    def append(self, lines: Sequence[bytes], *, sync: bool) -> int:
        """Add encoded rows; they survive the process, with `sync` the machine too.

        Returns:
            How many of them fit.

        Raises:
            OSError: The disk is full or gone; the file is as before.
        """
        fitting: list[bytes] = []
        after = self._bytes
        for line in lines:
            if after + len(line) > self._max_bytes:
                break
            fitting.append(line)
            after += len(line)
        file = self._opened()
        try:
            rest = memoryview(b"".join(fitting))
            while rest:  # a disk that is nearly full takes a part first, and refuses the next
                rest = rest[file.write(rest) :]
            if sync:
                os.fsync(file.fileno())
        except OSError:
            file.truncate(self._bytes)
            raise
        self._bytes = after
        return len(fitting)

    def sync(self) -> None:
        """Make what is in it survive the machine.

        Raises:
            OSError: The disk failed.
        """
        if self._file is not None:
            os.fsync(self._file.fileno())

    def records(self) -> Iterator[Record]:
        """Yield what is in it, oldest first."""
        if self._bytes:
            yield from _read(self._path)

    def clear(self) -> None:
        """Empty it: the database has everything."""
        if self._file is not None and self._bytes:
            self._file.truncate(0)
            self._bytes = 0

    def close(self) -> None:
        """Let go of it; an empty one is removed, another is replayed by whoever comes next."""
        if self._file is None:
            return
        if not self._bytes:
            self._path.unlink(missing_ok=True)
        self._file.close()
        self._file = None

    def _opened(self) -> IO[bytes]:
        while self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Appending, so that a truncated file goes on at its new end; unbuffered, so that a kill loses nothing.
            handle = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
            file = os.fdopen(handle, "ab", buffering=0)
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                self._file = file
            else:  # a replay took the empty file for a dead writer's and removed it
                file.close()
        return self._file


def left_behind(folder: Path) -> Iterator[tuple[Path, Iterator[Record]]]:
    """Yield the journals of writers that are gone; each is locked until the next is asked for.

    Raises:
        OSError: The folder cannot be read.
    """
    for path in sorted(folder.glob(f"*{_SUFFIX}"), key=lambda file: (_written_at(file), file.name)):
        try:
            file = path.open("rb")
        except FileNotFoundError:  # its writer ended meanwhile
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # its writer lives
                continue
            if os.fstat(file.fileno()).st_nlink:
                yield path, _read(path)


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _read(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield decode(line)
            except ValueError:  # the process died while it wrote the last line
                log.warning("store.line_not_whole", file=path.name, line=number)
