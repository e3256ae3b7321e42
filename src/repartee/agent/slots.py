"""What the sections of an agent file share: strict models, texts, slots, and the nearest name to a wrong one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=28)]
"""A name that a model may see as a function's."""
SlotType = Literal["text", "name", "date", "time", "phone", "number", "choice"]


class Strict(BaseModel):
    """Unknown keys are errors; nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Slot(Strict):
    """One thing a tool needs to know from the caller."""

    type: SlotType = "text"
    ask: Text
    """The question asked when it is missing."""
    choices: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _choices_fit(self) -> Slot:
        if self.type == "choice" and not self.choices:
            raise ValueError("a slot of type choice needs 'choices'")
        return self


def nearest(name: str, choices: object) -> str:
    """Return `; did you mean 'x'?` for the nearest choice, or the choices when none is near."""
    import difflib  # noqa: PLC0415 - only needed to explain an error

    options = sorted(str(choice) for choice in choices) if hasattr(choices, "__iter__") else []
    if close := difflib.get_close_matches(name, options, n=1, cutoff=0.5):
        return f"; did you mean '{close[0]}'?"
    return f"; choose one of: {', '.join(options)}" if options else ""
