"""One deadline for a turn: made when it begins, handed down, asked by all that waits, retries or falls back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]
"""Seconds on a clock that only goes forward."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time on an injected clock.

    Attributes:
        at_s: When it is over.
        clock_s: The clock it is on.
    """

    at_s: float
    clock_s: Clock = time.monotonic

    @classmethod
    def after(cls, seconds: float, clock_s: Clock = time.monotonic) -> Deadline:
        """Return the deadline so many seconds from now."""
        return cls(clock_s() + seconds, clock_s)

    def remaining(self) -> float:
        """Return the seconds that are left, never less than 0."""
        return max(0.0, self.at_s - self.clock_s())

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.clock_s() >= self.at_s

    def within(self, limit_s: float, keep_s: float = 0.0) -> float:
        """Return how long one step may take: its own limit, or what is left when `keep_s` is left for others."""
        return max(0.0, min(limit_s, self.remaining() - keep_s))


@dataclass
class TurnBudget:
    """The deadline of the turn that is being answered: set by the bridge, read by the services.

    A turn that is not over yet has none of its own; then each piece of work has `default_s`.

    Attributes:
        default_s: For work outside a reply: the transcription of a pause, a line.
        clock_s: The clock of all its deadlines.
    """

    default_s: float = 8.0
    clock_s: Clock = time.monotonic
    _current: Deadline | None = field(default=None, init=False)

    def begin(self, seconds: float) -> Deadline:
        """A reply was asked for: everything that is done for it has so long."""
        self._current = Deadline.after(seconds, self.clock_s)
        return self._current

    def extend(self, seconds: float) -> None:
        """A tool runs for the reply: what is done after it has at least so long from now."""
        if self._current is not None and self._current.remaining() < seconds:
            self._current = Deadline.after(seconds, self.clock_s)

    def end(self) -> None:
        """The reply is over."""
        self._current = None

    def deadline(self) -> Deadline:
        """Return the present reply's deadline, or one of the default length."""
        return self._current or Deadline.after(self.default_s, self.clock_s)

    def after(self, seconds: float) -> Deadline:
        """Return a deadline of its own length on the same clock."""
        return Deadline.after(seconds, self.clock_s)
