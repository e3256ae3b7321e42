"""A microphone that gives no sound at all: muted in the system or on the headset, or the wrong one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

UNHEARD_MS = 10_000.0
"""Nothing but digital silence for so long after joining: a room is never so quiet, however well it is filtered."""
SILENT_PEAK = 3
"""Of 16-bit samples: what rounding makes of nothing."""

Microphone = Literal["sounds", "silent"]


class MicrophoneWatch:
    """Waits for the first sound of a microphone.

    Args:
        muted: Says whether the caller muted it where we can see it: then nothing is wrong.
    """

    def __init__(self, muted: Callable[[], bool]) -> None:
        self._muted = muted
        self._waiting_since_ms: float | None = None
        self._state: Microphone | None = None

    def hear(self, pcm: bytes, now_ms: float) -> Microphone | None:
        """Take 16-bit audio; say what is known of the microphone when it becomes known."""
        if self._state == "sounds":
            return None
        samples = np.frombuffer(pcm, dtype=np.int16)
        if samples.size and max(-int(samples.min()), int(samples.max())) > SILENT_PEAK:
            self._state = "sounds"
            return "sounds"
        if self._waiting_since_ms is None or self._muted():
            self._waiting_since_ms = now_ms
        if self._state is None and now_ms - self._waiting_since_ms >= UNHEARD_MS:
            self._state = "silent"
            return "silent"
        return None
