"""A pool of warm processes that share the calls of a worker: one for each core, each with several calls.

A process that dies takes its calls with it and no others; a new one is started in its place. With one call to a
process (`REPARTEE_CALLS_PER_PROCESS=1`) each process ends with its call.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import time
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
PATIENCE_S = 5.0
"""A new call waits for so long for a process with room for it; then one that is ready takes it beyond its share."""
STOP_S = 12.0
SILENT_S = 6.0
"""A process whose loop has not turned for this long hangs, and looks alive to LiveKit."""
WATCH_S = 0.5
RESTART_S = 1.0
"""Between the starts of processes that die before they are ready."""
STEADY_S = 60.0
"""An agent that had a call for so long was not killed by it."""
MAX_SERVED = 1000
"""Calls after which a process is replaced when it is empty: what a library leaks, it leaks so long."""
MAX_GROWN_MB = 250.0
"""And so much: without calls a process then holds this much more than before its first."""


class Call:
    """A call that a process has.

    Attributes:
        spec: What it is.
        child: The process.
        outcome: "ended" or "failed" once it is over; None when its process died with it.
        failure: Why it failed, or why it ended.
        bill: What it cost.
    """

    def __init__(self, spec: SessionSpec, child: Child) -> None:
        self.spec = spec
        self.child = child
        self.outcome: str | None = None
        self.failure = ""
        self.bill: dict[str, Any] | None = None
        self.network: dict[str, int] = {}
        self.providers: list[tuple[str, str, str, int]] = []
        """What failed during the call (`session.troubles.Failures`)."""
        self.told: dict[str, Any] = {}
        """The newest of what the session has told of itself, by kind."""
        self.began_s = time.monotonic()

    @property
    def losses(self) -> int:
        """How many agents it has lost in a row, each before it had it for long, should this one be gone now."""
        return 0 if time.monotonic() - self.began_s >= STEADY_S else self.spec.losses + 1

    @property
    def exit_code(self) -> int | None:
        """How its process ended, None while it lives."""
        return self.child.process.exitcode

    @property
    def entered(self) -> bool:
        """Whether its caller has come into the room; one that was handed over is there already."""
        return "entered" in self.told or self.spec.takeovers > 0

    def tell_stop(self) -> None:
        """Ask the session to end the call."""
        self.child.tell(("stop", self.spec.call_id))

    def tell_hand_over(self) -> None:
        """Ask the session to leave the call to another agent."""
        self.child.tell(("hand over", self.spec.call_id))


class Child:
    """One session process.

    Args:
        process: It.
        pipe: Our end.
        on_over: Told of each call that is over, or lost with the process.
        on_gone: Told that the process is gone, before its calls are.
        on_trouble: Told of a trouble that harms the operator, not the call.
        on_answered: Told of each answer, how many milliseconds the caller waited for it.
    """

    def __init__(
        self,
        process: BaseProcess,
        pipe: Connection,
        on_over: Callable[[Call], None],
        on_gone: Callable[[Child], None] = lambda _: None,
        on_trouble: Callable[[str], None] = lambda _: None,
        on_answered: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._on_trouble = on_trouble
        self._on_answered = on_answered
        self.process = process
        self.pipe = pipe
        self._on_over = on_over
        self._on_gone = on_gone
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.failure = ""
        self.calls: dict[str, Call] = {}
        self.served = 0
        self.retiring = False
        self.late_ms: list[float] = []
        """How late its loop was, at each beat since this was last asked."""
        self.tasks = 0
        """How many its loop had at the last beat."""
        self.grown_mb = 0.0
        """How much more memory it holds without calls than it did before its first."""
        self._began_mb: float | None = None
        self.last_beat_s = time.monotonic()
        loop = asyncio.get_running_loop()
        loop.add_reader(pipe.fileno(), self._read)
        loop.add_reader(process.sentinel, self._gone)

    def take(self, spec: SessionSpec) -> Call:
        """Begin a call."""
        call = self.calls[spec.call_id] = Call(spec, self)
        self.served += 1
        self.tell(spec)
        return call

    def tell(self, message: Any) -> None:
        """Send the process a message; one that is gone hears nothing."""
        with contextlib.suppress(BrokenPipeError, OSError):
            self.pipe.send(message)

    def retire(self) -> None:
        """Have it end when its last call is over."""
        self.retiring = True
        self.tell(("retire", ""))

    @property
    def hangs(self) -> bool:
        """Whether its heartbeat is overdue."""
        return self.ready.done() and time.monotonic() - self.last_beat_s > SILENT_S

    def _read(self) -> None:
        try:
            name, call_id, data = self.pipe.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self.pipe.fileno())
            return
        self.last_beat_s = time.monotonic()
        call = self.calls.get(call_id)
        if name == "ready" and not self.ready.done():
            self._rests(data.get("rests_mb"))
            self.ready.set_result(None)
        elif name == "trouble":
            self._on_trouble(str(data.get("what", "")))
        elif name == "answered":
            self._on_answered(float(data["took_ms"]))
        elif name == "beat":
            self.late_ms = [*self.late_ms[-20:], float(data["late_ms"])]
            self.tasks = int(data.get("tasks", 0))
            self._rests(data.get("rests_mb"))
        elif call is None:
            self.failure = str(data.get("reason", ""))
        elif name in ("ended", "failed"):
            self._heard_end(call, name, data)
        else:
            call.told[name] = data

    def _rests(self, memory_mb: float | None) -> None:
        if memory_mb is None:
            return
        if self._began_mb is None:
            self._began_mb = memory_mb
        self.grown_mb = memory_mb - self._began_mb

    def _heard_end(self, call: Call, name: str, data: dict[str, Any]) -> None:
        call.outcome = name
        call.failure = str(data.get("reason", ""))
        if "bill" in data:
            call.network, call.providers = data.get("network", {}), data.get("providers", [])
            call.bill = data["bill"]  # told first; the process may still have rows to write
            return
        del self.calls[call.spec.call_id]
        self._on_over(call)

    def _gone(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.process.sentinel)
        while _holds_more(self.pipe):
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
        self._on_gone(self)
        for call in list(self.calls.values()):
            del self.calls[call.spec.call_id]
            self._on_over(call)


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
        self.per_process = settings.calls_per_process or -(-settings.max_calls // self.processes)
        self._wanted = settings.warm_processes if self.alone else self.processes + settings.warm_processes
        self._wanted = max(1, self._wanted)
        self._starting: set[asyncio.Task[Child]] = set()
        self._children: list[Child] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
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
        watcher = asyncio.create_task(self._watch(child), name=f"watch {process.pid}")
        self._tasks.add(watcher)
        watcher.add_done_callback(self._tasks.discard)
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
        for _ in range(0 if self._closing else self._wanted - staying):
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
        if self._closing or not coming:
            raise CapacityError("no session process is there", retry_after_s=5)
        at_most_s = patience_s if patience_s > 0 else PATIENCE_S
        await asyncio.wait(coming, timeout=at_most_s, return_when=asyncio.FIRST_COMPLETED)

    def _over(self, call: Call) -> None:
        self.live.pop(call.spec.call_id, None)
        self._on_over(call)

    async def close(self, stop_s: float = STOP_S) -> None:
        """End every process: calls get time to say they end, the rest is killed."""
        self._closing = True
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


def _holds_more(pipe: Connection) -> bool:
    try:
        return pipe.poll()
    except OSError:
        return False


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
