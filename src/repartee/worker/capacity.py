"""How many calls a worker takes: as many as it is allowed, fewer while its processes are late.

A process whose event loop is late plays its audio late; that is heard before the processor is full. So the seats go
down at once when a loop is late, and come back one by one.
"""

from __future__ import annotations

from collections import deque

LATE_MS = 30.0
"""From here on there are too many calls."""
CALM_MS = 10.0
CUT = 0.8
CUT_EVERY_S = 5.0
"""What a cut has brought must show first."""
GROW_EVERY_S = 30.0
SAMPLES = 80
FEW = 40


class Capacity:
    """The seats of one worker.

    Args:
        most: Never more than these.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._late: deque[float] = deque(maxlen=SAMPLES)
        self._changed_s = float("-inf")
        self.seats = most

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
        if len(self._late) >= FEW and self.late_ms > LATE_MS and since_s >= CUT_EVERY_S:
            self.seats = max(1, int(min(self.seats, max(calls, 1)) * CUT))
            self._changed_s = now_s
            self._late.clear()
        elif self.seats < self._most and self.late_ms < CALM_MS and since_s >= GROW_EVERY_S:
            self.seats += 1
            self._changed_s = now_s
        return self.seats
