"""What is written down of a call's network: marks on the timeline, and what is counted for the metrics."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from repartee.session.link import Codec


class Mark(Protocol):
    """Writes a mark on the timeline."""

    def __call__(self, name: str, at_ms: float | None = None, **values: str | float | bool) -> None:
        """Mark that something happened."""


class NetworkNotes:
    """The network of one call.

    Args:
        mark: Writes a mark on the timeline.
    """

    def __init__(self, mark: Mark) -> None:
        self._mark = mark
        self._quality = ""
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """How often what happened."""
        return dict(self._counts)

    def count(self, what: str) -> None:
        """Something happened that is marked elsewhere."""
        self._counts[what] += 1

    def connection(self, what: str) -> None:
        """The agent's own connection is "reconnecting" or "reconnected"."""
        self._counts[f"agent_{what}"] += 1
        self._mark(f"network.{what}")

    def quality(self, quality: str) -> None:
        """LiveKit judges the caller's connection; told when it changes."""
        if quality != self._quality:
            self._quality = quality
            self._counts[f"quality_{quality}"] += 1
            self._mark("network.quality", quality=quality)

    def codec(self, codec: Codec | None) -> None:
        """The caller's sound is encoded so, or cannot be received."""
        if codec is None:
            self._counts["unreadable"] += 1
            self._mark("network.codec", mime="", usual=False)
            return
        self._counts["unreadable"] += not codec.usual
        self._mark(
            "network.codec",
            mime=codec.mime,
            rate_hz=codec.rate_hz,
            channels=codec.channels,
            usual=codec.usual,
        )
