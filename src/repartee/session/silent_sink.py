"""Where a call without a room plays to: nobody hears it."""

from __future__ import annotations

import asyncio

from repartee.session.voice_track import OUT_SAMPLE_RATE_HZ


class SilentSink:
    """An `AudioSink` that has played what it is given: at once, or at the pace of speech.

    Args:
        paced: Audio takes as long as it lasts, so that it can be interrupted.
    """

    sample_rate_hz = OUT_SAMPLE_RATE_HZ
    lead_ms = 0.0

    def __init__(self, *, paced: bool = False) -> None:
        self._paced = paced

    async def write(self, pcm: bytes) -> None:
        """Play it."""
        await asyncio.sleep(len(pcm) / 2 / self.sample_rate_hz if self._paced else 0)

    def clear(self) -> None:
        """Nothing is queued."""

    def queued_ms(self) -> float:
        """Return 0: nothing is queued."""
        return 0.0

    async def drain(self) -> None:
        """Nothing is queued."""
