"""Counts what LiveKit's SDK alone keeps of rooms that an agent was in: `python scripts/leak_calls.py`, two minutes.

A caller in a process of its own publishes a microphone, an agent in this one joins and leaves, many times over. Told
is the native memory in use after each dozen calls, per call: by `malloc_info`, so Linux with glibc only.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import multiprocessing
import re
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from livekit import api, rtc
from rich.console import Console

from repartee.cli.instance import livekit_settings
from repartee.cli.livekit import own_livekit
from repartee.worker import LiveKitAccess

CALLS, AT_ONCE = 12, 3
ROUNDS = 3
"""Dozens of calls: what the first loads for all is not counted."""
SETTLE_S = 1.5
ANSWER_S = 15.0
MODES = {
    "the caller leaves, then the agent": (),
    "the same, the agent has an RPC method registered": ("rpc",),
    "the same, and takes it back before it leaves": ("rpc", "take back"),
    "the agent leaves while the caller's microphone is in the room": ("first",),
}
Tell = Callable[[str, str], Awaitable[None]]


def in_use() -> int:
    """Return how many bytes of native memory are taken, in all of glibc's arenas."""
    gc.collect()
    libc = ctypes.CDLL("libc.so.6")
    libc.open_memstream.restype = ctypes.c_void_p
    text, size = ctypes.c_char_p(), ctypes.c_size_t()
    stream = ctypes.c_void_p(libc.open_memstream(ctypes.byref(text), ctypes.byref(size)))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    told = (text.value or b"").decode().rpartition("</heap>")[2]
    libc.free(text)

    def count(pattern: str) -> int:
        return sum(int(found) for found in re.findall(pattern + r'.*?size="(\d+)"', told))

    taken = count('<system type="current"') + count('<total type="mmap"')
    return taken - count('<total type="fast"') - count('<total type="rest"')


def token(access: LiveKitAccess, room: str, identity: str) -> str:
    """Return a token for a room."""
    made = api.AccessToken(access.key, access.secret).with_identity(identity)
    return made.with_grants(api.VideoGrants(room_join=True, room=room)).to_jwt()


class Caller:
    """Somebody with a microphone in a room."""

    def __init__(self) -> None:
        self._room = rtc.Room()
        self._source = rtc.AudioSource(16_000, 1)

    async def join(self, access: LiveKitAccess, room: str) -> None:
        """Come and publish."""
        await self._room.connect(access.url, token(access, room, "caller"))
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self._room.local_participant.publish_track(track, options)

    async def leave(self) -> None:
        """Go."""
        await self._room.disconnect()
        await self._source.aclose()


async def serve_callers(access: LiveKitAccess, pipe: Connection) -> None:
    """Let callers join and leave, as told by the other process."""
    loop, callers = asyncio.get_running_loop(), dict[str, Caller]()
    while (told := await loop.run_in_executor(None, pipe.recv)) is not None:
        what, room = told
        if what == "join":
            callers[room] = Caller()
            await callers[room].join(access, room)
        else:
            await callers.pop(room).leave()
        pipe.send(told)


def callers_main(access: LiveKitAccess, pipe: Connection) -> None:
    """Be the callers' process."""
    asyncio.run(serve_callers(access, pipe))


async def call(access: LiveKitAccess, tell: Tell, how: tuple[str, ...], name: str) -> None:
    """Be an agent in a call."""
    heard, gone, room = asyncio.Event(), asyncio.Event(), rtc.Room()
    room.on("track_subscribed", lambda *_: heard.set())
    room.on("participant_disconnected", lambda *_: gone.set())
    await room.connect(access.url, token(access, name, "agent"))

    async def answer(call: rtc.RpcInvocationData) -> str:
        return call.payload

    if "rpc" in how:
        room.local_participant.register_rpc_method("method", answer)
    await tell("join", name)
    await asyncio.wait_for(heard.wait(), ANSWER_S)
    if "first" not in how:
        await tell("leave", name)
        await asyncio.wait_for(gone.wait(), ANSWER_S)
    if "take back" in how:
        room.local_participant.unregister_rpc_method("method")
    await room.disconnect()
    if "first" in how:
        await tell("leave", name)


async def main() -> None:
    """Hold the calls and print what stays."""
    loop, waiting = asyncio.get_running_loop(), dict[tuple[str, str], asyncio.Future[None]]()
    ours, theirs = multiprocessing.get_context("spawn").Pipe()

    async def tell(what: str, room: str) -> None:
        done = waiting[what, room] = loop.create_future()
        ours.send((what, room))
        await asyncio.wait_for(done, ANSWER_S)

    with tempfile.TemporaryDirectory(prefix="repartee-leak-") as folder:
        async with own_livekit(await livekit_settings(Path(folder))) as access:
            process = multiprocessing.get_context("spawn").Process(target=callers_main, args=(access, theirs))
            process.start()
            loop.add_reader(ours.fileno(), lambda: waiting.pop(ours.recv()).set_result(None))
            try:
                for name, how in MODES.items():
                    await measure(name, partial(call, access, tell, how))
            finally:
                loop.remove_reader(ours.fileno())
                ours.send(None)
                await asyncio.to_thread(process.join)


async def measure(name: str, one: Callable[[str], Awaitable[None]]) -> None:
    """Hold dozens of calls of a kind; print the bytes that stay of each."""
    stay: list[int] = []
    before = 0
    for dozen in range(ROUNDS):
        for first in range(0, CALLS, AT_ONCE):
            await asyncio.gather(*(one(f"{name} {dozen} {first + n}") for n in range(AT_ONCE)))
        await asyncio.sleep(SETTLE_S)  # the engine's threads take connections down, and announce nothing
        before, grown = in_use(), in_use() - before
        stay.append(grown // CALLS)
    Console().print(f"{name}: {', '.join(f'{each:,}' for each in stay[1:])} bytes")


if __name__ == "__main__":
    asyncio.run(main())
