"""A PostgreSQL server of its own, for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from repartee.simulator.postgres import MISSING, Server, programs, server

__all__ = ["MISSING", "Server", "one_for_a_test"]


@contextlib.contextmanager
def one_for_a_test() -> Iterator[Server]:
    """Run a server; skip the test, saying so, where there is none."""
    found = programs()
    if found is None:
        pytest.skip(MISSING)
    with server(found) as running:
        yield running
