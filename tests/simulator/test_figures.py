"""Sums of rows whose answers can be worked out by hand."""

from __future__ import annotations

from typing import Any

from repartee.simulator.figures import quantiles, rate, summary
from repartee.simulator.report import page


def turn(latency: float | None, **more: Any) -> dict[str, Any]:
    row = {"system": "a", "suite": "latency", "item": "x", "kind": "turn", "pauses": 0, "cut_in": False}
    row |= {"missed": latency is None, "replies": 1, "right": True, **more}
    return row if latency is None else row | {"latency_ms": latency}


CALL = {
    "system": "a",
    "suite": "latency",
    "cpu": 0.2,
    "memory_mb": 300,
    "voice_s": 30.0,
    "call_s": 60.0,
    "gaps": 1,
}


def test_quantiles_leave_out_what_is_missing() -> None:
    found = quantiles([100.0, None, 300.0, 200.0], seed=1)
    assert found is not None
    assert (found["n"], found["p50"]) == (3, 200.0)
    low, high = found["p50_interval"]
    assert 100 <= low <= 200 <= high <= 300
    assert quantiles([None], seed=1) is None


def test_a_rate_has_an_interval_around_it() -> None:
    found = rate([True, False, False, False], seed=1)
    assert found is not None
    assert found["share"] == 0.25
    assert found["interval"][0] <= 0.25 <= found["interval"][1]
    assert rate([], seed=1) is None


def test_a_suite_is_summed_by_system() -> None:
    rows = [
        turn(500.0),
        turn(700.0),
        turn(None),
        turn(None, cut_in=True, missed=False, pauses=2, right=False),
    ]
    calls = [CALL | {"usd": 0.02, "usd_needed": 0.015}, CALL | {"usd": 0.02, "usd_needed": 0.02}]
    figures = summary(rows, calls)["a"]["latency"]
    assert figures["turns"] == 4
    assert figures["latency_ms"]["p50"] == 600.0
    assert figures["cut_in_turns"]["share"] == 0.25
    assert figures["cut_ins_per_pause"] == 0.5
    assert figures["missed"]["share"] == 0.25
    assert figures["wrong"]["share"] == 0.25
    assert figures["wasted"] == 0.125
    assert figures["gaps_per_minute"] == 2.0


def test_the_page_shows_every_system_and_needs_nothing_else() -> None:
    rows = [turn(500.0), turn(700.0)]
    report = {
        "at": "2026-01-01",
        "command": "repartee bench",
        "machine": "2 CPUs",
        "options": {"profile": "fast", "suites": ["latency"]},
        "figures": summary(rows, [CALL | {"usd": 0.02, "usd_needed": 0.015}]),
        "rows": rows,
    }
    text = page([report])
    assert "<svg" in text
    assert "600 / 690" in text
    assert "src=" not in text
    assert "http://" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
