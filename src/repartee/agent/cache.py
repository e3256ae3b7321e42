"""The agent file's sections `cache` and `routing`: what may be answered without the large model, and by what."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

SMALL_PROVIDERS = ("openai", "local")
LIKENESS = 0.65
"""Chosen on the tuning half of benchmarks/data/answer_pairs.jsonl: no wrong answer there, with room to spare."""
_MODEL = re.compile(r"^[a-z][a-z-]*:[\w./:-]+$")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cache(_Strict):
    """Answers that are given without asking a model."""

    answers: bool = True
    """Give the file's own `answers:` that only say something."""
    by_meaning: bool = True
    """Not only to the words as they are written, but to questions that mean the same (English)."""
    learn: bool = False
    """Keep what the model answered to questions that depend on nothing, and give it again."""
    likeness: Annotated[float, Field(ge=0.3, le=1.0)] = LIKENESS
    """How alike two questions must be, 0 to 1, besides all that tells them apart by rule."""
    ttl_h: Annotated[float, Field(gt=0, le=8760)] = 168.0
    """Hours a learned answer is given for."""
    size: Annotated[int, Field(ge=1, le=100_000)] = 500
    """Most learned answers that are kept; the longest unused go first."""
    voice: bool = True
    """Keep audio and say it again: of what any call says alike, and within a call of all that it has said."""
    prepare_voice: bool = True
    """Have the audio of the greeting, the fixed lines and the file's answers made when the server starts."""


class Routing(_Strict):
    """A smaller model for what is simple."""

    small: str | None = Field(default=None, description="Model for simple turns, e.g. openai:gpt-4.1-nano")

    @field_validator("small")
    @classmethod
    def _known_provider(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not _MODEL.match(value):
            raise ValueError(f"'{value}' is not of the form provider:model, e.g. openai:gpt-4.1-nano")
        if (provider := value.split(":", 1)[0]) not in SMALL_PROVIDERS:
            raise ValueError(
                f"routing.small cannot be '{provider}'; choose one of: {', '.join(SMALL_PROVIDERS)}"
            )
        return value
