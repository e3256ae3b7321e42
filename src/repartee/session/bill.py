"""The sums of a call's ledger: what each stage cost, what of it was wasted, what audio left for paid services."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from repartee.telemetry.usage import Stage, Usage

STAGES: tuple[Stage, ...] = ("stt", "llm", "tts", "embedding")
HERE = frozenset(("on-device", "answers", "local"))
"""Providers whose requests stay with the operator: audio sent to them has not left for a paid service."""
NOTHING = Decimal(0)


@dataclass
class StageBill:
    """One stage's sums, in USD."""

    requests: int = 0
    failed: int = 0
    cost: Decimal = NOTHING
    wasted: Decimal = NOTHING


@dataclass
class Bill:
    """A call's sums.

    Attributes:
        stages: By stage.
        unknown: Requests by model whose price is not known; with any, every sum is "at least".
        estimated: Requests whose quantities were reckoned, as their stream was cut.
        audio_sent_s: Seconds of audio that left for paid services; what was sent twice counts twice.
        speech_s: Seconds in which the caller spoke.
        call_s: Seconds from start to end; 0 while it goes on.
        audible: Replies of which something was heard.
    """

    stages: dict[Stage, StageBill] = field(default_factory=lambda: {stage: StageBill() for stage in STAGES})
    unknown: Counter[str] = field(default_factory=Counter)
    estimated: int = 0
    audio_sent_s: Decimal = NOTHING
    speech_s: float = 0.0
    call_s: float = 0.0
    audible: int = 0

    @property
    def cost(self) -> Decimal:
        """USD of all requests whose price is known."""
        return sum((stage.cost for stage in self.stages.values()), NOTHING)

    @property
    def wasted(self) -> Decimal:
        """USD of those that gave nothing that was heard."""
        return sum((stage.wasted for stage in self.stages.values()), NOTHING)

    @property
    def wasted_share(self) -> float:
        """Share of the cost that was wasted, 0 to 1."""
        return float(self.wasted / self.cost) if self.cost else 0.0

    def add(self, usage: Usage, cost: Decimal | None) -> None:
        """Add a request that has ended."""
        stage = self.stages[usage.stage]
        stage.requests += 1
        stage.failed += usage.outcome == "failed"
        stage.cost += cost or NOTHING
        self.estimated += usage.estimated
        if cost is None:
            self.unknown[f"{usage.provider}:{usage.model}"] += 1
        if usage.provider not in HERE:
            self.audio_sent_s += usage.quantities.get("audio_s", NOTHING)

    def judge(self, usage: Usage, cost: Decimal | None, *, used: bool) -> None:
        """Take the judgement of a request that was added."""
        if not used:
            self.stages[usage.stage].wasted += cost or NOTHING

    def figures(self) -> dict[str, str | float | bool]:
        """Return the sums flat, for the timeline."""
        return {
            "usd": str(self.cost),
            "usd_wasted": str(self.wasted),
            "at_least": bool(self.unknown),
            "audio_sent_s": round(float(self.audio_sent_s), 1),
            "speech_s": round(self.speech_s, 1),
            "call_s": round(self.call_s, 1),
            **{f"usd_{name}": str(stage.cost) for name, stage in self.stages.items() if stage.requests},
        }

    def summary(self) -> dict[str, Any]:
        """Return everything as plain data, for another process."""
        return {
            "stages": {
                name: {
                    "requests": stage.requests,
                    "failed": stage.failed,
                    "usd": str(stage.cost),
                    "usd_wasted": str(stage.wasted),
                }
                for name, stage in self.stages.items()
                if stage.requests
            },
            "unknown_prices": dict(self.unknown),
            "estimated": self.estimated,
            "audio_sent_s": float(self.audio_sent_s),
            "speech_s": self.speech_s,
            "call_s": self.call_s,
        }
