"""Rooms of one process hear their own events; a caller's audio is handed on as it comes."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest
from livekit import rtc
from livekit.rtc._ffi_client import FfiClient
from livekit.rtc._proto import ffi_pb2

from repartee.session.media_events import CallerAudio, _events, hear_own_events

MINE, ANOTHER = 7, 8


def event(kind: str, **fields: Any) -> ffi_pb2.FfiEvent:
    made = ffi_pb2.FfiEvent()
    part = getattr(made, kind)
    part.SetInParent()
    for name, value in fields.items():
        setattr(part, name, value)
    return made


async def test_a_room_hears_what_is_its_own_and_what_was_asked_for() -> None:
    queue = FfiClient.instance.queue
    mine, another = queue.subscribe(), queue.subscribe()
    room = SimpleNamespace(_ffi_queue=mine, _ffi_handle=SimpleNamespace(handle=MINE))
    told = [
        event("room_event", room_handle=ANOTHER),
        event("capture_audio_frame", async_id=1),
        event("get_stats", async_id=2),
        event("audio_stream_event", stream_handle=3),
        event("room_event", room_handle=MINE),
        event("publish_track", async_id=4),
        event("rpc_method_invocation", local_participant_handle=5),
    ]
    try:
        hear_own_events(cast("rtc.Room", room))
        for one in told:
            queue.put(one)
        heard = [await asyncio.wait_for(mine.get(), 5) for _ in told[4:]]
        assert heard == told[4:]
        assert mine.empty()
        assert [await asyncio.wait_for(another.get(), 5) for _ in told] == told, (
            "who listens to all still does"
        )
    finally:
        queue.unsubscribe(mine)
        queue.unsubscribe(another)


def test_a_thread_of_the_engine_s_is_made_known_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    monkeypatch.setattr(
        "repartee.session.media_events.ctypes",
        SimpleNamespace(
            pythonapi=SimpleNamespace(PyGILState_Ensure=lambda: made.append(threading.get_ident()))
        ),
    )
    queue = FfiClient.instance.queue
    monkeypatch.setattr(queue, "put", type(queue).put.__get__(queue))
    assert _events() is _events() is queue.put
    told = event("publish_track", async_id=4)

    def tell() -> None:
        queue.put(told)
        queue.put(told)

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for pool in (one, other, one):
            pool.submit(tell).result()
    assert len(made) == len(set(made)) == 2


def test_a_room_that_keeps_its_events_elsewhere_is_left_as_it_is() -> None:
    hear_own_events(cast("rtc.Room", SimpleNamespace()))


async def test_audio_is_handed_on_in_order_until_the_track_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []

    async def hear(pcm: bytes) -> None:
        heard.append(pcm)

    def frame(owned: Any) -> rtc.AudioFrame:
        return rtc.AudioFrame(bytes([owned.handle.id]) * 640, 16_000, 1, 320)

    monkeypatch.setattr(rtc.AudioFrame, "_from_owned_info", staticmethod(frame))
    stream = CallerAudio.__new__(CallerAudio)
    stream._hear = hear
    stream._loop = asyncio.get_running_loop()
    stream._ffi_handle = cast("Any", SimpleNamespace(handle=MINE))
    queue = FfiClient.instance.queue
    everything = queue.subscribe()
    stream._ffi_queue = queue.subscribe()
    early = event("audio_stream_event", stream_handle=MINE)
    early.audio_stream_event.frame_received.frame.handle.id = 1
    queue.put(early)
    stream._take_own()
    for handle, sound in ((ANOTHER, 2), (MINE, 3)):
        one = event("audio_stream_event", stream_handle=handle)
        one.audio_stream_event.frame_received.frame.handle.id = sound
        queue.put(one)
    over = event("audio_stream_event", stream_handle=MINE)
    over.audio_stream_event.eos.SetInParent()
    queue.put(over)
    await asyncio.wait_for(stream._run(), 5)
    queue.unsubscribe(everything)
    assert heard == [b"\x01" * 640, b"\x03" * 640]
    assert everything.qsize() == 2, "and nobody else is asked whether it is theirs"
    queue.put(over)
    assert MINE not in _events().streams, "who has ended is told nothing more"
