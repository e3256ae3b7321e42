"""A small pool of warm processes; each takes one call and ends. A crash takes one call, never its neighbours."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import structlog

from repartee.errors import CapacityError
from repartee.session import SessionSpec
from repartee.settings import Settings
from repartee.worker.child import child_main

log = structlog.get_logger()
READY_S = 60.0
STOP_S = 12.0
SILENT_S = 15.0
"""A session that has not beaten for this long hangs, and looks alive to LiveKit."""


class Child:
    """One session process.

    Args:
        process: The process.
        pipe: What it tells and is told by.
        on_trouble: Called when it tells of a trouble that harms the operator, not the call.
    """

    def __init__(
        self, process: BaseProcess, pipe: Connection, on_trouble: Callable[[str], None] = lambda _: None
    ) -> None:
        self._on_trouble = on_trouble
        self.process = process
        self.pipe = pipe
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.outcome: str | None = None
        self.failure = ""
        self.bill: dict[str, Any] | None = None
        self.providers: list[tuple[str, str, str, int]] = []
        """What failed during the call (`session.troubles.Failures`)."""
        self.last_beat_s = time.monotonic()
        self.spec: SessionSpec | None = None
        loop = asyncio.get_running_loop()
        loop.add_reader(pipe.fileno(), self._read)
        loop.add_reader(process.sentinel, self._gone)

    def _read(self) -> None:
        try:
            name, data = self.pipe.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self.pipe.fileno())
            return
        self.last_beat_s = time.monotonic()
        if name == "ready" and not self.ready.done():
            self.ready.set_result(None)
        elif name == "trouble":
            self._on_trouble(str(data.get("what", "")))
        elif name in ("ended", "failed"):
            self.outcome = name
            self.failure = str(data.get("reason", "")) if isinstance(data, dict) else str(data)
            if isinstance(data, dict) and "bill" in data:
                self.bill = data["bill"]
                self.providers = data.get("providers", [])

    def _gone(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.process.sentinel)
        while self.pipe.poll():
            before = self.last_beat_s
            self._read()
            if self.last_beat_s == before:
                break
        loop.remove_reader(self.pipe.fileno())
        self.pipe.close()
        self.process.join()
        if not self.ready.done():
            self.ready.set_exception(
                CapacityError(self.failure or "a session process ended early", retry_after_s=5)
            )
            self.ready.exception()  # looked at: nobody may be waiting for a spare process
        self.exited.set_result(self.process.exitcode or 0)

    def tell_stop(self) -> None:
        """Ask the session to end its call."""
        with contextlib.suppress(BrokenPipeError, OSError):
            self.pipe.send("stop")

    @property
    def hangs(self) -> bool:
        """Whether a call's heartbeat is overdue."""
        return self.spec is not None and time.monotonic() - self.last_beat_s > SILENT_S


class Pool:
    """Keeps `settings.warm_processes` ready.

    Args:
        settings: Handed to the sessions.
        agent_path: The agent file.
        on_exit: Called when a process that had a call is gone.
        on_trouble: Called when one tells of a trouble with the database or the disk.
    """

    def __init__(
        self,
        settings: Settings,
        agent_path: Path,
        on_exit: Callable[[Child], None],
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_trouble = on_trouble
        self._settings = settings
        self._agent_path = agent_path
        self._on_exit = on_exit
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["repartee.worker.child", "repartee.session.session"])
        self._warm: deque[asyncio.Task[Child]] = deque()
        self._idle: set[Child] = set()
        self._watchers: set[asyncio.Task[None]] = set()
        self.live: dict[str, Child] = {}

    async def start(self) -> None:
        """Start the warm processes and wait until they are ready.

        Raises:
            CapacityError: One did not become ready.
        """
        self._refill()
        for starting in list(self._warm):
            # Shielded: a start that is under way cannot be called off, only ended when it is through.
            child = await asyncio.shield(starting)
            async with asyncio.timeout(READY_S):
                await child.ready

    async def _spawn(self) -> Child:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=child_main,
            args=(theirs, self._settings, self._agent_path),
            name="repartee-session",
            daemon=True,  # whatever goes wrong, none outlives the worker
        )
        # In a thread: the first start waits for the fork server, which takes seconds to import what calls need.
        await asyncio.to_thread(process.start)
        theirs.close()
        child = Child(process, ours, self._on_trouble)
        self._idle.add(child)
        watcher = asyncio.create_task(self._watch(child), name="watch")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        return child

    async def _watch(self, child: Child) -> None:
        while not child.exited.done():
            await asyncio.wait({child.exited}, timeout=5.0)
            if child.hangs and not child.exited.done():
                log.error("session.hangs", call_id=child.spec.call_id if child.spec else None)
                child.process.kill()
        self._idle.discard(child)
        if child.spec is not None:
            self.live.pop(child.spec.call_id, None)
            self._on_exit(child)

    def _refill(self) -> None:
        while len(self._warm) < max(1, self._settings.warm_processes):
            self._warm.append(asyncio.create_task(self._spawn(), name="spawn"))

    async def take(self, spec: SessionSpec) -> Child:
        """Hand a call to a warm process.

        Raises:
            CapacityError: No process became ready.
        """
        async with asyncio.timeout(READY_S):
            child = await self._next()
            await child.ready
        self._idle.discard(child)
        child.spec = spec
        child.last_beat_s = time.monotonic()
        self.live[spec.call_id] = child
        child.pipe.send(spec)
        self._refill()
        return child

    async def _next(self) -> Child:
        while self._warm:
            child = await asyncio.shield(self._warm.popleft())
            if not child.exited.done():  # one that died while it waited is nobody's call
                return child
        return await self._spawn()

    async def close(self) -> None:
        """End every process: calls get time to say they end, the rest is killed."""
        await asyncio.gather(*self._warm, return_exceptions=True)
        self._warm.clear()
        children = [*self._idle, *self.live.values()]
        for child in self._idle:
            child.process.terminate()
        for child in self.live.values():
            child.tell_stop()
        if children:
            await asyncio.wait({child.exited for child in children}, timeout=STOP_S)
        for child in children:
            if not child.exited.done():
                child.process.kill()
        if self._watchers:
            await asyncio.wait(set(self._watchers), timeout=STOP_S)
