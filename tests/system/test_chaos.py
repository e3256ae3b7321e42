"""The chaos suite's short run: the worst faults in real calls, judged by what was heard and what was kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from repartee.cli.chaos import ChaosOptions, run_chaos
from repartee.errors import ConfigError
from repartee.simulator.chaos.cases import CASES, Case

ALWAYS = ("tts-cut", "call-killed")
"""A vendor's and our own; the rest of the short run takes minutes more."""
QUICK = [
    pytest.param(case, id=case.name, marks=() if case.name in ALWAYS else pytest.mark.long)
    for case in CASES
    if case.quick
]


@pytest.mark.parametrize("case", QUICK)
async def test_a_fault_in_a_call(speech: Path, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (row,) = await run_chaos(ChaosOptions(cases=(case.name,), speech=speech), None, Console(quiet=True))
    assert row["verdict"] in {"held", "expected"}, f"{row['broken']}: {row['notes']} {row['details']}"
    if row["verdict"] == "expected":
        pytest.xfail(f"{row['expected']}: {'; '.join(row['broken'])}")


async def test_a_case_that_is_not_there_is_said(speech: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no case 'lm-hang'; did you mean 'llm-hang'\?"):
        await run_chaos(ChaosOptions(cases=("lm-hang",), speech=speech), None, Console(quiet=True))


async def test_a_system_that_is_not_there_is_said(speech: Path) -> None:
    with pytest.raises(ConfigError, match="there is no system 'vocode'; choose from: repartee, pipecat"):
        await run_chaos(ChaosOptions(systems=("vocode",), speech=speech), None, Console(quiet=True))
