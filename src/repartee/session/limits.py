"""How much and how often: sizes, and token buckets, so that nobody can flood an agent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_BYTES = 8 * 1024
"""Of a message in a call, and of a request for one; LiveKit itself would carry far more."""
MAX_EARLY_BYTES = 1024 * 1024
"""Of what a caller said before the agent was there: ten seconds, even where they are sent as they were sampled."""
MAX_DEPTH = 8
"""Of the JSON in it."""


@dataclass
class TokenBucket:
    """`burst` at once, `per_second` over time."""

    burst: int
    per_second: float
    clock_s: Callable[[], float] = time.monotonic
    _tokens: float = field(init=False)
    _seen_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens = float(self.burst)
        self._seen_s = self.clock_s()

    def admit(self) -> bool:
        """Take one, or say that it is too many."""
        now = self.clock_s()
        self._tokens = min(float(self.burst), self._tokens + (now - self._seen_s) * self.per_second)
        self._seen_s = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


@dataclass
class ChatLimiter(TokenBucket):
    """Typed messages: each is a turn, interrupts, and is paid for."""

    burst: int = 10
    per_second: float = 2.0
    max_characters: int = 2000
