"""The `forms` section of an agent file: what is asked step by step, and the tool called with the answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from repartee.agent.slots import Name, Slot, Strict, Text, nearest

END = "end"
MAX_FORMS, MAX_STEPS = 16, 32


class FormSlot(Slot):
    """One thing a step asks for."""

    optional: bool = False
    pattern: str | None = None
    """A regular expression the whole value must match."""
    minimum: float | None = None
    maximum: float | None = None
    """Bounds of a number."""
    error: str | None = Field(default=None, max_length=300)
    """What the caller is told when the value is not valid."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"the pattern is no regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _bounds_fit(self) -> FormSlot:
        if (self.minimum is not None or self.maximum is not None) and self.type != "number":
            raise ValueError("minimum and maximum belong to a slot of type number")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("minimum is above maximum")
        return self


class Branch(Strict):
    """Where to go by the value of a slot."""

    slot: str
    cases: Annotated[dict[str, str], Field(min_length=1)]
    """Value to step."""
    otherwise: str | None = None
    """Left out: the step after this one."""


class Step(Strict):
    """Some slots that are asked for together."""

    name: Name
    ask: Text | None = None
    """What to ask, to the model; left out, the slots' own questions."""
    slots: Annotated[dict[Name, FormSlot], Field(min_length=1)]
    next: str | Branch | None = None
    """The next step, `end`, or a branch; left out, the step after this one."""

    def targets(self, following: str) -> Iterator[str]:
        """Every step this one may lead to."""
        match self.next:
            case None:
                yield following
            case Branch():
                yield from self.next.cases.values()
                yield self.next.otherwise or following
            case _:
                yield self.next


class Form(Strict):
    """Steps, and the tool that takes the answers."""

    name: Name
    description: Text
    """What it is for; the model starts it by this."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_STEPS)]
    tool: str
    resume: str | None = Field(default=None, max_length=300)
    """What is said to offer the return to it after something else came between."""

    def following(self, index: int) -> str:
        """The name of the step after one, or `end`."""
        return self.steps[index + 1].name if index + 1 < len(self.steps) else END

    @model_validator(mode="after")
    def _leads_forward(self) -> Form:
        order = {step.name: index for index, step in enumerate(self.steps)}
        if len(order) < len(self.steps) or END in order:
            raise ValueError(f"form '{self.name}': every step has a name of its own, and none is '{END}'")
        slots: set[str] = set()
        reached = {self.steps[0].name}
        for index, step in enumerate(self.steps):
            if twice := slots & set(step.slots):
                raise ValueError(f"form '{self.name}' asks for '{min(twice)}' in two steps")
            slots |= set(step.slots)
            if isinstance(step.next, Branch) and step.next.slot not in slots:
                raise ValueError(
                    f"step '{step.name}' branches on '{step.next.slot}', which is not known then"
                    f"{nearest(step.next.slot, slots)}"
                )
            for target in step.targets(self.following(index)):
                if target != END and target not in order:
                    raise ValueError(
                        f"step '{step.name}' leads to '{target}'{nearest(target, [*order, END])}"
                    )
                if target != END and order[target] <= index:
                    raise ValueError(f"step '{step.name}' leads back to '{target}'; steps lead forward")
                reached.add(target)
        for step in self.steps:
            if step.name not in reached:
                raise ValueError(f"step '{step.name}' of form '{self.name}' is never reached")
        return self

    @property
    def slots(self) -> dict[str, FormSlot]:
        """All its slots by name."""
        return {name: slot for step in self.steps for name, slot in step.slots.items()}


Forms = Annotated[tuple[Form, ...], Field(max_length=MAX_FORMS)]
