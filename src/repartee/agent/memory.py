"""The `memory` section of an agent file: what is kept word by word, what a request may take, who writes the notes."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

EXTRACTIVE = "extractive"
SUMMARY_PROVIDERS = ("openai", "local")
_MODEL = re.compile(r"^[a-z][a-z-]*:[\w./:-]+$")


class MemorySection(BaseModel):
    """What is remembered within a call, and between calls."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(
        default=True, description="Fold older turns; off, every request holds the whole call"
    )
    turns: int = Field(default=12, ge=2, le=200, description="Newest turns kept word by word")
    tokens: int = Field(
        default=8000,
        ge=1000,
        le=1_000_000,
        description="Most tokens of a request, persona and tools included",
    )
    summary: str | None = Field(
        default=None,
        description="Who writes the notes: a model as provider:model, or `extractive`; left out, a small model of "
        "the call's own provider, and `extractive` where there is no model",
    )
    between_calls: bool = Field(
        default=False, description="Keep facts and notes of callers whom the operator's token names"
    )
    keep_days: int = Field(default=90, ge=1, le=3650, description="How long they are kept between calls")

    @field_validator("summary")
    @classmethod
    def _known_summary(cls, value: str | None) -> str | None:
        from repartee.agent.definition import nearest  # noqa: PLC0415 - it imports this module

        if value is None or value == EXTRACTIVE:
            return value
        if not _MODEL.match(value):
            known = (EXTRACTIVE, "openai:gpt-4.1-nano")
            raise ValueError(f"'{value}' is neither provider:model nor '{EXTRACTIVE}'{nearest(value, known)}")
        provider = value.split(":", 1)[0]
        if provider not in SUMMARY_PROVIDERS:
            raise ValueError(f"notes cannot be written by '{provider}'{nearest(provider, SUMMARY_PROVIDERS)}")
        return value

    @model_validator(mode="after")
    def _remembers(self) -> MemorySection:
        if self.between_calls and not self.enabled:
            raise ValueError("between_calls needs the memory: leave 'enabled' out or set it to true")
        return self
