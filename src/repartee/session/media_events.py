"""Events of the media engine: each room is woken for its own, and each piece of a caller's audio once.

LiveKit's SDK has one stream of events in a process. A room takes all of it but media, also what is nobody's business
but another call's: that a piece of an agent's voice was taken (25 times a second while it speaks), a track's
statistics, what happens in another room. With n calls in a process, that is n times n tasks woken for nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from livekit import rtc
from livekit.rtc._ffi_client import FfiClient

NOT_OF_ROOMS = frozenset(
    {"audio_stream_event", "video_stream_event", "capture_audio_frame", "get_stats", "get_session_stats"}
)
"""Answers and media that whoever asked waits for in a queue of their own."""
FRAME_MS = 20
_thread = threading.local()


class _Events:
    """Takes events from the engine's threads in place of the SDK's queue, which gets what has no way of its own.

    Python makes a foreign thread's state, maps a stack for it and throws both away again for each event: 70 times a
    second for each call. The engine has a few such threads, for as long as the process lives, so they stay known. And
    the queue asks each of its subscribers about each event; audio, which most of them are, says itself whose it is.
    """

    def __init__(self, put: Callable[[Any], None]) -> None:
        self._put = put
        self.streams: dict[int, Callable[[Any], None]] = {}
        """Who takes the events of an audio stream, by its handle; called on the engine's thread."""

    def __call__(self, event: Any) -> None:
        if not hasattr(_thread, "kept"):
            _thread.kept = True
            ctypes.pythonapi.PyGILState_Ensure()  # which is never released: the state outlives this event
        if event.WhichOneof("message") == "audio_stream_event":
            take = self.streams.get(event.audio_stream_event.stream_handle)
            if take is not None:
                take(event)
                return
        self._put(event)


def _events() -> _Events:
    """Return the process's events, which from now on come this way."""
    queue = FfiClient.instance.queue
    if not isinstance(queue.put, _Events):
        queue.put = _Events(queue.put)
    return queue.put


def hear_own_events(room: rtc.Room) -> None:
    """Have a connected room hear nothing of other rooms.

    The SDK offers no way to say so. Where a later one is made otherwise, the room hears what it always did.
    """
    _events()
    own, handle = getattr(room, "_ffi_queue", None), getattr(room, "_ffi_handle", None)
    if own is None or handle is None:
        return
    queue, mine = FfiClient.instance.queue, handle.handle

    def wanted(event: Any) -> bool:
        kind = event.WhichOneof("message")
        return event.room_event.room_handle == mine if kind == "room_event" else kind not in NOT_OF_ROOMS

    with queue._lock:  # noqa: SLF001
        queue._subscribers = [  # noqa: SLF001
            (other, loop, wanted if other is own else narrow)
            for other, loop, narrow in queue._subscribers  # noqa: SLF001
        ]


class CallerAudio(rtc.AudioStream):
    """A track's audio, handed on by the task that takes it from the engine.

    The SDK puts each frame into a second queue for a second task: half as much again for each 20 ms.

    Args:
        track: Whose sound it is.
        rate_hz: To be resampled to, mono.
        hear: Takes 16-bit audio.
    """

    def __init__(self, track: rtc.Track, rate_hz: int, hear: Callable[[bytes], Awaitable[None]]) -> None:
        self._hear = hear
        super().__init__(track, sample_rate=rate_hz, num_channels=1, frame_size_ms=FRAME_MS)
        self._take_own()

    def _take_own(self) -> None:
        loop, take = self._loop, self._ffi_queue.put_nowait
        _events().streams[self._ffi_handle.handle] = lambda event: _call_soon(loop, take, event)
        FfiClient.instance.queue.unsubscribe(self._ffi_queue)

    @property
    def task(self) -> Any:
        """The task that hands it on; over when the track is."""
        return self._task

    async def _run(self) -> None:
        try:
            while True:
                event = (await self._ffi_queue.wait_for(self._is_event)).audio_stream_event
                if event.HasField("frame_received"):
                    frame = rtc.AudioFrame._from_owned_info(event.frame_received.frame)  # noqa: SLF001
                    await self._hear(bytes(frame.data))
                elif event.HasField("eos"):
                    break
        finally:
            _events().streams.pop(self._ffi_handle.handle, None)


def _call_soon(loop: asyncio.AbstractEventLoop, take: Callable[[Any], None], event: Any) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody hears it
        loop.call_soon_threadsafe(take, event)
