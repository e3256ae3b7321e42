"""A slice of every target, in every run of the tests; `make fuzz` runs a hundred thousand cases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import strategies as st

from tests.fuzz.all import TARGETS
from tests.fuzz.found import FOUND
from tests.fuzz.target import LOOP, Outcome, Target, fuzz
from tests.fuzz.vendors import VENDORS

CASES = 6000
"""Over all targets."""


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    LOOP.run(VENDORS.close())
    LOOP.close()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_made_up_breaks_a_reader(target: Target) -> None:
    for case in FOUND.get(target.name, ()):
        target.read(case)
    cases = max(10, CASES * target.share // sum(t.share for t in TARGETS))
    outcome = fuzz(target, cases, variants=3)
    assert outcome.cases
    assert not outcome.failure


def test_every_case_that_was_found_has_its_target() -> None:
    assert FOUND.keys() <= {target.name for target in TARGETS}


def test_a_reader_that_breaks_is_found_and_its_case_is_small() -> None:
    def fragile(case: str) -> None:
        assert "?" not in case

    outcome = fuzz(Target("fragile", st.text(), fragile), 400)
    assert isinstance(outcome, Outcome)
    assert outcome.failure.endswith("for '?'")
