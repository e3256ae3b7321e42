"""The section `waiting` of an agent file: what is said while an answer takes long."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from repartee.events import FillerKind

Words = Annotated[str, Field(min_length=1, max_length=200)]


class Waiting(BaseModel):
    """Short words before a late answer. They are in nobody's context; the answer follows right after them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fillers: bool = True
    """Say anything at all; a tool's own line is said anyway."""
    after_ms: int = Field(default=1000, ge=300, le=10_000)
    """Silence of the caller after which a word is said, unless the answer is there or about to be."""
    apology_after_ms: int = Field(default=4000, ge=1000, le=30_000)
    """Silence after which it is said that it takes longer than usual."""
    say: dict[FillerKind, Annotated[tuple[Words, ...], Field(min_length=1, max_length=8)]] = Field(
        default_factory=dict
    )
    """The words by what they come before: `question`, `request`, `booking`, `other`; else the built-in ones."""
    apology: Words | None = None
    hang_up: Words | None = None
    """The last words when no answer can be made. Promise a call back only if somebody makes it."""

    @model_validator(mode="after")
    def _ordered(self) -> Waiting:
        if self.apology_after_ms <= self.after_ms:
            raise ValueError(
                f"apology_after_ms ({self.apology_after_ms}) is not above after_ms ({self.after_ms}); "
                "the apology comes after the first word"
            )
        return self
