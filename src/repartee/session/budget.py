"""Watches what a call spends: asks the policy after every request, and says once that the money is spent.

The sums of the day come from the store, read on a thread now and then; between two readings this call's own spending
is added. So a limit is passed by no more than what other calls spend in that time, and what the reply in the making
costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

import structlog

from repartee.agent import Agent
from repartee.conversation.budget import NOTHING, BudgetPolicy, BudgetState, Limits, Money, Verdict
from repartee.errors import ReparteeError

log = structlog.get_logger()
REFRESH_S = 30.0
READ_S = 5.0
"""A store that takes longer is left alone until the next time."""


@dataclass(frozen=True, slots=True)
class Today:
    """USD that other calls have spent today: those of the agent, and all."""

    agent: Decimal = NOTHING
    everybody: Decimal = NOTHING


ReadToday = Callable[[], Today]
"""Reads the store; may wait, and runs on a thread."""


class Spending(Protocol):
    """The store's sums."""

    def spent(self, agent: str | None, since: datetime, call_id: str | None = None) -> Decimal:
        """Return USD spent since a moment."""


def today_reader(store: Spending, agent: str, call_id: str | None = None) -> ReadToday:
    """Return a reader of what was spent since midnight, UTC, without the call that asks."""

    def read() -> Today:
        since = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        mine = store.spent(agent, since, call_id) if call_id is not None else NOTHING
        return Today(store.spent(agent, since) - mine, store.spent(None, since) - mine)

    return read


def policy_for(agent: Agent, installation_usd: Decimal | None) -> BudgetPolicy:
    """Return the policy of an agent's file and of the installation's setting."""
    budget = agent.budget
    limits = Limits(budget.call_usd, budget.day_usd, installation_usd)
    return BudgetPolicy(limits, frozenset(budget.actions), budget.cheaper_at, budget.shorter_at)


class BudgetWatch:
    """The budget of one call.

    Args:
        policy: Limits and actions.
        read_today: Reads what other calls have spent; None where there is no store.
        on_over: Called once, when the call is to end.
        mark: Records on the call's timeline.
    """

    def __init__(
        self,
        policy: BudgetPolicy,
        read_today: ReadToday | None,
        on_over: Callable[[], None],
        mark: Callable[..., None],
    ) -> None:
        self._policy = policy
        needed = policy.limits.day is not None or policy.limits.installation is not None
        self._read_today = read_today if needed else None
        self._on_over = on_over
        self._mark = mark
        self._today = Today()
        self._spent = NOTHING
        self._told_over = False
        self._reading: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.verdict = Verdict()

    @property
    def state(self) -> BudgetState:
        """For routing: `normal`, `saving` (the small model), `last` (the small model, in one sentence)."""
        return self.verdict.state

    def shorter(self) -> bool:
        """Say whether answers are to be short."""
        return self.verdict.shorter

    def start(self) -> None:
        """Begin to read what the day has cost, now and every half minute."""
        if self._read_today is not None:
            self._reading = asyncio.create_task(self._read(self._read_today), name="budget")

    def spent(self, usd: Decimal) -> None:
        """This call has spent so much by now."""
        self._spent = usd
        self._judge()

    async def _read(self, read_today: ReadToday) -> None:
        try:
            async with asyncio.timeout(READ_S):
                self._today = await asyncio.to_thread(read_today)
            self._judge()
        except (ReparteeError, TimeoutError) as error:
            log.warning("budget.day_unknown", error=type(error).__name__)
        self._timer = asyncio.get_running_loop().call_later(REFRESH_S, self.start)

    def _judge(self) -> None:
        today, mine = self._today, self._spent
        before = self.verdict
        self.verdict = now = self._policy.judge(Money(mine, today.agent + mine, today.everybody + mine))
        if (now.state, now.shorter, now.over) != (before.state, before.shorter, before.over):
            self._mark(
                "budget", state=now.state, shorter=now.shorter, over=now.over, limit=now.tightest or "none"
            )
        if now.end and not self._told_over:
            self._told_over = True
            log.info("budget.spent", limit=now.tightest)
            self._on_over()

    async def aclose(self) -> None:
        """Stop reading."""
        if self._timer is not None:
            self._timer.cancel()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
