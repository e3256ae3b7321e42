"""How loaded the processes of this machine are: each tells it in a file of its own, the worker tells all the level.

Files in the state folder, a line each, written once a second: a session process, the worker and the token server need
nothing of each other to be heard, and one that dies is silent. What is older than a few seconds counts for nothing. A
disk that fails costs the ladder, never a call: no level is told then, and none is `NORMAL`.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FOLDER = "load"
LEVEL_FILE = "level.json"
STALE_S = 5.0
TICK_S = 0.05
WINDOW_S = 3.0
"""Shorter than a level takes to be entered: a loop that stood still once is late once, not for all that time."""
MAX_FIRST_TOKENS = 256


class LoopLag:
    """How late this process's event loop is: a timer every 50 ms, and how long after its time it came.

    Args:
        clock_s: Monotonic.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._late_ms: deque[float] = deque(maxlen=int(WINDOW_S / TICK_S))
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    def start(self) -> None:
        """Begin, on the running loop."""
        if self._timer is None:
            self._arm()

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def p95_ms(self) -> float:
        """Return the 95th percentile of the last seconds, 0 before anything is known."""
        ordered = sorted(self._late_ms)
        return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))] if ordered else 0.0

    def longest_ms(self) -> float:
        """Return the longest of the last seconds, 0 before anything is known."""
        return max(self._late_ms, default=0.0)

    def _arm(self) -> None:
        self._due_s = self._clock_s() + TICK_S
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        late_ms = max(0.0, (self._clock_s() - self._due_s) * 1000)
        # A loop that stood still for long has missed so many ticks, and each of them was late.
        missed = min(self._late_ms.maxlen or 1, 1 + int(late_ms / (TICK_S * 1000)))
        self._late_ms.extend(max(0.0, late_ms - n * TICK_S * 1000) for n in range(missed))
        self._arm()


@dataclass(frozen=True, slots=True)
class ProcessLoad:
    """What a process tells.

    Attributes:
        pid: The process.
        at_s: When, on the machine's monotonic clock.
        lag_ms: Its loop's lag, 95th percentile of the last seconds.
        first_tokens: The large model's newest times to the first token: (when in s, how long in ms).
    """

    pid: int
    at_s: float
    lag_ms: float
    first_tokens: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class ToldLevel:
    """What the worker tells.

    Attributes:
        level: As `conversation.degradation.Level`.
        at_s: When, on the machine's monotonic clock.
        why: The limits that were passed.
    """

    level: int = 0
    at_s: float = 0.0
    why: tuple[str, ...] = ()


class LoadBoard:
    """Where it is told.

    Args:
        state_dir: The machine's data folder.
        clock_s: The machine's monotonic clock, the same in all its processes.
    """

    def __init__(self, state_dir: Path, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._folder = state_dir / FOLDER
        self._clock_s = clock_s

    def tell(self, load: ProcessLoad) -> None:
        """Tell this process's load."""
        self._write(f"{load.pid}.json", asdict(load))

    def leave(self, pid: int) -> None:
        """Tell nothing any more."""
        with suppress(OSError):
            (self._folder / f"{pid}.json").unlink(missing_ok=True)

    def loads(self) -> list[ProcessLoad]:
        """Return what the processes have told lately; what dead ones left is removed."""
        found = []
        for file in self._files():
            data = _read(file)
            try:
                load = ProcessLoad(
                    int(data["pid"]),
                    float(data["at_s"]),
                    float(data["lag_ms"]),
                    tuple((float(at_s), float(ms)) for at_s, ms in data["first_tokens"]),
                )
            except (KeyError, TypeError, ValueError):
                continue
            if self._fresh(load.at_s):
                found.append(load)
            else:
                self.leave(load.pid)
        return found

    def tell_level(self, level: int, why: tuple[str, ...] = ()) -> None:
        """Tell all processes the level."""
        self._write(LEVEL_FILE, asdict(ToldLevel(level, self._clock_s(), why)))

    def level(self) -> ToldLevel:
        """Return the level that was told last; none where nobody has told one lately."""
        data = _read(self._folder / LEVEL_FILE)
        try:
            told = ToldLevel(int(data["level"]), float(data["at_s"]), tuple(map(str, data["why"])))
        except (KeyError, TypeError, ValueError):
            return ToldLevel()
        return told if self._fresh(told.at_s) else ToldLevel()

    def _fresh(self, at_s: float) -> bool:
        # Another boot's clock may be ahead of ours.
        return 0.0 <= self._clock_s() - at_s < STALE_S

    def _files(self) -> list[Path]:
        with suppress(OSError):
            return [file for file in self._folder.glob("*.json") if file.name != LEVEL_FILE]
        return []

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            new = self._folder / f".{name}.{os.getpid()}"
            new.write_text(json.dumps(data), encoding="utf-8")
            new.replace(self._folder / name)


def _read(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
