"""What is fuzzed, and how many cases of it are run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz import made


@dataclass(frozen=True, slots=True)
class Target:
    """One reader.

    Attributes:
        name: For the results.
        cases: What it is given.
        read: Reads a case; whatever it raises is a failure.
        share: How many of a thousand cases are its own.
        fixed: Texts in its cases that are ours, and not varied.
        vary: Whether a case is worth varying: one that goes over a socket costs more than to make another.
    """

    name: str
    cases: st.SearchStrategy[Any]
    read: Callable[[Any], object]
    share: int = 40
    fixed: frozenset[str] = frozenset()
    vary: bool = True


@dataclass
class Outcome:
    """What came of a target.

    Attributes:
        cases: How many were run.
        failure: The smallest case that failed, and how; empty when none did.
    """

    cases: int = 0
    failure: str = ""


def fuzz(target: Target, cases: int, *, seed: int | None = None, variants: int = 0) -> Outcome:
    """Run cases of a target; one that fails is made small.

    Args:
        target: What is fuzzed.
        cases: How many, the varied ones included.
        seed: The same makes the same cases; None always makes the same.
        variants: So many of each case are run as well, with its texts changed here and there.
    """
    outcome = Outcome()
    last: list[Any] = [None]
    variants = variants if target.vary else 0

    @settings(
        max_examples=max(1, cases // (1 + variants)),
        deadline=None,
        database=None,
        derandomize=seed is None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(target.cases, made.seeds)
    def run(case: Any, dice: int) -> None:
        rng = random.Random(dice)
        for number in range(1 + variants):
            outcome.cases += 1
            last[0] = made.varied(rng, case, target.fixed) if number else case
            target.read(last[0])

    if seed is not None:
        run._hypothesis_internal_use_seed = seed  # type: ignore[attr-defined]
    try:
        run()
    except Exception as error:  # noqa: BLE001 - any failure of any reader is what is looked for
        outcome.failure = f"{type(error).__name__}: {error} for {last[0]!r}"[:2000]
    return outcome


class Loop:
    """An event loop that lasts, for readers that wait."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Wait for something."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(work)

    def close(self) -> None:
        """End it."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None


LOOP = Loop()
