"""Two evaluations, one after the other: what got worse, what got better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from repartee.evals.results import Criterion, Outcome, Results

SCORE_DROP = 0.1
"""A judge's score wavers by so much from one run to the next."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is different of a scenario, or of one thing it asks.

    Attributes:
        kind: worse, better, new (it was not there before) or gone.
        criterion: "" for the scenario as a whole.
        said: What it was and what it is.
    """

    kind: Literal["worse", "better", "new", "gone"]
    scenario: str
    criterion: str
    said: str


def compare(before: Results, now: Results) -> tuple[Change, ...]:
    """Return what has changed; what is new and fails counts as worse."""
    was = {outcome.scenario: outcome for outcome in before.outcomes}
    names = {outcome.scenario for outcome in now.outcomes}
    changes: list[Change] = []
    for outcome in now.outcomes:
        old = was.get(outcome.scenario)
        if old is None:
            kind: Literal["worse", "new"] = "worse" if outcome.status in ("failed", "error") else "new"
            changes.append(Change(kind, outcome.scenario, "", f"new: {outcome.status}"))
        else:
            changes += _scenario(old, outcome)
    changes += [Change("gone", name, "", was[name].status) for name in was if name not in names]
    return tuple(changes)


def _scenario(old: Outcome, new: Outcome) -> list[Change]:
    known = {criterion.name: criterion for criterion in old.criteria}
    changes = [
        change
        for criterion in new.criteria
        if (change := _criterion(new.scenario, known.get(criterion.name), criterion)) is not None
    ]
    if old.status != new.status and not changes:
        kind: Literal["worse", "better"] = "worse" if _rank(new) < _rank(old) else "better"
        said = f"{old.status}, now {new.status}"
        changes.append(Change(kind, new.scenario, "", f"{said}: {new.reason}" if new.reason else said))
    return changes


def _rank(outcome: Outcome) -> int:
    return {"error": 0, "failed": 1, "skipped": 2, "passed": 3}[outcome.status]


def _criterion(scenario: str, old: Criterion | None, new: Criterion) -> Change | None:
    if old is None:
        return None
    if old.passed is not None and new.passed is not None and old.passed != new.passed:
        if new.passed:
            return Change("better", scenario, new.name, "failed, now passed")
        return Change("worse", scenario, new.name, f"passed, now failed: {new.detail}")
    if old.score is not None and new.score is not None and abs(new.score - old.score) > SCORE_DROP:
        kind: Literal["worse", "better"] = "worse" if new.score < old.score else "better"
        return Change(kind, scenario, new.name, f"{old.score:.2f}, now {new.score:.2f}")
    return None
