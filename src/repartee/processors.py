"""How many processor cores this process may use, and how much of them is used.

A container sees every core of its machine. What it may use is in its control group: without a look there, a container
of two cores on a machine of sixty-four would start sixty-four session processes, and never find itself busy.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Quota:
    """What a control group may use.

    Attributes:
        cores: So many.
        used_s: Returns the seconds of processor time that the group has used in all.
    """

    cores: float
    used_s: Callable[[], float]


def cores() -> int:
    """Return how many processor cores this process may use: of its machine, its affinity and its control groups."""
    return max(1, min([len(_allowed()), *(math.ceil(quota.cores) for quota in quotas())]))


def _allowed() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def busy() -> float:
    """Return the share of the cores this process may run on that was used, by whomever, since it was last asked."""
    shares, allowed = psutil.cpu_percent(interval=None, percpu=True), _allowed()
    mine = [share for number, share in enumerate(shares) if number in allowed] or shares
    return float(sum(mine)) / len(mine) / 100


class Usage:
    """The share of the processors that is used: of the cores, or of what a quota leaves of them if that is more.

    Args:
        machine: Returns the share of the cores since it was last asked.
        find: Returns the quotas.
        clock_s: Monotonic.
    """

    def __init__(
        self,
        machine: Callable[[], float] = busy,
        find: Callable[[], tuple[Quota, ...]] | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._machine = machine
        self._find = find or quotas
        self._clock_s = clock_s
        self._asked_s = clock_s()
        self._limits = self._find()
        self._used_s = self._used()
        self._machine()  # the first answer is about no time at all

    def __call__(self) -> float:
        """Return the share since it was last asked, 0 to 1."""
        now_s, used_s = self._clock_s(), self._used()
        passed_s = now_s - self._asked_s
        own = [
            (after - before) / (passed_s * limit.cores)
            for limit, before, after in zip(self._limits, self._used_s, used_s, strict=False)
            if passed_s > 0
        ]
        self._asked_s, self._used_s = now_s, used_s
        return min(1.0, max([self._machine(), *own]))

    def _used(self) -> list[float]:
        try:
            return [limit.used_s() for limit in self._limits]
        except (OSError, ValueError):
            # The process was moved to another group; what it used there is known next time.
            self._limits = self._find()
            return []


def quotas(root: Path = GROUPS, own: Path = OWN_GROUPS) -> tuple[Quota, ...]:
    """Return what the control groups of this process may use, where they are limited.

    Args:
        root: Where control groups are mounted, of version 2 or 1.
        own: The kernel's list of those this process is in.
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return ()
    found: list[Quota] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += filter(None, map(_second, _folders(root, path)))
        elif "cpu" in controllers.split(","):
            used = _folders(root / "cpuacct", path)
            found += filter(None, map(_first, _folders(root / "cpu", path), used))
    return tuple(found)


def _folders(root: Path, path: str) -> Iterator[Path]:
    """Yield a group's folder and those above it: a limit of theirs is one of the group's.

    A container may see its own group at the top, and be told a path from the machine's: then only the top is there.
    """
    folder = root / path.strip("/")
    yield folder
    while folder != root:
        folder = folder.parent
        yield folder


def _second(folder: Path) -> Quota | None:
    """Return the limit of a group of version 2."""
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None

    def used_s() -> float:
        with (folder / "cpu.stat").open(encoding="ascii") as stat:
            return int(dict(line.split() for line in stat).get("usage_usec", "")) / 1e6

    return None if quota == "max" else Quota(int(quota) / int(period), used_s)


def _first(folder: Path, accounting: Path) -> Quota | None:
    """Return the limit of a group of version 1."""
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None

    def used_s() -> float:
        return int((accounting / "cpuacct.usage").read_text(encoding="ascii")) / 1e9

    return None if quota < 0 else Quota(quota / period, used_s)
