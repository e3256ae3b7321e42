"""What system tests stand on that not every machine has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from repartee.simulator.netns import CallerNetwork, caller_network, why_not
from tests import postgres


@pytest.fixture(scope="module")
def cable() -> Iterator[CallerNetwork]:
    if reason := why_not():
        pytest.skip(f"no networks of our own: {reason}")
    with caller_network() as made:
        yield made


@pytest.fixture
def database() -> Iterator[postgres.Server]:
    with postgres.one_for_a_test() as running:
        yield running
