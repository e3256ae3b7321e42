"""Keys of devices: long-lived, for nothing but calls, and gone as soon as they are revoked.

They are in a file, `NAME SHA256 UNTIL` in each line, that is read again when it changes: a Secret that is mounted, or
what `repartee device-token` writes. No key itself is in it. A key gives its device places in calls as anybody gets
them (`places.py`), one call at a time, in which it is known as `device:NAME`; it shows no calls and names no callers.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import structlog

from repartee.agent.slots import nearest
from repartee.errors import ConfigError
from repartee.server.keys import digest_of

log = structlog.get_logger()
PREFIX = "rptd_"
"""What a device's key begins with: one that is not known is refused also where everybody may call."""
DAYS, MOST_DAYS = 365, 3650
_LINE = re.compile(r"^(?P<name>[\w.@-]{1,64}) (?P<digest>[0-9a-f]{64}) (?P<until>\d{4}-\d\d-\d\d)$")
_NAME = re.compile(r"^[\w.@-]{1,64}$")


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """What is kept of a device's key; it is good until the end of the day `until`, in UTC."""

    name: str
    digest: str
    until: date


class DeviceKeys:
    """The keys of devices, as the file has them now.

    Args:
        file: May be missing: then there are none.
        today: The day, in UTC.

    Raises:
        ConfigError: A line is none; it is not repeated.
    """

    def __init__(self, file: Path, today: Callable[[], date] = lambda: datetime.now(UTC).date()) -> None:
        self._file, self._today = file, today
        self._seen: tuple[int, int, int] | None = None
        self._keys: Mapping[str, DeviceKey] = {}
        self._read()

    def name_of(self, key: str) -> str | None:
        """Return whose key it is, None where nobody's, a revoked one's or one's that has run out."""
        if not key.startswith(PREFIX):
            return None
        try:
            self._read()
        except ConfigError as error:
            # Nobody is let in by what cannot be read: a key may have been revoked in it.
            log.error("devices.unreadable", error=str(error))  # noqa: TRY400 - the sentence says it all
            self._keys = {}
        # Looked up by its digest: what a comparison's time could tell is of no use to who has not the key.
        kept = self._keys.get(digest_of(key))
        return kept.name if kept is not None and self._today() <= kept.until else None

    def _read(self) -> None:
        try:
            now = self._file.stat()
        except FileNotFoundError:
            self._seen, self._keys = None, {}
            return
        except OSError as error:
            raise _unreadable(self._file, error) from error
        if (seen := (now.st_mtime_ns, now.st_size, now.st_ino)) != self._seen:
            self._keys = {key.digest: key for key in read_keys(self._file)}
            self._seen = seen


def read_keys(file: Path) -> tuple[DeviceKey, ...]:
    """Return what is in the file, nothing where there is none.

    Raises:
        ConfigError: It cannot be read, or a line is none.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error
    return tuple(_key(file, number, line) for number, line in enumerate(lines, 1) if line.strip())


def add_key(file: Path, name: str, days: int, today: date) -> tuple[str, DeviceKey]:
    """Make a key for a device, in place of the one it had; return it, and what is kept of it.

    Raises:
        ConfigError: The name or the days are wrong, or the file cannot be written.
    """
    if _NAME.match(name) is None:
        raise ConfigError(f"a device's name is 1 to 64 letters, digits and . _ - @, not '{name[:64]}'")
    if not 1 <= days <= MOST_DAYS:
        raise ConfigError(f"a device's key is good for 1 to {MOST_DAYS} days, not {days}")
    key = PREFIX + secrets.token_urlsafe(32)
    kept = DeviceKey(name, digest_of(key), today + timedelta(days=days))
    _write(file, (*(other for other in read_keys(file) if other.name != name), kept))
    return key, kept


def revoke_key(file: Path, name: str) -> None:
    """Take a device's key from it; servers that read the file see it with the next request.

    Raises:
        ConfigError: There is no such device.
    """
    keys = read_keys(file)
    if name not in (names := [key.name for key in keys]):
        raise ConfigError(f"there is no device '{name[:64]}' in {file}{nearest(name, names)}")
    _write(file, tuple(key for key in keys if key.name != name))


def _key(file: Path, number: int, line: str) -> DeviceKey:
    try:
        if (match := _LINE.match(line.strip())) is not None:
            return DeviceKey(match["name"], match["digest"], date.fromisoformat(match["until"]))
    except ValueError:
        pass  # no day of any calendar
    raise ConfigError(
        f"{file}, line {number} is not 'NAME SHA256 YYYY-MM-DD'; `repartee device-token` writes it"
    )


def _write(file: Path, keys: tuple[DeviceKey, ...]) -> None:
    """Replace the file in one step: a server that reads it meanwhile sees the old or the new one."""
    new = file.with_name(f"{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as out:
            out.writelines(f"{key.name} {key.digest} {key.until.isoformat()}\n" for key in keys)
        new.replace(file)
    except FileExistsError as error:
        raise ConfigError(f"{new} is there: another command writes it; if none does, delete it") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror}); see REPARTEE_DEVICES") from error


def _unreadable(file: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{file} cannot be read ({type(error).__name__}); see REPARTEE_DEVICES")
