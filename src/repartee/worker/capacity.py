"""How many calls a worker takes: as many as it is allowed, fewer while its processes are late.

A process whose event loop is late plays its audio late; that is heard before the processor is full. So the seats go
down at once when a loop is late. They come back one by one where it was late before, and soon where it was not, or is
not any more: what else ran on the machine may be over.
"""

from __future__ import annotations

from collections import deque

from repartee.processors import cores
from repartee.settings import Settings

CALLS_PER_CORE = 8
"""Sixteen on two cores that carry LiveKit, vendors and callers as well are answered as soon as one, nearly
(docs/density.md)."""
ALONE_CALLS_PER_CORE = 4
"""Where each has a process of its own: it takes twice the processor (docs/decisions/0007)."""
ON_DEVICE_CALLS_PER_CORE = 2
"""Where this machine transcribes itself, by the same page."""
LATE_MS = 30.0
"""From here on there are too many calls."""
CALM_MS = 10.0
CUT = 0.8
CUT_EVERY_S = 5.0
"""What a cut has brought must show first."""
GROW_EVERY_S = 30.0
"""A seat more, where there were too many calls before."""
REGAIN_EVERY_S = 5.0
REGAIN_SHARE = 0.25
"""So many more at a time, where there were not."""
FORGET_S = 60.0
"""How many calls were too many is taken for true for so long."""
SAMPLES = 80
FEW = 40


def most_calls(settings: Settings, *, on_device: bool = False) -> int:
    """Return how many calls a worker may have: so many as it is told, or as were measured for its cores.

    Args:
        settings: What it is told.
        on_device: Whether this machine transcribes itself.
    """
    for_each = ALONE_CALLS_PER_CORE if settings.calls_per_process == 1 else CALLS_PER_CORE
    if on_device:
        for_each = ON_DEVICE_CALLS_PER_CORE
    at_once = cores()  # and a process runs on one of them at a time
    return settings.max_calls or for_each * min(settings.session_processes or at_once, at_once)


class Capacity:
    """The seats of one worker.

    Args:
        most: Never more than these.

    Attributes:
        seats: How many there may be now.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._late: deque[float] = deque(maxlen=SAMPLES)
        self._changed_s = float("-inf")
        self._cut_s = float("-inf")
        self._too_many = most + 1
        """Calls that were there at the last cut."""
        self.seats = most

    def limit(self, most: int) -> None:
        """Have never more than these from now on."""
        self.most = most
        self.seats = min(self.seats, most)

    def late(self, late_ms: float) -> None:
        """A process's loop was late by so much."""
        self._late.append(late_ms)

    @property
    def late_ms(self) -> float:
        """How late loops were of late: nine times out of ten it was less."""
        ordered = sorted(self._late)
        return ordered[int(len(ordered) * 0.9)] if ordered else 0.0

    def judge(self, calls: int, now_s: float) -> int:
        """Return how many calls there may be, with so many in progress."""
        since_s = now_s - self._changed_s
        # Calls that go on are not cut: before they have become as few as there are seats, fewer seats help nobody.
        settled = calls <= self.seats and since_s >= CUT_EVERY_S
        if len(self._late) >= FEW and self.late_ms > LATE_MS and settled:
            self._too_many = min(self.seats, max(calls, 1))
            self.seats = max(1, int(self._too_many * CUT))
            self._changed_s = self._cut_s = now_s
            self._late.clear()
        elif self.seats < self.most and self.late_ms < CALM_MS:
            forgotten = now_s - self._cut_s >= FORGET_S
            bearable = self.most if forgotten else self._too_many - 1
            if self.seats < bearable and since_s >= REGAIN_EVERY_S:
                self.seats = min(self.seats + max(1, int(self.seats * REGAIN_SHARE)), bearable)
                self._changed_s = now_s
            elif self.seats >= bearable and since_s >= GROW_EVERY_S:
                self.seats += 1
                self._changed_s = now_s
        return self.seats
