"""What becomes of what happens to a call's network: told to the core, shown, written down, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from repartee.events import CallerLost, CallerReturned, CallerUnheard, Event
from repartee.session.link import Codec
from repartee.session.microphone import Microphone, MicrophoneWatch
from repartee.session.wire import Wire


class Mark(Protocol):
    """Writes a mark on the timeline."""

    def __call__(self, name: str, at_ms: float | None = None, **values: str | float | bool) -> None:
        """Mark that something happened."""


class Network:
    """The network of one call.

    Args:
        mark: Writes a mark on the timeline.
        clock_ms: The call's clock.
    """

    def __init__(self, mark: Mark, clock_ms: Callable[[], float]) -> None:
        self._mark = mark
        self._clock_ms = clock_ms
        self._submit: Callable[[Event], None] = lambda _: None
        self._wire: Wire | None = None
        self._quality = ""
        self._counts: Counter[str] = Counter()

    def connect(self, submit: Callable[[Event], None], wire: Wire) -> None:
        """Say whom the core's facts go to, and where the rest is shown."""
        self._submit, self._wire = submit, wire

    @property
    def counts(self) -> dict[str, int]:
        """How often what happened."""
        return dict(self._counts)

    def lost(self, since_ms: float) -> None:
        """The caller was last heard at that time."""
        self._counts["caller_lost"] += 1
        self._submit(CallerLost(self._clock_ms(), since_ms))

    def returned(self) -> None:
        """They are back."""
        self._counts["caller_returned"] += 1
        if self._wire is not None:
            self._wire.again()
        self._submit(CallerReturned(self._clock_ms()))

    def connection(self, what: str) -> None:
        """The agent's own connection is "reconnecting" or "reconnected"."""
        self._counts[f"agent_{what}"] += 1
        self._mark(f"network.{what}")
        if what == "reconnected" and self._wire is not None:
            self._wire.again()

    def quality(self, quality: str) -> None:
        """LiveKit judges the caller's connection; told when it changes."""
        if quality != self._quality:
            self._quality = quality
            self._counts[f"quality_{quality}"] += 1
            self._mark("network.quality", quality=quality)
            self._show("repartee.network", quality)

    def microphone_of(self, muted: Callable[[], bool]) -> Callable[[bytes, float], None]:
        """Return what listens to a caller's audio for a microphone that gives no sound."""
        watch = MicrophoneWatch(muted)

        def listen(pcm: bytes, at_ms: float) -> None:
            if known := watch.hear(pcm, at_ms):
                self.microphone(known)

        return listen

    def microphone(self, microphone: Microphone) -> None:
        """The caller's microphone is known to give sound, or none."""
        self._mark("caller.microphone", state=microphone)
        self._show("repartee.microphone", microphone)
        if microphone == "silent":
            self._counts["silent_microphone"] += 1
            self._submit(CallerUnheard(self._clock_ms()))

    def codec(self, codec: Codec | None) -> None:
        """The caller's sound is encoded so, or cannot be received."""
        if codec is not None:
            self._mark(
                "network.codec",
                mime=codec.mime,
                rate_hz=codec.rate_hz,
                channels=codec.channels,
                usual=codec.usual,
            )
            if codec.usual:
                return
        else:
            self._mark("network.codec", mime="", usual=False)
        self._counts["unreadable"] += 1
        self._show("repartee.microphone", "unreadable")
        self._submit(CallerUnheard(self._clock_ms()))

    def _show(self, attribute: str, value: str) -> None:
        if self._wire is not None:
            self._wire.show(attribute, value)
