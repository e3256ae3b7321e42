"""Who comes when under load, and the page that is drawn of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from repartee.cli import app
from repartee.cli.load import ARRIVAL_S, RAMP_S, _arrivals, _brief, _write, _written
from repartee.cli.load_kills import STAYS_S
from repartee.cli.load_options import LoadOptions
from repartee.errors import ConfigError
from repartee.simulator.kills import EVERY_S
from repartee.simulator.load_report import _middle

ITEMS = 6


def step(mode: str, calls: int) -> dict[str, object]:
    figures = {"p50": 900.0, "p95": 1100.0, "max": 1200.0, "n": 10}
    return {
        "system": "repartee",
        "mode": mode,
        "calls": calls,
        **dict.fromkeys(("held", "refused", "silent", "failed", "turns", "missed", "cut_ins", "gaps"), 3),
        "latency_ms": figures,
        "first_audio_ms": figures,
        "cpu_cores": {"agent": 0.3, "livekit": 0.1, "simulator": 0.1, "callers": 0.2},
        "memory_mb": {"agent": 500},
    }


def report(*steps: dict[str, object]) -> dict[str, object]:
    return {"at": "now", "machine": "a machine", "options": {"profile": "fast"}, "steps": list(steps)}


def test_steady_callers_come_in_the_ramp_and_all_say_the_same_in_another_order() -> None:
    arrivals = _arrivals(LoadOptions(), 8, ITEMS, 0)
    assert len(arrivals) == 8
    assert all(0 <= arrival.at_s <= 8 * ARRIVAL_S for arrival in arrivals)
    assert {tuple(sorted(arrival.says[:ITEMS])) for arrival in arrivals} == {tuple(range(ITEMS))}
    assert len({arrival.says[:ITEMS] for arrival in arrivals}) > 1
    assert arrivals == _arrivals(LoadOptions(), 8, ITEMS, 0), "the same seed is the same crowd"


def test_few_callers_stay_longer_so_that_their_percentiles_are_of_as_many_turns() -> None:
    options = LoadOptions(hold_s=30.0)
    stays_s = {calls: _arrivals(options, calls, ITEMS, 0)[0].until_s - RAMP_S for calls in (1, 2, 4)}
    assert stays_s == {1: 120.0, 2: 60.0, 4: 30.0}
    assert _arrivals(LoadOptions(mode="overload", hold_s=30.0), 1, ITEMS, 0)[0].until_s == RAMP_S + 30.0


def test_overload_is_three_times_as_many() -> None:
    assert len(_arrivals(LoadOptions(mode="overload"), 5, ITEMS, 0)) == 15


def test_churn_goes_on_whatever_becomes_of_the_others() -> None:
    arrivals = _arrivals(LoadOptions(mode="churn", hold_s=100.0, rate=2.0), 5, ITEMS, 0)
    assert 150 < len(arrivals) < 250
    assert max(len(arrival.says) for arrival in arrivals) == 1


def test_callers_follow_each_other_on_each_line_until_all_kills_are_through() -> None:
    options = LoadOptions(mode="kills", kills=10)
    arrivals = _arrivals(options, 4, ITEMS, 0)
    assert arrivals == _arrivals(options, 4, ITEMS, 0)
    stays_s = [arrival.until_s - arrival.at_s for arrival in arrivals]
    assert STAYS_S[0] <= min(stays_s) <= max(stays_s) <= STAYS_S[1]
    there = [sum(a.at_s <= at_s < a.until_s for a in arrivals) for at_s in range(10, 100)]
    assert max(there) == 4
    assert min(there) >= 1
    assert max(arrival.at_s for arrival in arrivals) > 10 * EVERY_S
    assert all(arrival.tries for arrival in arrivals), "who is refused comes again"


def test_a_row_of_a_thousand_is_short() -> None:
    turns = [{"missed": True, "cut_in": False}, {"missed": False, "cut_in": False}]
    row = {"number": 3, "outcome": "held", "refusals": 0, "turns": turns, "agents": [{}, {}], "gaps_ms": []}
    assert _brief(row) == {
        "number": 3,
        "outcome": "held",
        "refusals": 0,
        "turns": 2,
        "missed": 1,
        "agents": 2,
    }


def test_steps_of_an_earlier_run_are_found_and_all_are_drawn(tmp_path: Path) -> None:
    file, page = tmp_path / "load.json", tmp_path / "load.html"
    assert _written(file) is None
    _write(report(step("steady", 1), step("steady", 8), step("churn", 4)), file, page)
    assert (earlier := _written(file)) is not None
    assert [s["calls"] for s in earlier["steps"]] == [1, 8, 4]
    text = page.read_text()
    assert text.count("<svg") == 2
    assert text.count("<tr>") == 4


@pytest.mark.parametrize("arguments", [["--calls", "some"], ["--calls", "0"], ["--mode", "wild"]])
def test_what_cannot_be_is_said(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["bench", "load", *arguments])
    assert isinstance(result.exception, ConfigError)
    assert "--calls takes numbers" in str(result.exception)


@pytest.mark.parametrize("mode", ["kill", "kills"])
def test_whose_processes_are_killed_is_repartee(mode: str) -> None:
    result = CliRunner().invoke(app, ["bench", "load", "--mode", mode, "--system", "livekit"])
    assert isinstance(result.exception, ConfigError)
    assert "leave --system out" in str(result.exception)


def test_a_steady_step_has_two_seconds_for_each_arrival_and_an_overload_comes_at_once() -> None:
    assert max(arrival.at_s for arrival in _arrivals(LoadOptions(), 16, ITEMS, 0)) > 20
    assert max(arrival.at_s for arrival in _arrivals(LoadOptions(mode="overload"), 16, ITEMS, 0)) <= RAMP_S


def test_where_as_many_were_called_again_the_line_goes_through_the_middle() -> None:
    steps = [step("steady", calls) for calls in (1, 16, 8, 16, 16)]
    for number, p95 in ((1, 2000.0), (3, 1200.0), (4, 1000.0)):
        steps[number]["latency_ms"] = {"p50": 900.0, "p95": p95, "max": p95, "n": 10}
    assert _middle(steps, "p95") == ([1, 8, 16], [1100.0, 1100.0, 1200.0])
