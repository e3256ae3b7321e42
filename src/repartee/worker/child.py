"""Inside a session process: warm up, then take calls, several at a time, until the parent says that it is enough.

A process outlives its parent while it has calls: who talks on the telephone need not know that a worker died.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# Read by numpy's and ONNX's native code when they load: threads of many calls on few cores starve each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import psutil
import structlog
import uvloop

from repartee.errors import ReparteeError, StoreError
from repartee.providers.seal import sealed
from repartee.session import SessionSpec
from repartee.session.fence import Fence
from repartee.session.keeping import keeping
from repartee.settings import Settings
from repartee.store import Seats
from repartee.telemetry.calling import calling
from repartee.worker.logs import quiet_pipecat, set_up_logs
from repartee.worker.seating import KEEP_S, held

BEAT_S = 0.25
log = structlog.get_logger()


def child_main(pipe: Connection, settings: Settings, agent_path: Path) -> None:
    """Serve calls.

    From the parent: a `SessionSpec` begins a call, `("stop", call_id)` ends one, `("retire", "")` ends the process
    when its last call is over. To the parent: `(name, call_id, data)` with the name "ready", "beat", "failed", or
    what a session tells: "connected", "ended".
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's; it ends calls in order
    set_up_logs(settings.log_level, settings.secrets, in_call=True)
    quiet_pipecat()
    from repartee.session.prewarming import prewarm  # noqa: PLC0415 - the worker itself does without Pipecat

    try:
        prewarm(settings, agent_path)
        # With what it holds before its first call: what calls leave behind is reckoned from there.
        pipe.send(("ready", "", {"rests_mb": _memory_mb()}))
    except BrokenPipeError:
        return
    except ReparteeError as error:
        pipe.send(("failed", "", {"reason": str(error)}))
        sys.exit(error.exit_code)
    # uvloop costs half of asyncio's own per wake-up, but connects where a seal cannot see it.
    loops = asyncio.new_event_loop if sealed() else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(_serve(pipe, settings))


async def _serve(pipe: Connection, settings: Settings) -> None:
    await _Sessions(pipe, settings).serve()


class _Call:
    """A call of this process."""

    def __init__(self, spec: SessionSpec, seats: Seats) -> None:
        self.spec = spec
        self.stop = asyncio.Event()
        self.held = held(spec)
        self.fence = Fence(lambda: seats.holds(self.held) if spec.epoch else True)

    def end(self, *, handing_over: bool = False) -> None:
        """End it, or only this agent's part in it."""
        if handing_over:
            self.fence.lost.set()
        self.stop.set()


class _Sessions:
    """The calls of this process."""

    def __init__(self, pipe: Connection, settings: Settings) -> None:
        self._pipe = pipe
        self._settings = settings
        self._seats = Seats(keeping(settings).store)
        self._calls: dict[asyncio.Task[None], _Call] = {}
        self._done = asyncio.Event()
        self._retiring = False

    async def serve(self) -> None:
        """Take calls until told to end and the last is over."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop_all)
        loop.add_reader(self._pipe.fileno(), self._told)
        beside = (
            asyncio.create_task(self._beat(), name="heartbeat"),
            asyncio.create_task(self._keep(), name="seats"),
        )
        try:
            await self._done.wait()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def _told(self) -> None:
        try:
            message = self._pipe.recv()
        except (EOFError, OSError):
            # The parent is gone. Its calls are not: they go on here, and nothing new comes.
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            message = ("retire", "")
        match message:
            case SessionSpec() as spec:
                call = _Call(spec, self._seats)
                taking = asyncio.create_task(self._take(call), name=f"call {spec.call_id[:8]}")
                self._calls[taking] = call
                taking.add_done_callback(self._over)
            case ("stop" | "hand over" as what, call_id):
                for call in self._calls.values():
                    if call.spec.call_id == call_id:
                        call.end(handing_over=what == "hand over")
            case ("retire", _):
                self._retiring = True
                self._maybe_done()
            case _:
                pass

    async def _take(self, call: _Call) -> None:
        spec = call.spec
        from repartee.session.session import run_session  # noqa: PLC0415 - see child_main

        with calling(spec.call_id):
            reason = await run_session(
                spec,
                self._settings,
                call.stop,
                lambda name, data: self._tell(name, spec.call_id, data),
                call.fence,
            )
        # Told before leaving: ending the interpreter right after a disconnect can abort in native code.
        self._tell("ended", spec.call_id, {"reason": reason})

    def _over(self, taking: asyncio.Task[None]) -> None:
        call_id = self._calls.pop(taking).spec.call_id
        error = None if taking.cancelled() else taking.exception()
        if isinstance(error, ReparteeError):
            self._tell("failed", call_id, {"reason": str(error)})
        elif error is not None:
            # One call's defect is not its neighbours' end. Its text may quote somebody: the place has to do.
            log.error("call.failed", call_id=call_id, error=type(error).__name__, where=_where(error))
            self._tell("failed", call_id, {"reason": f"the call failed with {type(error).__name__}"})
        elif taking.cancelled():
            self._tell("failed", call_id, {"reason": "the call was called off"})
        # A call is full of circles, and so is what the media engine holds for it. What was imported is put aside
        # (preloaded.py): done each time it takes some 12 ms; left to Python, ten times that when nobody expects it.
        asyncio.get_running_loop().call_soon(gc.collect)
        self._maybe_done()

    def _stop_all(self) -> None:
        self._retiring = True
        for call in self._calls.values():
            call.end()
        self._maybe_done()

    def _maybe_done(self) -> None:
        if self._retiring and not self._calls:
            self._done.set()

    async def _beat(self) -> None:
        """Tell that the loop turns, and how late it is: what is late here, audio is late by as well.

        And, while there is no call, what the process holds of memory: what calls have left behind.
        """
        while True:
            due_s = time.monotonic() + BEAT_S
            await asyncio.sleep(BEAT_S)
            late_ms = round((time.monotonic() - due_s) * 1000, 1)
            rests_mb = None if self._calls else _memory_mb()
            told = {"late_ms": late_ms, "tasks": len(asyncio.all_tasks()), "rests_mb": rests_mb}
            self._tell("beat", "", told)

    async def _keep(self) -> None:
        """Keep the seats of these calls; one that somebody else has by now is over here."""
        while True:
            await asyncio.sleep(KEEP_S)
            mine = [call.held for call in self._calls.values() if call.spec.epoch]
            if not mine:
                continue
            try:
                lost = await asyncio.to_thread(self._seats.keep, mine)
            except StoreError as error:
                log.warning("seats.not_kept", error=str(error))
                continue
            for call in list(self._calls.values()):
                if call.spec.call_id in lost:
                    log.warning("call.fenced_off", call_id=call.spec.call_id, epoch=call.spec.epoch)
                    call.end(handing_over=True)

    def _tell(self, name: str, call_id: str, data: dict[str, Any]) -> None:
        try:
            self._pipe.send((name, call_id, data))
        except (BrokenPipeError, OSError):
            return  # the parent is gone; the reader knows


def _memory_mb() -> float:
    """Return how much of this process is in memory."""
    return float(psutil.Process().memory_info().rss) / 1e6


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
