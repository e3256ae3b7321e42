"""What calls leave in native memory: LiveKit's engine keeps a whole room for a small mistake."""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio
from livekit import api, rtc
from pipecat.utils.asyncio.task_manager import TaskManager

from repartee.cli.instance import livekit_settings
from repartee.cli.livekit import own_livekit
from repartee.session.room import RoomTransport
from repartee.worker import LiveKitAccess
from tests.session.test_traps import hooks

pytestmark = pytest.mark.livekit
AT_ONCE = 4
ROOM_S = 20.0
SETTLE_S = 0.5
A_ROOM = 490_000
"""Bytes that a room takes which the engine keeps."""


_COUNTS = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class _Malloc(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _COUNTS)


def in_use() -> int:
    """Return how many bytes of native memory are taken."""
    gc.collect()
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        pytest.skip("this machine's C library does not say how much memory is taken")
    mallinfo.restype = _Malloc
    counted = mallinfo()
    return int(counted.uordblks + counted.hblkhd)


@pytest_asyncio.fixture
async def livekit(tmp_path: Path) -> AsyncIterator[LiveKitAccess]:
    async with own_livekit(await livekit_settings(tmp_path)) as access:
        yield access


def token(livekit: LiveKitAccess, room: str, identity: str) -> str:
    made = api.AccessToken(livekit.key, livekit.secret).with_identity(identity)
    return made.with_grants(api.VideoGrants(room_join=True, room=room)).to_jwt()


async def call(livekit: LiveKitAccess, room: str) -> None:
    """Be in a room as the agent of a call is until somebody hears it, and leave it."""
    heard = asyncio.Event()

    async def answer(payload: str) -> str:
        return payload

    wanted = replace(hooks(), rpc={"repartee.voice": answer}, caller_ready=lambda _: heard.set())
    agent_token = token(livekit, room, "agent")
    client = RoomTransport(livekit.url, agent_token, room, hooks=wanted, caller_identity=None).client
    await client.setup(cast("Any", SimpleNamespace(task_manager=TaskManager(), audio_out_sample_rate=24_000)))
    caller = rtc.Room()
    await caller.connect(livekit.url, token(livekit, room, "caller"))
    left = asyncio.Event()
    caller.on("participant_disconnected", lambda _: left.set())
    async with asyncio.timeout(ROOM_S):
        await client.connect()
        await heard.wait()
        await client.disconnect()
        await left.wait()
        await caller.disconnect()


async def settled() -> int:
    """Return what is taken once the engine's threads are done with what was left; they announce nothing."""
    async with asyncio.timeout(ROOM_S):
        before = in_use()
        while True:
            await asyncio.sleep(SETTLE_S)
            now = in_use()
            if abs(now - before) < A_ROOM / 10:
                return now
            before = now


async def test_a_room_that_is_left_is_not_kept(livekit: LiveKitAccess) -> None:
    async def calls() -> int:
        await asyncio.gather(*(call(livekit, f"room-{number}") for number in range(AT_ONCE)))
        return await settled()

    first = await calls()  # what the first ones load for all is no growth
    await calls()
    grown = await calls() - first
    assert grown < 2 * AT_ONCE * A_ROOM / 3, f"{grown} bytes stay of {2 * AT_ONCE} calls"
