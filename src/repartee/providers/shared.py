"""What all calls know together about the providers: a journal of what was found out, and slots of a key.

Every call is a process of its own, so one that finds a provider down tells the others here. The journal is a list of
records in one order that everybody sees; who reads it comes to the same state (`breakers`, `limits`). Two stores keep
it here: this process's memory, and files for all processes of a machine. `fleet` adds those of other machines.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

import structlog

log = structlog.get_logger()
Kind = Literal["done", "slow", "failed", "limited", "refused", "probing", "given_up", "changed"]
"""`done`: answered in time. `slow`: answered, but late. `failed`: an error, or no answer in time. `limited`: too many
requests. `refused`: the key or its quota is no good. `probing`: this request finds out whether it works again.
`given_up`: cut off by us, which says nothing about the provider. `changed`: keys or settings are new."""

MAX_JOURNAL_BYTES = 256 * 1024
MAX_UNREAD = 4096
_KINDS = frozenset(Kind.__args__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class BreakerKey:
    """What fails together: one operation of one model with one key."""

    provider: str
    model: str
    key_id: str
    operation: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}/{self.key_id}/{self.operation}"


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that was found out about a provider.

    Attributes:
        key: What it is about.
        kind: What happened.
        at_s: When, on the machine's monotonic clock.
        asked_at_s: When the request was made.
        by: The request.
        first_s: Seconds to the first of its answer, where there was one.
        retry_after_s: How long the provider wants to be left alone.
        chance: A random number of [0, 1): the same for everybody who reads it.
    """

    key: BreakerKey
    kind: Kind
    at_s: float
    asked_at_s: float = 0.0
    by: str = ""
    first_s: float | None = None
    retry_after_s: float | None = None
    chance: float = 0.5


class Journal(Protocol):
    """Records in one order."""

    def append(self, found: Found) -> None:
        """Add a record; never raises, never waits."""

    def unread(self) -> list[Found]:
        """Return what was added since this was last asked, own records included."""


class Slots(Protocol):
    """Places of which a key has only so many."""

    def take(self, name: str, limit: int) -> Callable[[], None] | None:
        """Take a place; return what gives it back, or None when `limit` are taken."""


# --- in this process ------------------------------------------------------------------------------------------


class MemoryJournal:
    """A journal for one process; every reader has its own `reader()`."""

    def __init__(self) -> None:
        self._unread: deque[Found] = deque(maxlen=MAX_UNREAD)
        self._readers = [self._unread]

    def reader(self) -> MemoryJournal:
        """Return another reader of the same records, from now on."""
        other = MemoryJournal()
        other._readers = self._readers
        self._readers.append(other._unread)
        return other

    def append(self, found: Found) -> None:
        """Add a record."""
        for unread in self._readers:
            unread.append(found)

    def unread(self) -> list[Found]:
        """Return what is new to this reader."""
        new = list(self._unread)
        self._unread.clear()
        return new


class MemorySlots:
    """Places for one process."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def take(self, name: str, limit: int) -> Callable[[], None] | None:
        """Take a place."""
        if self._taken[name] >= limit:
            return None
        self._taken[name] += 1
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                self._taken[name] -= 1

        return give_back


# --- on this machine ------------------------------------------------------------------------------------------


class FileJournal:
    """A journal for all processes of a machine: one line for each record, appended in one write.

    A disk that fails costs the sharing, never a call: the process then goes by its own records.

    Args:
        folder: Where it is kept. The file's name has the boot in it: the clock begins anew with each.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"providers-{_boot()}.jsonl"
        self._file: int | None = None
        self._inode = 0
        self._read = 0
        self._half = b""
        self._own: list[Found] = []
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > MAX_JOURNAL_BYTES:
                self._path.replace(self._path.with_suffix(".old"))

    def append(self, found: Found) -> None:
        """Add a record."""
        try:
            file = self._opened()
            os.write(file, json.dumps(asdict(found)).encode() + b"\n")
        except OSError as error:
            self._close()
            self._own.append(found)
            log.warning("providers.journal_failed", error=type(error).__name__)

    def unread(self) -> list[Found]:
        """Return what anybody has added since."""
        own, self._own = self._own, []
        try:
            file = self._opened()
            new = bytearray()
            while part := os.pread(file, 65536, self._read + len(new)):
                new += part
            self._read += len(new)
            data = self._half + bytes(new)
        except OSError:
            self._close()
            return own
        *lines, self._half = data.split(b"\n")
        return [*own, *(found for line in lines if (found := parsed(line)) is not None)]

    def _opened(self) -> int:
        """Return the open file; one that was put away for a new one is followed."""
        with suppress(FileNotFoundError):
            if self._file is not None and self._path.stat().st_ino == self._inode:
                return self._file
        self._close()
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._inode = os.fstat(self._file).st_ino
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
        self._file, self._read, self._half = None, 0, b""

    @property
    def machine(self) -> str:
        """What tells the processes that share this journal from those that do not; made by the first of them."""
        path, mine = self._path.with_suffix(".id"), uuid.uuid4().hex[:16]
        draft = path.with_suffix(f".{mine}")
        try:
            draft.write_text(mine, encoding="ascii")
            with suppress(FileExistsError):
                os.link(draft, path)  # whole or not at all, and never over another's
            draft.unlink()
            return path.read_text(encoding="ascii")
        except OSError:
            return mine

    def close(self) -> None:
        """Close the file."""
        self._close()


class FileSlots:
    """Places for all processes of a machine: one locked file each, which a process that dies gives back by dying.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "slots"
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)

    def take(self, name: str, limit: int) -> Callable[[], None] | None:
        """Take a place; with a disk that fails there is always one."""
        for number in range(limit):
            try:
                file = os.open(self._folder / f"{_file_name(name)}-{number}", os.O_RDWR | os.O_CREAT, 0o600)
            except OSError as error:
                log.warning("providers.slots_failed", error=type(error).__name__)
                return lambda: None
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                continue
            return _giver(file)
        return None


def _giver(file: int) -> Callable[[], None]:
    held = [file]

    def give_back() -> None:
        if held:
            with suppress(OSError):
                os.close(held.pop())

    return give_back


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:120]


def parsed(line: bytes) -> Found | None:
    """Return the record of a line, None where it is none."""
    try:
        data = json.loads(line)
        kind = data["kind"]
        if kind not in _KINDS:
            return None
        key = BreakerKey(**{name: str(value) for name, value in data.pop("key").items()})
        numbers = {
            name: None if data.get(name) is None else float(data[name])
            for name in ("first_s", "retry_after_s")
        }
        return Found(
            key,
            kind,
            float(data["at_s"]),
            float(data["asked_at_s"]),
            str(data["by"]),
            chance=float(data["chance"]),
            **numbers,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # half a line of a process that died, or of another version


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return "boot"
