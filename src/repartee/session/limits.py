"""What a participant may send: sizes and rates, so that nobody can flood an agent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class ChatLimiter:
    """A token bucket for typed messages: `burst` at once, `per_second` over time."""

    max_characters: int = 2000
    burst: int = 10
    per_second: float = 2.0
    clock_s: Callable[[], float] = time.monotonic
    _tokens: float = field(init=False)
    _seen_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens = float(self.burst)
        self._seen_s = self.clock_s()

    def admit(self) -> bool:
        """Take one message, or say that it is too many."""
        now = self.clock_s()
        self._tokens = min(float(self.burst), self._tokens + (now - self._seen_s) * self.per_second)
        self._seen_s = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
