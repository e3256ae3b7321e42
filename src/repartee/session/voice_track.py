"""The agent's voice on its way out: how it is sent, and the little of it that is ahead of the network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from livekit import rtc

OUT_SAMPLE_RATE_HZ = 24_000
OUT_QUEUE_MS = 200
"""Audio ahead of the network: a loop that is late by less is not heard. A stop drops it."""
VOICE_RED, VOICE_DTX, VOICE_BPS = True, True, 32_000
"""Each packet carries the one before again; silence is not sent; bits per second of the voice itself."""


class Publisher(Protocol):
    """Who publishes it: the room's client."""

    @property
    def source(self) -> rtc.AudioSource | None:
        """The agent's published audio, None while not connected."""

    async def publish_audio(self, audio_frame: rtc.AudioFrame) -> Any:
        """Queue audio; waits while the queue is full."""


def voice_options() -> rtc.TrackPublishOptions:
    """Return how the agent's voice is sent, by what was measured: docs/network.md."""
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, red=VOICE_RED, dtx=VOICE_DTX)
    options.audio_encoding.max_bitrate = VOICE_BPS
    return options


class RoomSink:
    """The gate's audio sink: the agent's track in the room."""

    sample_rate_hz = OUT_SAMPLE_RATE_HZ
    lead_ms: float = OUT_QUEUE_MS

    def __init__(self, client: Publisher, may_speak: Callable[[], bool] = lambda: True) -> None:
        self._client = client
        self._may_speak = may_speak

    async def write(self, pcm: bytes) -> None:
        """Queue 16-bit mono audio; waits while the queue is full."""
        if pcm and self._may_speak():
            frame = rtc.AudioFrame(pcm, self.sample_rate_hz, 1, len(pcm) // 2)
            await self._client.publish_audio(frame)

    def clear(self) -> None:
        """Drop what is queued."""
        if source := self._client.source:
            source.clear_queue()

    def queued_ms(self) -> float:
        """Return how much is queued."""
        return source.queued_duration * 1000 if (source := self._client.source) else 0.0

    async def drain(self) -> None:
        """Wait until the queue has been sent, at most its length and a little."""
        if source := self._client.source:
            try:
                async with asyncio.timeout((OUT_QUEUE_MS + 400) / 1000):
                    await source.wait_for_playout()
            except TimeoutError:
                return
