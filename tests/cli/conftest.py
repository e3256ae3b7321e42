"""Commands, run in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Protocol

import pytest
import structlog

from repartee.cli import main


class Repartee(Protocol):
    def __call__(self, *arguments: str, code: int = 0) -> str: ...


@pytest.fixture
def repartee(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Repartee]:
    """Run a command; returns what it printed, or fails unless it ends with the code."""

    def run(*arguments: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["repartee", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code == code, printed
        return printed.err if code else printed.out + printed.err

    yield run
    structlog.reset_defaults()  # the commands send it to a stderr that is gone now
