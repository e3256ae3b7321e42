"""A pool of warm processes that share the calls of a worker: one for each core, each with several calls.

A process that dies takes its calls with it and no others; a new one is started in its place. With one call to a
process (`REPARTEE_CALLS_PER_PROCESS=1`) each process ends with its call.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from repartee.errors import CapacityError
from repartee.processors import cores
from repartee.session import SessionSpec
from repartee.settings import Settings
from repartee.worker.capacity import most_calls
from repartee.worker.child import child_main
from repartee.worker.process import Call, Child
from repartee.worker.tasks import Tasks

log = structlog.get_logger()
READY_S = 60.0
PATIENCE_S = 5.0
"""A new call waits for so long for a process with room for it; then one that is ready takes it beyond its share."""
STOP_S = 12.0
WATCH_S = 0.5
RESTART_S = 1.0
"""Between the starts of processes that die before they are ready."""
MAX_SERVED = 1000
"""Calls after which a process is replaced when it is empty: what a library leaks, it leaks so long."""
MAX_GROWN_MB = 250.0
"""And so much: without calls a process then holds this much more than before its first."""


class Pool:
    """Keeps session processes ready and shares calls out among them.

    Args:
        settings: How many processes, how many calls to each; handed to the sessions.
        agent_path: The agent file.
        on_over: Called when a call is over or its process is gone.
        on_trouble: Called when a call tells of a trouble with the database or the disk.
        on_answered: Called with each answer's wait in milliseconds.
    """

    def __init__(
        self,
        settings: Settings,
        agent_path: Path,
        on_over: Callable[[Call], None],
        on_trouble: Callable[[str], None] = lambda _: None,
        on_answered: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._on_trouble = on_trouble
        self._on_answered = on_answered
        self._settings = settings
        self._agent_path = agent_path
        self._on_over = on_over
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["repartee.worker.preloaded"])
        self.alone = settings.calls_per_process == 1
        self.processes = settings.session_processes or cores()
        self.per_process = settings.calls_per_process or -(-most_calls(settings) // self.processes)
        self._wanted = settings.warm_processes if self.alone else self.processes + settings.warm_processes
        self._wanted = max(1, self._wanted)
        self._starting: set[asyncio.Task[Child]] = set()
        self._children: list[Child] = []
        self._tasks = Tasks()
        self.closing = False
        """Every process ends, and no other is started."""
        self.live: dict[str, Call] = {}

    @property
    def tasks(self) -> int:
        """How many tasks the loops of its processes have."""
        return sum(child.tasks for child in self._children)

    def late_ms(self) -> list[float]:
        """Return how late loops with calls were, since this was last asked."""
        found: list[float] = []
        for child in self._children:
            if child.calls:
                found += child.late_ms
            child.late_ms = []
        return found

    async def start(self) -> None:
        """Start the processes and wait until they are ready.

        Raises:
            CapacityError: One did not become ready.
        """
        self._refill()
        for starting in list(self._starting):
            # Shielded: a start that is under way cannot be called off, only ended when it is through.
            child = await asyncio.shield(starting)
            async with asyncio.timeout(READY_S):
                await child.ready

    async def _spawn(self, after_s: float = 0.0) -> Child:
        await asyncio.sleep(after_s)
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=child_main, args=(theirs, self._settings, self._agent_path), name="repartee-session"
        )
        try:
            # In a thread: the first start waits for the fork server, which takes seconds to import what calls need.
            await asyncio.to_thread(process.start)
        except (OSError, EOFError) as error:  # EOFError: the fork server died; the next start brings another
            ours.close()
            why = getattr(error, "strerror", None) or type(error).__name__
            raise CapacityError(f"a session process cannot be started: {why}", retry_after_s=5) from error
        finally:
            theirs.close()
        child = Child(process, ours, self._over, self._gone, self._on_trouble, self._on_answered)
        self._children.append(child)
        self._tasks.begin(self._watch(child), f"watch {process.pid}")
        return child

    async def _watch(self, child: Child) -> None:
        while not child.exited.done():
            await asyncio.wait({child.exited}, timeout=WATCH_S)
            if child.hangs and not child.exited.done():
                log.error("session.hangs", calls=len(child.calls), pid=child.process.pid)
                child.process.kill()

    def _gone(self, child: Child) -> None:
        """A process is gone: another is on its way before anybody asks where its calls go."""
        self._children.remove(child)
        early = not child.served and not child.retiring
        self._refill(RESTART_S if early else 0.0)

    def _refill(self, after_s: float = 0.0) -> None:
        staying = sum(not child.retiring for child in self._children) + len(self._starting)
        for _ in range(0 if self.closing else self._wanted - staying):
            self._start(after_s)

    def _start(self, after_s: float = 0.0) -> None:
        starting = asyncio.create_task(self._spawn(after_s), name="spawn")
        self._starting.add(starting)
        starting.add_done_callback(self._spawned)

    def _spawned(self, starting: asyncio.Task[Child]) -> None:
        self._starting.discard(starting)
        if not starting.cancelled() and (error := starting.exception()) is not None:
            log.error("session.not_started", error=str(error))
            self._refill(RESTART_S)

    async def take(self, spec: SessionSpec) -> Call:
        """Hand a call to the process that has the fewest, or to the first that becomes ready.

        Raises:
            CapacityError: There is none, and none is on its way.
            TimeoutError: None became ready in time.
        """
        patient_until_s = time.monotonic() + (0.0 if spec.takeovers else PATIENCE_S)
        async with asyncio.timeout(READY_S):
            while (child := self._next(at_once=time.monotonic() >= patient_until_s)) is None:
                await self._another(patient_until_s - time.monotonic())
        call = child.take(spec)
        self.live[spec.call_id] = call
        if self.alone or child.served >= MAX_SERVED or child.grown_mb >= MAX_GROWN_MB:
            child.retire()
            self._refill()
        return call

    def _next(self, *, at_once: bool) -> Child | None:
        """Return a process that is ready and has room; the spare ones come last, as they are for what takes over.

        Args:
            at_once: The caller hears nothing and has waited enough: more than its share is better than to wait.
        """
        staying = [child for child in self._children if not child.retiring]
        ready = [child for child in staying if child.ready.done()]
        room = [child for child in ready if len(child.calls) < self.per_process]
        if not room and not self.alone and (at_once or not self._coming()):
            room = ready
        used = [child for child in room if child in staying[: self.processes]] or room
        return min(used, key=lambda child: len(child.calls), default=None)

    def _coming(self) -> set[asyncio.Future[Any]]:
        """Return what ends when one of the processes that are on their way is ready, or will not be."""
        coming: set[asyncio.Future[Any]] = set(self._starting)
        coming.update(child.ready for child in self._children if not child.ready.done())
        return coming

    async def _another(self, patience_s: float) -> None:
        """Wait until one more process is ready, or will not be, or patience ends.

        Args:
            patience_s: What is left of it. Without any it is waited for anew: others may be on their way by then.
        """
        if self.alone and not self._coming():
            self._start()
        coming = self._coming()
        if self.closing or not coming:
            raise CapacityError("no session process is there", retry_after_s=5)
        at_most_s = patience_s if patience_s > 0 else PATIENCE_S
        await asyncio.wait(coming, timeout=at_most_s, return_when=asyncio.FIRST_COMPLETED)

    def _over(self, call: Call) -> None:
        self.live.pop(call.spec.call_id, None)
        self._on_over(call)

    async def close(self, stop_s: float = STOP_S) -> None:
        """End every process: calls get time to say they end, the rest is killed."""
        self.closing = True
        await asyncio.gather(*self._starting, return_exceptions=True)
        children = list(self._children)
        for child in children:
            child.retiring = True
            child.process.terminate()  # it ends its calls in order first
        if children:
            await asyncio.wait({child.exited for child in children}, timeout=stop_s)
        for child in children:
            if not child.exited.done():
                child.process.kill()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=stop_s)
