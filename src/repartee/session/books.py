"""The books of one call: its ledger, its budget and its record, on one writer to the store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from repartee.agent import Agent
from repartee.events import EndReason
from repartee.session.budget import BudgetWatch, policy_for, today_reader
from repartee.session.keeping import Keeping
from repartee.session.ledger import Ledger
from repartee.session.record import CallRecord, words_kept
from repartee.session.spec import SessionSpec
from repartee.settings import Settings
from repartee.store import CallRow, OnTrouble, Trouble
from repartee.telemetry.redaction import without_number
from repartee.telemetry.timeline import Timeline
from repartee.telemetry.tracing import call_trace

log = structlog.get_logger()
CLOSE_S = 5.0
"""What the database has not taken by then is in the writer's journal, and written at the next start."""


class Books:
    """Opens the books of a call.

    Args:
        spec: The call.
        agent: Who takes it.
        settings: Names the installation's budget.
        kept: The store and the prices.
        timeline: Its marks become the call's events.
        clock_ms: The call's clock.
        on_over: Called once when the budget says that the call is to end.
        on_trouble: Told when the database is away or back, or the disk that rows wait on fails.
    """

    def __init__(
        self,
        spec: SessionSpec,
        agent: Agent,
        settings: Settings,
        kept: Keeping,
        timeline: Timeline,
        clock_ms: Callable[[], float],
        on_over: Callable[[], None],
        on_trouble: OnTrouble = lambda _: None,
    ) -> None:
        self._clock_ms = clock_ms
        self._loop = asyncio.get_running_loop()
        self._mark, self._on_trouble = timeline.mark, on_trouble
        self._writer = kept.store.writer(spec.call_id, self._trouble)
        began = spec.resume.started_at if spec.resume is not None else None
        room = spec.room if agent.telephony.keep_number else without_number(spec.room)
        call = CallRow(spec.call_id, agent.name, agent.version, room, began or _now())
        first_turn_id = spec.resume.next_turn_id if spec.resume is not None else 0
        self.record = CallRecord(self._writer, call, _now, words_kept(agent.keep), first_turn_id)
        self.budget = BudgetWatch(
            policy_for(agent, settings.budget_day_usd),
            today_reader(kept.store, agent.name, spec.call_id),
            on_over,
            timeline.mark,
        )
        self.ledger = Ledger(
            spec.call_id,
            agent.name,
            prices=kept.prices,
            write=self.record.usage,
            mark=timeline.mark,
            on_spent=self.budget.spent,
        )
        timeline.listeners.append(self.record.mark)
        self._closing = False
        self._trace = call_trace(settings.otel_endpoint, spec.call_id, agent.name, room, clock_ms)
        if self._trace is not None:
            timeline.listeners.append(self._trace.mark)

    def _trouble(self, trouble: Trouble) -> None:
        """Take note of a trouble, on the writer's thread."""

        def told() -> None:
            if not self._closing:  # what the last rows meet with would be a row itself
                self._mark(trouble)
            self._on_trouble(trouble)

        # The loop has ended when a late write fails; the log has it.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(told)

    async def aclose(self, reason: EndReason) -> None:
        """Judge what is left, write the end, and wait a bounded time for the database."""
        await self.budget.aclose()
        self.ledger.close(self._clock_ms())
        bill = self.ledger.bill
        if reason != "handed_over":  # the call goes on, with another agent
            self.record.end(reason, bill.call_s, bill.speech_s)
        if self._trace is not None:
            self._trace.end(reason, self._clock_ms(), bill.summary())
            if not await asyncio.to_thread(self._trace.flush):
                log.warning("trace.not_sent")
        self._closing = True
        if not await asyncio.to_thread(self._writer.close, CLOSE_S):
            log.warning("store.behind", lost=self._writer.lost)


def _now() -> datetime:
    return datetime.now(UTC)
