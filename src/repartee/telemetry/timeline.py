"""Per-call timeline: when each step of each turn happened, as JSON lines without anything a person said."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import structlog

log = structlog.get_logger()
Values = Mapping[str, str | float | int | bool]
Mark = dict[str, str | float | int | bool]
Listener = Callable[[str, float, Values], None]


class Timeline:
    """Appends marks to `<directory>/<call_id>.jsonl`; a full disk never harms the call.

    Args:
        path: The file to append to, or None to keep nothing.
        clock_ms: The call's monotonic clock.
    """

    def __init__(self, path: Path | None, clock_ms: Callable[[], float]) -> None:
        self._clock_ms = clock_ms
        self.listeners: list[Listener] = []
        """Called with each mark: its name, when, and what is told with it. Must not wait."""
        self._file: IO[str] | None = None
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("a", encoding="utf-8", buffering=1)
            except OSError as error:
                self._failed(path.stem, error)

    def mark(self, name: str, at_ms: float | None = None, **values: str | float | bool) -> None:
        """Record that something happened now, or at a time observed elsewhere on the same clock."""
        at_ms = self._clock_ms() if at_ms is None else at_ms
        for listener in self.listeners:
            listener(name, at_ms, values)
        if self._file is None:
            return
        entry: Mark = {"at_ms": round(at_ms, 1), "name": name, **values}
        try:
            self._file.write(json.dumps(entry) + "\n")
        except OSError as error:
            self._failed(Path(self._file.name).stem, error)

    def _failed(self, call_id: str, error: OSError) -> None:
        """Keep no file from now on; what is called with each mark goes on."""
        self._file = None
        log.error("timeline.failed", call_id=call_id, error=error.strerror or str(error))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
