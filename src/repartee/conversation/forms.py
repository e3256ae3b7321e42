"""A form being filled: which step it stands at, what is known, and where it goes next. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

END = "end"


@dataclass(frozen=True, slots=True)
class StepRule:
    """One step.

    Attributes:
        name: Its name.
        required: Slots without which it cannot be left.
        optional: Slots that may stay open.
        branch: The slot whose value decides where to go; empty when there is no choice.
        cases: Value to step.
        otherwise: Where to go else: a step, or `end`.
    """

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    branch: str = ""
    cases: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = END

    @property
    def slots(self) -> tuple[str, ...]:
        """All its slots."""
        return (*self.required, *self.optional)


@dataclass(frozen=True, slots=True)
class FormRule:
    """Steps in order; every step leads to a later one or to the end."""

    name: str
    tool: str
    steps: tuple[StepRule, ...]

    def step(self, name: str) -> StepRule | None:
        """Return a step."""
        return next((step for step in self.steps if step.name == name), None)


@dataclass(frozen=True, slots=True)
class Filling:
    """A form in the making.

    Attributes:
        form: Its name.
        step: The step it stands at; `end` when all is known.
        values: What is known, by slot; a value of a step that is no longer on the way is kept and not used.
    """

    form: str
    step: str
    values: Mapping[str, str] = field(default_factory=dict)


def begin(rule: FormRule, values: Mapping[str, str] | None = None) -> Filling:
    """Start a form; what is known already is not asked again."""
    return fill(rule, Filling(rule.name, rule.steps[0].name), values or {})


def fill(rule: FormRule, filling: Filling, values: Mapping[str, str]) -> Filling:
    """Take valid values, of this step or of others, and go as far as they lead.

    A changed value of an earlier step may lead another way: the way is walked again from the beginning.
    """
    slots = {name for step in rule.steps for name in step.slots}
    known = {**filling.values, **{name: value for name, value in values.items() if name in slots and value}}
    return replace(filling, values=known, step=_walk(rule, known)[-1])


def on_the_way(rule: FormRule, filling: Filling) -> dict[str, str]:
    """Return the values of the steps that were taken: what the tool is called with."""
    taken = {n for name in _walk(rule, filling.values) if (step := rule.step(name)) for n in step.slots}
    return {name: value for name, value in filling.values.items() if name in taken}


def missing(rule: FormRule, filling: Filling) -> tuple[str, ...]:
    """Return what the present step still needs."""
    step = rule.step(filling.step)
    return tuple(name for name in step.required if name not in filling.values) if step is not None else ()


def _walk(rule: FormRule, values: Mapping[str, str]) -> list[str]:
    """Return the names of the steps from the first to where the values lead; steps lead forward, so this ends."""
    walked = [rule.steps[0].name]
    while (step := rule.step(walked[-1])) is not None:
        if any(name not in values for name in step.required):
            return walked
        target = (
            step.cases.get(values.get(step.branch, ""), step.otherwise) if step.branch else step.otherwise
        )
        walked.append(target)
    return walked
