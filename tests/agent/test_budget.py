"""The section `budget` of an agent file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from repartee.agent import load_agent
from repartee.agent.budget import Budget
from repartee.errors import ConfigError

GOOD = "name: A\npersona: You help.\ngreeting: Hello!\n"


def loaded(folder: Path, budget: str) -> Budget:
    file = folder / "a.yaml"
    file.write_text(GOOD + budget, encoding="utf-8")
    return load_agent(file).budget


def test_without_it_there_is_no_limit(tmp_path: Path) -> None:
    budget = loaded(tmp_path, "")
    assert (budget.call_usd, budget.day_usd) == (None, None)
    assert budget.actions == ("cheaper", "shorter", "end")


def test_money_is_exact(tmp_path: Path) -> None:
    budget = loaded(tmp_path, "budget:\n  call_usd: 0.1\n  day_usd: '40'\n  actions: [end]\n")
    assert (budget.call_usd, budget.day_usd) == (Decimal("0.1"), Decimal(40))
    assert budget.actions == ("end",)


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("  call_usd: 0\n", r"a.yaml:5: .*greater than 0"),
        ("  cal_usd: 1\n", r"a.yaml:5: .*'cal_usd'; did you mean 'call_usd'\?"),
        ("  actions: [hang_up]\n", r"a.yaml:5: .*'cheaper', 'shorter' or 'end'"),
        ("  actions: [end, end]\n", r"a.yaml:\d: .*an action is listed twice"),
        ("  cheaper_at: 0.9\n", r"a.yaml:\d: .*cheaper_at \(0.9\) is above shorter_at \(0.8\)"),
        ("  shorter_at: 1.5\n", r"a.yaml:5: .*less than or equal to 1"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, budget: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        loaded(tmp_path, f"budget:\n{budget}")
