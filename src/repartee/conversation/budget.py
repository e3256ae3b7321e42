"""What is done as the money of a call, of an agent's day or of everybody's day runs out. Pure."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

BudgetState = Literal["normal", "saving", "last"]
"""For routing: `saving` answers with the small model where it can, `last` with nothing else, in one sentence."""
BudgetAction = Literal["cheaper", "shorter", "end"]
BudgetName = Literal["call", "day", "installation"]
NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Money:
    """USD by what it is counted for: this call, the agent's day, everybody's day."""

    call: Decimal = NOTHING
    day: Decimal = NOTHING
    installation: Decimal = NOTHING


@dataclass(frozen=True, slots=True)
class Limits:
    """USD that may be spent; None where there is no limit."""

    call: Decimal | None = None
    day: Decimal | None = None
    installation: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done now.

    Attributes:
        cheaper: The small model is to answer.
        shorter: Answers are to be short.
        over: A limit is reached.
        end: And the call is to be ended for it.
        tightest: The limit of which the largest share is spent; None when there is none.
        share: That share.
    """

    cheaper: bool = False
    shorter: bool = False
    over: bool = False
    end: bool = False
    tightest: BudgetName | None = None
    share: Decimal = NOTHING

    @property
    def state(self) -> BudgetState:
        """What routing needs to know."""
        if self.cheaper:
            return "last" if self.shorter else "saving"
        return "normal"


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    """Limits, and what may be done about them.

    Attributes:
        limits: In USD.
        actions: Those that may be taken.
        cheaper_at: Share of a limit from which the small model answers.
        shorter_at: Share from which answers are short.
    """

    limits: Limits = Limits()
    actions: AbstractSet[BudgetAction] = frozenset(("cheaper", "shorter", "end"))
    cheaper_at: Decimal = Decimal("0.6")
    shorter_at: Decimal = Decimal("0.8")

    def judge(self, spent: Money) -> Verdict:
        """Return what is to be done after so much was spent; the tightest limit decides."""
        tightest, share = self.tightest(spent)
        over = tightest is not None and share >= 1
        return Verdict(
            cheaper="cheaper" in self.actions and tightest is not None and share >= self.cheaper_at,
            shorter="shorter" in self.actions and tightest is not None and share >= self.shorter_at,
            over=over,
            end=over and "end" in self.actions,
            tightest=tightest,
            share=share,
        )

    def tightest(self, spent: Money) -> tuple[BudgetName | None, Decimal]:
        """Return the limit of which the largest share is spent, and the share."""
        counted: tuple[tuple[BudgetName, Decimal, Decimal | None], ...] = (
            ("call", spent.call, self.limits.call),
            ("day", spent.day, self.limits.day),
            ("installation", spent.installation, self.limits.installation),
        )
        shares = [(used / limit, name) for name, used, limit in counted if limit is not None]
        if not shares:
            return None, NOTHING
        share, name = max(shares, key=lambda pair: pair[0])
        return name, share
