"""The section `budget` of an agent file: what its calls may cost, and what happens as the money runs out."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Usd = Annotated[Decimal, Field(gt=0, le=1_000_000)]
Share = Annotated[Decimal, Field(gt=0, le=1)]
Action = Literal["cheaper", "shorter", "end"]


class Budget(BaseModel):
    """Limits in USD; left out, there is none. The actions are taken in the order they are listed here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    call_usd: Usd | None = Field(default=None, description="What one call may cost")
    day_usd: Usd | None = Field(
        default=None, description="What all calls of this agent may cost in a day (UTC)"
    )
    cheaper_at: Share = Decimal("0.6")
    """From this share of a limit on, the small model answers."""
    shorter_at: Share = Decimal("0.8")
    """From this share on, answers are one sentence."""
    actions: tuple[Action, ...] = ("cheaper", "shorter", "end")
    """What may be done: "cheaper" and "shorter" as above, "end" to say goodbye when a limit is reached."""

    @model_validator(mode="after")
    def _ordered(self) -> Budget:
        if self.cheaper_at > self.shorter_at:
            raise ValueError(
                f"cheaper_at ({self.cheaper_at}) is above shorter_at ({self.shorter_at}); "
                "the small model comes before short answers"
            )
        if len(set(self.actions)) < len(self.actions):
            raise ValueError("an action is listed twice")
        return self
