"""What is fuzzed, and how many cases of it are run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


@dataclass(frozen=True, slots=True)
class Target:
    """One reader.

    Attributes:
        name: For the results.
        cases: What it is given.
        read: Reads a case; whatever it raises is a failure.
        share: How many of a thousand cases are its own.
    """

    name: str
    cases: st.SearchStrategy[Any]
    read: Callable[[Any], object]
    share: int = 40


@dataclass
class Outcome:
    """What came of a target.

    Attributes:
        cases: How many were run.
        failure: The smallest case that failed, and how; empty when none did.
    """

    cases: int = 0
    failure: str = ""


def fuzz(target: Target, cases: int, *, seed: int | None = None) -> Outcome:
    """Run cases of a target; one that fails is made small."""
    outcome = Outcome()
    last: list[Any] = [None]

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=seed is None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(target.cases)
    def run(case: Any) -> None:
        outcome.cases += 1
        last[0] = case
        target.read(case)

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
