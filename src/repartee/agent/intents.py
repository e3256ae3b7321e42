"""The `intents` section of an agent file: what callers want, so that a call keeps its thread."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from repartee.agent.slots import Name, Slot, Strict, Text

MAX_INTENTS = 32


class Intent(Strict):
    """One thing a caller may want."""

    name: Name
    description: Text
    """What it is, in a sentence, for the model that has to choose."""
    examples: Annotated[tuple[Text, ...], Field(min_length=1)]
    """How callers say it; others are found by meaning."""
    phrases: tuple[Text, ...] = ()
    """Words that say it for sure, wherever they stand in a sentence."""
    slots: dict[str, Slot] = Field(default_factory=dict)
    """What must be known for it."""
    tool: str | None = None
    """The tool that completes it; without one it is a question, and done when it was answered."""
    resume: str | None = Field(default=None, max_length=300)
    """What is said to offer the return to it."""

    @model_validator(mode="after")
    def _completes(self) -> Intent:
        if self.slots and self.tool is None:
            raise ValueError(f"intent '{self.name}' has slots but no tool that needs them")
        return self


Intents = Annotated[tuple[Intent, ...], Field(max_length=MAX_INTENTS)]
