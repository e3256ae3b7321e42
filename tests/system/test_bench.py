"""The benchmark itself: one turn, one interruption, and what is written of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from repartee.cli.bench import BenchOptions, run_bench
from repartee.errors import ConfigError


@pytest.mark.long
async def test_a_benchmark_of_one_turn_and_one_interruption(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    options = BenchOptions(
        suites=("latency", "barge-in"),
        items=1,
        warm_up=1,
        profile="fixed:60/60/60",
        speech=speech,
        keep=tmp_path / "kept",
    )
    file, page = tmp_path / "result.json", tmp_path / "result.html"
    report = await run_bench(options, file, page, Console(quiet=True))
    turn, stop = report["rows"]
    assert (turn["missed"], turn["cut_in"], turn["right"], turn["replies"]) == (False, False, True, 1)
    assert turn["latency_ms"] > 0
    assert turn["content_ms"] > turn["latency_ms"]
    assert (stop["speaking"], stop["missed_stop"], stop["answered"], stop["right"]) == (
        True,
        False,
        True,
        True,
    )
    assert abs(stop["context_words_off"]) <= 1
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written["figures"]["repartee"]["latency"]["turns"] == 1
    assert written["command"].startswith("repartee bench --suite latency --suite barge-in")
    assert str(tmp_path) not in file.read_text(encoding="utf-8"), "nothing of this machine"
    assert "<svg" in page.read_text(encoding="utf-8")
    assert len(list((tmp_path / "kept").glob("*.flac"))) == 2


async def test_a_suite_that_is_not_there_is_said(speech: Path) -> None:
    options = BenchOptions(suites=("latencies",), speech=speech)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="there is no suite 'latencies'; choose from: latency"):
        await run_bench(options, None, None, Console(quiet=True))
