"""One call: has it put together (`assembly.py`), runs it, and takes it down."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import structlog
from pipecat.workers.runner import WorkerRunner

from repartee.events import EndReason
from repartee.providers.privacy import check_sealed
from repartee.providers.seal import sealed
from repartee.session.assembly import Assembly
from repartee.session.call import Call, OnEvent
from repartee.session.channel import Channel
from repartee.session.fence import Fence
from repartee.session.keeping import Keeping, keeping
from repartee.session.spec import SessionSpec
from repartee.settings import Settings

log = structlog.get_logger()
TEARDOWN_S = 10.0


async def run_session(
    spec: SessionSpec,
    settings: Settings,
    stop: asyncio.Event,
    on_event: OnEvent,
    fence: Fence | None = None,
) -> EndReason:
    """Take one call from joining the room to leaving it.

    Args:
        spec: The call.
        settings: Provider keys and limits.
        stop: Set to end the call from outside.
        on_event: Called with "entered", "caller", "connected", "answered", "trouble" and "ended".
        fence: Whether the call is still this agent's; one that is lost ends here, and goes on elsewhere.

    Returns:
        Why the call ended.

    Raises:
        ReparteeError: The call could not be started.
    """
    # Open already where the process was warmed up.
    kept = await asyncio.to_thread(keeping, settings)
    return await Session(spec, settings, kept, stop, on_event, fence).run()


class Session:
    """One call, from beginning to end: once made, `run` takes it. Takes what `run_session` does.

    Args:
        kept: The store and what else the process keeps.
        channel: What carries the call; None is a LiveKit room.
    """

    def __init__(
        self,
        spec: SessionSpec,
        settings: Settings,
        kept: Keeping,
        stop: asyncio.Event,
        on_event: OnEvent,
        fence: Fence | None = None,
        channel: Channel | None = None,
    ) -> None:
        self.call = Call(spec, settings, kept, on_event, fence or Fence())
        self._channel = channel or Channel()
        self._stop = stop
        self._ended: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()

    @property
    def cost(self) -> Decimal:
        """What the call has cost so far, USD."""
        return self.call.books.ledger.bill.cost

    async def run(self) -> EndReason:
        """Take the call; see `run_session`."""
        reason: EndReason = "error"
        try:
            reason = await self._take()
        finally:
            await self.call.aclose(reason)
        self.call.tell("ended", self.call.summary(reason))
        return reason

    async def _take(self) -> EndReason:
        call = self.call
        check_sealed((call.agent, *call.others), sealed=sealed())
        parts = Assembly(call, self._channel, await self._channel.ladder(call), self._end)
        parts.agenda.start()
        beside = (
            asyncio.create_task(parts.clients.run(), name="captions"),
            asyncio.create_task(parts.kit.prewarm(), name="prewarm"),
            asyncio.create_task(parts.remembering.run(), name="memory"),
            asyncio.create_task(call.callers.run(), name="caller"),
        )
        call.books.budget.start()
        try:
            return await self._drive(parts)
        finally:
            for task in beside:
                task.cancel()
            for task, end in zip(beside, await asyncio.gather(*beside, return_exceptions=True), strict=True):
                if isinstance(end, Exception):
                    log.error("session.task_failed", task=task.get_name(), error=type(end).__name__)
            await self._finish(parts)

    async def _finish(self, parts: Assembly) -> None:
        call = self.call
        await parts.agenda.aclose()
        if call.tone is not None:
            await call.tone.aclose()
        if call.callers.keeps:
            await parts.remembering.finish()
            await call.callers.keep()
        await parts.kit.aclose()

    async def _drive(self, parts: Assembly) -> EndReason:
        """Run the pipeline until the call ends, from inside or outside."""
        call, worker = self.call, parts.worker

        @worker.event_handler("on_pipeline_started")
        async def started(*_: object) -> None:
            parts.wire.state("listening")
            call.timeline.mark("connected", started_at=datetime.now(UTC).isoformat())
            call.tell("connected", {"at_ms": call.clock_ms()})

        runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
        await runner.add_workers(worker)
        running = asyncio.create_task(runner.run(), name="pipeline")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        over: set[asyncio.Future[Any]] = {running, self._ended}
        try:
            await asyncio.wait(over | {stopping}, return_when=asyncio.FIRST_COMPLETED)
            if call.fence.lost.is_set():
                self._end("handed_over")
            elif self._stop.is_set() and not self._ended.done():
                call.over("stopped")
                await asyncio.wait(over, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await worker.cancel(reason="call ended")
                await asyncio.wait({running}, timeout=TEARDOWN_S)
        finally:
            stopping.cancel()
            if not running.done():
                running.cancel()
            await asyncio.gather(running, stopping, return_exceptions=True)
        if running.done() and not running.cancelled() and (failure := running.exception()):
            raise failure
        return self._ended.result() if self._ended.done() else ("stopped" if self._stop.is_set() else "error")

    def _end(self, reason: EndReason) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)
