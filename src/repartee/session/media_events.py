"""Events of the media engine: each room is woken for its own, and each piece of a caller's audio once.

LiveKit's SDK has one stream of events in a process. A room takes all of it but media, also what is nobody's business
but another call's: that a piece of an agent's voice was taken (25 times a second while it speaks), a track's
statistics, what happens in another room. With n calls in a process, that is n times n tasks woken for nothing.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from livekit import rtc
from livekit.rtc._ffi_client import FfiClient

NOT_OF_ROOMS = frozenset(
    {"audio_stream_event", "video_stream_event", "capture_audio_frame", "get_stats", "get_session_stats"}
)
"""Answers and media that whoever asked waits for in a queue of their own."""
FRAME_MS = 20
_thread = threading.local()


def keep_threads() -> None:
    """Have the engine's threads stay known to Python once they have told an event.

    Python makes a foreign thread's state, maps a stack for it and throws both away again for each event: 70 times a
    second for each call. The engine has a few such threads, for as long as the process lives.
    """
    queue = FfiClient.instance.queue
    put = queue.put
    if isinstance(put, _Keeping):
        return
    queue.put = _Keeping(put)


class _Keeping:
    def __init__(self, put: Callable[[Any], None]) -> None:
        self._put = put

    def __call__(self, event: Any) -> None:
        if not hasattr(_thread, "kept"):
            _thread.kept = True
            ctypes.pythonapi.PyGILState_Ensure()  # which is never released: the state outlives this event
        self._put(event)


def hear_own_events(room: rtc.Room) -> None:
    """Have a connected room hear nothing of other rooms.

    The SDK offers no way to say so. Where a later one is made otherwise, the room hears what it always did.
    """
    keep_threads()
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
            FfiClient.instance.queue.unsubscribe(self._ffi_queue)
