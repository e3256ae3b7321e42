"""What a case may break, and how: vendors, the call's process, the LiveKit server, the database, the disk."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from livekit import rtc

from repartee.errors import MediaError
from repartee.simulator.caller import Caller
from repartee.simulator.faults import Fault, FaultProxy, Match, Plan
from repartee.simulator.invitation import Invitation, RefusedError
from repartee.simulator.systems import System

DATA_TOPIC = "rtvi-ai"
FLOOD_BATCH = 100
COME_AGAIN = "told when to come again"


@dataclass
class Scene:
    """A call in progress and all that stands around it.

    Attributes:
        proxy: Before the vendors.
        system: Who takes the call.
        caller: Who calls.
        kill_livekit: Ends the LiveKit server without a word.
        start_livekit: Starts it again.
        stop_database: Stops the database; None where there is none to stop.
        start_database: Starts it again.
        spool: A small disk of its own that rows wait on; None where there is none.
        stranger: Returns a place in a room for somebody who is not the caller; None where nobody can give one.
        struck_s: When the fault was felt first, in the call's recording.
        notes: What else is worth knowing.
    """

    proxy: FaultProxy
    system: System
    caller: Caller
    kill_livekit: Callable[[], Awaitable[None]]
    start_livekit: Callable[[], Awaitable[None]]
    stop_database: Callable[[], None] | None = None
    start_database: Callable[[], None] | None = None
    spool: Path | None = None
    stranger: Callable[[str], Invitation] | None = None
    struck_s: float | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    _work: set[asyncio.Task[None]] = field(default_factory=set)

    def struck(self) -> None:
        """The fault happens now."""
        if self.struck_s is None:
            self.struck_s = self.caller.now_s()

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something while the call goes on."""
        self._work.add(asyncio.create_task(work, name="fault"))

    async def calm(self) -> None:
        """End what goes wrong: the vendors at once, the rest when it has run its course."""
        self.proxy.plan = Plan()
        await asyncio.gather(*self._work)
        self._work.clear()


Act = Callable[[Scene], Awaitable[None]]


def vendors(*faults: Fault) -> Act:
    """Break requests to vendors from now on, until the turn is over."""

    async def act(scene: Scene) -> None:
        def felt(_: object) -> None:
            scene.struck()

        scene.proxy.on_strike = felt
        scene.proxy.plan = Plan(faults)

    return act


def cut(match: Match) -> Act:
    """Reset the connections that are open."""

    async def act(scene: Scene) -> None:
        if scene.proxy.cut(match):
            scene.struck()

    return act


def hold(match: Match, for_s: float) -> Act:
    """Let nothing pass on the connections that are open."""

    async def act(scene: Scene) -> None:
        if scene.proxy.hold(match, for_s):
            scene.struck()

    return act


def call_process(system: System) -> psutil.Process:
    """Return the process that is in the call: the one with sockets for media.

    Raises:
        MediaError: There is none.
    """
    pid = system.pid()
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)] if pid is not None else []
    for process in reversed(tree):
        try:
            if any(c.type == socket.SOCK_DGRAM for c in process.net_connections("inet")):
                return process
        except psutil.Error:
            continue
    raise MediaError(f"no process of {system.name} is in a call")


async def kill_call(scene: Scene) -> None:
    """Kill the process that is in the call."""
    process = await asyncio.to_thread(call_process, scene.system)
    scene.struck()
    process.kill()


def freeze_call(for_s: float) -> Act:
    """Stop the process that is in the call, and let it go on after a while."""

    async def act(scene: Scene) -> None:
        process = await asyncio.to_thread(call_process, scene.system)

        async def go_on() -> None:
            await asyncio.sleep(for_s)
            if process.is_running():
                process.send_signal(signal.SIGCONT)

        scene.struck()
        process.send_signal(signal.SIGSTOP)
        scene.beside(go_on())

    return act


def restart_livekit(down_s: float) -> Act:
    """Kill the LiveKit server, and start it again after a while."""

    async def act(scene: Scene) -> None:
        async def back() -> None:
            await asyncio.sleep(down_s)
            await scene.start_livekit()

        scene.struck()
        await scene.kill_livekit()
        scene.beside(back())

    return act


def without_database(for_s: float) -> Act:
    """Stop the database, and start it again after a while."""

    async def act(scene: Scene) -> None:
        stop, start = scene.stop_database, scene.start_database
        assert stop is not None  # noqa: S101 - the case says it needs one
        assert start is not None  # noqa: S101

        async def back() -> None:
            await asyncio.sleep(for_s)
            await asyncio.to_thread(start)

        scene.struck()
        await asyncio.to_thread(stop)
        scene.beside(back())

    return act


async def fill_spool(scene: Scene) -> None:
    """Fill the disk that rows wait on to its last byte."""
    assert scene.spool is not None  # noqa: S101 - the case says it needs one
    scene.struck()
    await asyncio.to_thread(_fill, scene.spool / "full")


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as out:
        for size in (1 << 16, 1 << 10, 1):
            try:
                while True:
                    out.write(os.urandom(size))
            except OSError:
                continue


def flood(messages: int, *, by_stranger: bool = False) -> Act:
    """Send so many packets of data to the agent, as fast as they go: the caller, or somebody else in the room."""

    async def act(scene: Scene) -> None:
        payload = b'{"label": "rtvi-ai", "type": "client-message", "id": "0", "data": {"t": "flood"}}'

        async def send(publish: Callable[[bytes, str], Awaitable[None]]) -> None:
            for _ in range(0, messages, FLOOD_BATCH):
                await asyncio.gather(*(publish(payload, DATA_TOPIC) for _ in range(FLOOD_BATCH)))

        async def send_in_between() -> None:
            assert scene.stranger is not None  # noqa: S101 - the suite knows the server's key
            place, room = scene.stranger(scene.caller.room_name), rtc.Room()
            await room.connect(place.server_url, place.token)
            me = room.local_participant
            await send(lambda data, topic: me.publish_data(data, reliable=True, topic=topic))
            await room.disconnect()

        scene.struck()
        scene.beside(send_in_between() if by_stranger else send(scene.caller.send_data))

    return act


def crowd(calls: int) -> Act:
    """Let so many others call at the same moment, and tell how each fared."""

    async def act(scene: Scene) -> None:
        scene.struck()
        scene.notes["others"] = await asyncio.gather(*(_other(scene.system) for _ in range(calls)))

    return act


async def _other(system: System) -> str:
    """Call, wait for the greeting, and leave; say in words what came of it."""
    caller = Caller()
    try:
        await caller.join(await system.invite())
        heard = await caller.wait_for_answer(5.0)
    except RefusedError as error:
        return f"refused: {error.status}, {COME_AGAIN if error.retry_after_s else 'and not told when to come again'}"
    except MediaError as error:
        return f"failed: {error}"
    finally:
        await caller.leave()
    return "answered" if heard else "silence"
