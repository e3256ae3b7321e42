"""What tells that caller and agent cannot hear each other, and what tells of a microphone without sound."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import numpy as np
import pytest
from livekit import rtc
from livekit.rtc._proto import stats_pb2

from repartee.events import CallerLost, CallerReturned, CallerUnheard, Event
from repartee.session import line as line_module
from repartee.session.line import LineMonitor
from repartee.session.link import STALL_MS, Codec, LineReport, Link, PacketWatch
from repartee.session.microphone import UNHEARD_MS, MicrophoneWatch
from repartee.session.network import Network
from repartee.session.wire import Wire


class Clock:
    now_ms = 0.0

    def __call__(self) -> float:
        return self.now_ms


def linked(clock: Clock) -> tuple[Link, list[Any]]:
    told: list[Any] = []
    return Link(
        lambda since_ms: told.append(("lost", since_ms)), lambda: told.append("returned"), clock
    ), told


def test_several_signs_of_one_break_are_one_break() -> None:
    clock = Clock()
    link, told = linked(clock)
    clock.now_ms = 5000
    link.cut("no_packets", 2800)
    link.cut("quality")
    link.cut("left")
    link.mended("no_packets")
    assert link.broken
    link.mended("quality", "left")
    assert told == [("lost", 2800), "returned"]
    link.mended("left")
    assert told[-1] == "returned"
    assert len(told) == 2


def test_a_microphone_that_sends_nothing_is_told_from_a_silent_and_from_a_muted_one() -> None:
    watch = PacketWatch(0)
    assert not watch.stalls(0, 60_000, muted=False), "nothing came yet: it may be a caller who types"
    assert not watch.stalls(1, 61_000, muted=False)
    assert not watch.stalls(2, 61_400, muted=False), "silence is sent five times in two seconds"
    assert not watch.stalls(2, 61_400 + STALL_MS - 1, muted=False)
    assert watch.stalls(2, 61_400 + STALL_MS, muted=False)
    assert watch.since_ms == 61_400
    assert not watch.stalls(2, 90_000, muted=True)
    assert not watch.stalls(2, 90_000 + STALL_MS - 1, muted=False), "and has time when it is opened"


def statistics(packets: int, mime: str = "audio/opus", channels: int = 2) -> list[stats_pb2.RtcStats]:
    codec, inbound = stats_pb2.RtcStats(), stats_pb2.RtcStats()
    codec.codec.rtc.id = "C1"
    codec.codec.codec.mime_type = mime
    codec.codec.codec.clock_rate = 48_000
    codec.codec.codec.channels = channels
    inbound.inbound_rtp.stream.codec_id = "C1"
    inbound.inbound_rtp.received.packets_received = packets
    inbound.inbound_rtp.received.packets_lost = 5
    inbound.inbound_rtp.inbound.total_samples_received = 1000
    inbound.inbound_rtp.inbound.concealed_samples = 20
    inbound.inbound_rtp.inbound.jitter_buffer_delay = 48.0
    inbound.inbound_rtp.inbound.jitter_buffer_emitted_count = 960
    return [codec, inbound]


def test_the_media_engine_s_report_is_read() -> None:
    report = LineReport.read(statistics(96))
    assert report == LineReport(96, 5, 0.02, 50.0, Codec("audio/opus", 48_000, 2))
    assert report.codec is not None
    assert report.codec.usual
    strange = LineReport.read(statistics(96, "audio/ac3")).codec
    assert strange is not None
    assert not strange.usual
    assert LineReport.read([]) == LineReport()


async def test_a_line_that_stalls_is_lost_since_its_last_packet_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line_module, "LOOK_EVERY_S", 0)
    clock = Clock()
    codecs: list[Codec] = []
    link, told = linked(clock)
    packets = iter([10, 35, 60, 60, 60, 60, 60, 60, 61])

    class Track:
        async def get_stats(self) -> list[stats_pb2.RtcStats]:
            try:
                count = next(packets)
            except StopIteration:
                await asyncio.Event().wait()
                raise
            clock.now_ms += 500
            return statistics(count)

    class Publication:
        muted = False

    monitor = LineMonitor(link, clock, codecs.append)
    watching = asyncio.create_task(
        monitor.run(cast("rtc.Track", Track()), cast("rtc.RemoteTrackPublication", Publication()))
    )
    async with asyncio.timeout(5):
        while len(told) < 2:  # noqa: ASYNC110 - the monitor is what is waited for
            await asyncio.sleep(0)
    watching.cancel()
    assert told == [("lost", 1500), "returned"]
    assert codecs == [Codec("audio/opus", 48_000, 2)]
    assert monitor.report.packets == 61


async def test_a_process_that_stood_still_is_no_line_that_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "LOOK_EVERY_S", 0)
    clock = Clock()
    link, told = linked(clock)
    done = asyncio.Event()

    def stand_still() -> None:
        clock.now_ms += 5000

    class Track:
        looks = 0

        async def get_stats(self) -> list[stats_pb2.RtcStats]:
            self.looks += 1
            if self.looks == 9:
                done.set()
                await asyncio.Event().wait()
            if self.looks == 3:
                asyncio.get_running_loop().call_soon(stand_still)
            clock.now_ms += 500
            # What came in the meantime is counted one look later.
            return statistics([0, 10, 35, 60, 60, 310, 335, 360, 385][self.looks])

    class Publication:
        muted = False

    watching = asyncio.create_task(
        LineMonitor(link, clock, lambda _: None).run(
            cast("rtc.Track", Track()), cast("rtc.RemoteTrackPublication", Publication())
        )
    )
    await asyncio.wait_for(done.wait(), 5)
    watching.cancel()
    assert told == [("lost", 1500), "returned"], "since it stood still, not since a packet before"
    assert not link.broken


ZEROS, NOISE = bytes(640), np.full(320, 9, np.int16).tobytes()


def test_a_microphone_without_sound_is_told_once_and_so_is_its_first_sound() -> None:
    watch = MicrophoneWatch(lambda: False)
    told = [watch.hear(ZEROS, at_ms) for at_ms in range(0, int(UNHEARD_MS) + 2000, 20)]
    assert told.index("silent") * 20 == UNHEARD_MS
    assert told.count("silent") == 1
    assert watch.hear(NOISE, 20_000) == "sounds"
    assert watch.hear(NOISE, 20_020) is None
    assert watch.hear(ZEROS, 90_000) is None, "silence in a call is nothing to speak of"


def test_one_that_is_muted_where_everybody_sees_it_is_no_trouble() -> None:
    muted = True
    watch = MicrophoneWatch(lambda: muted)
    assert {watch.hear(ZEROS, at_ms) for at_ms in range(0, 30_000, 20)} == {None}
    muted = False
    assert watch.hear(ZEROS, 30_000) is None
    assert watch.hear(ZEROS, 30_000 + UNHEARD_MS) == "silent"


class Shown:
    def __init__(self) -> None:
        self.attributes: list[tuple[str, str]] = []
        self.again_times = 0

    def show(self, attribute: str, value: str) -> None:
        self.attributes.append((attribute, value))

    def again(self) -> None:
        self.again_times += 1


def test_what_happens_is_told_shown_marked_and_counted() -> None:
    clock, shown = Clock(), Shown()
    marks: list[tuple[str, dict[str, Any]]] = []
    events: list[Event] = []

    def mark(name: str, at_ms: float | None = None, **values: Any) -> None:
        marks.append((name, values))

    network = Network(mark, clock)
    network.connect(events.append, cast("Wire", shown))
    clock.now_ms = 7000
    for quality in ("excellent", "poor", "poor", "lost"):
        network.quality(quality)
    network.lost(5000)
    network.connection("reconnecting")
    network.connection("reconnected")
    network.returned()
    network.codec(Codec("audio/pcmu", 8000, 1))
    network.microphone("silent")
    network.codec(Codec("audio/ac3", 48_000, 6))
    network.codec(None)
    assert events == [
        CallerLost(7000, 5000),
        CallerReturned(7000),
        *[CallerUnheard(7000)] * 3,
    ]
    assert shown.attributes == [
        ("repartee.network", "excellent"),
        ("repartee.network", "poor"),
        ("repartee.network", "lost"),
        ("repartee.microphone", "silent"),
        ("repartee.microphone", "unreadable"),
        ("repartee.microphone", "unreadable"),
    ]
    assert shown.again_times == 2, (
        "a server that was started again has forgotten it, a caller who is back too"
    )
    assert network.counts == {
        "quality_excellent": 1,
        "quality_poor": 1,
        "quality_lost": 1,
        "caller_lost": 1,
        "caller_returned": 1,
        "agent_reconnecting": 1,
        "agent_reconnected": 1,
        "silent_microphone": 1,
        "unreadable": 2,
    }
    assert ("network.codec", {"mime": "audio/pcmu", "rate_hz": 8000, "channels": 1, "usual": True}) in marks
