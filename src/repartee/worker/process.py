"""A session process as its worker sees it: what it was given, what it tells, and that it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from repartee.errors import CapacityError
from repartee.session import SessionSpec

SILENT_S = 6.0
"""A process whose loop has not turned for this long hangs, and looks alive to LiveKit."""
STEADY_S = 60.0
"""An agent that had a call for so long was not killed by it."""


def losses_after(kept_s: float, before: int) -> int:
    """Return how many agents in a row a call has lost soon, with one that had it for so long and is lost now.

    Args:
        kept_s: 0 of one that never began: what became of it says nothing about the call.
        before: So many were lost before it.
    """
    return 0 if kept_s >= STEADY_S else before + (kept_s > 0)


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
        return losses_after(time.monotonic() - self.began_s, self.spec.losses)

    @property
    def losses_before(self) -> int:
        """How many it has lost so, where this one only leaves it."""
        return max(0, self.losses - 1)

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


def _holds_more(pipe: Connection) -> bool:
    try:
        return pipe.poll()
    except OSError:
        return False
