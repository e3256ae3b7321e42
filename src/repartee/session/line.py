"""Watches the caller's audio on its way in: does anything come, and how is it encoded.

A process that stood still (stopped, swapped out, starved) has heard nothing and said nothing meanwhile. That is a
break to the caller like any other, but it began when the process stopped, to the moment, and not at the last packet
that was counted before: taken for the line's, it would take back what the caller has heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from livekit import rtc

from repartee.session.link import STALL_MS, Codec, LineReport, Link, PacketWatch

log = structlog.get_logger()
LOOK_EVERY_S = 0.5
RELAXED = 2
"""While packets come only each second look asks the media engine: its answer passes four threads."""
STATS_S = 2.0
FLOWS_MS = 1500.0
"""Sound that came so short a time ago still comes."""


class LineMonitor:
    """Looks at a caller's track until it is cancelled.

    Args:
        link: Told when nothing comes any more, and when it does again.
        clock_ms: The call's clock.
        on_codec: Called once, when it is known how the sound is encoded.
    """

    def __init__(self, link: Link, clock_ms: Callable[[], float], on_codec: Callable[[Codec], None]) -> None:
        self._link = link
        self._clock_ms = clock_ms
        self._on_codec = on_codec
        self.report = LineReport()
        self._grew_ms = -FLOWS_MS

    @property
    def flows(self) -> bool:
        """Whether sound came just now."""
        return self._clock_ms() - self._grew_ms < FLOWS_MS

    async def run(self, track: rtc.Track, publication: rtc.RemoteTrackPublication) -> None:
        """Watch one track. The media engine tells nobody; it can only be asked."""
        watch, codec_told, looks = PacketWatch(self._clock_ms()), False, RELAXED
        while True:
            due_ms = self._clock_ms() + LOOK_EVERY_S * 1000
            await asyncio.sleep(LOOK_EVERY_S)
            now_ms = self._clock_ms()
            looks += 1
            if (still_ms := now_ms - due_ms) >= STALL_MS:
                log.warning("call.stood_still", for_ms=round(still_ms))
                self._link.cut("standstill", due_ms)
                watch, looks = PacketWatch(now_ms), RELAXED
            if looks < RELAXED:
                continue
            try:
                async with asyncio.timeout(STATS_S):
                    stats = await track.get_stats()
            except TimeoutError:
                continue  # the media engine is at a loss itself
            except Exception as error:  # noqa: BLE001 - the SDK raises nothing narrower
                log.warning("line.no_statistics", error=str(error)[:100])
                return  # the track is gone; another one is watched anew
            before, self.report = self.report.packets, LineReport.read(stats)
            if self.report.codec is not None and self.report.packets and not codec_told:
                codec_told = True
                self._on_codec(self.report.codec)
            if watch.stalls(self.report.packets, self._clock_ms(), muted=publication.muted):
                self._link.cut("no_packets", watch.since_ms)
            else:
                self._link.mended("no_packets")
                if self.report.packets > before:
                    self._grew_ms = self._clock_ms()
                    looks = 0 if codec_told and not self._link.broken else RELAXED
                    self._link.mended("quality")
                if self.report.packets > before or publication.muted:
                    self._link.mended("standstill")
