"""Sums up the rows of a benchmark: quantiles and rates, each with the interval that chance leaves open."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Row = dict[str, Any]
SAMPLES = 2000
Values = npt.NDArray[np.float64]


def summary(rows: list[Row], calls: list[Row], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return figures by system and suite.

    Args:
        rows: One for each thing said.
        calls: One for each call.
        seed: Of the resampling.
    """
    out: dict[str, dict[str, Any]] = {}
    for system in dict.fromkeys(row["system"] for row in rows):
        mine = [row for row in rows if row["system"] == system]
        out[system] = {}
        for suite in dict.fromkeys(row["suite"] for row in mine):
            part = [row for row in mine if row["suite"] == suite]
            whole = [call for call in calls if call["system"] == system and call["suite"] == suite]
            out[system][suite] = _suite(part, seed) | _calls(whole)
    return out


def _suite(rows: list[Row], seed: int) -> Row:
    turns = [row for row in rows if row["kind"] == "turn"]
    figures: Row = {}
    if turns:
        figures |= {
            "turns": len(turns),
            "latency_ms": quantiles((row.get("latency_ms") for row in turns), seed),
            "content_ms": quantiles((row.get("content_ms") for row in turns), seed),
            "cut_in_turns": rate([row["cut_in"] for row in turns], seed),
            "cut_ins_per_pause": _per_pause(turns),
            "missed": rate([row["missed"] for row in turns], seed),
            "double": rate([row["replies"] > 1 for row in turns], seed),
            "wrong": rate([not row["right"] for row in turns if "right" in row], seed),
        }
    if stops := [row for row in rows if row["kind"] == "barge-in" and row["speaking"]]:
        off = [row["context_words_off"] for row in stops if "context_words_off" in row]
        figures |= {
            "interruptions": len(stops),
            "lowered_ms": quantiles((row["lowered_ms"] for row in stops), seed),
            "silent_ms": quantiles((row["silent_ms"] for row in stops), seed),
            "missed_stops": rate([row["missed_stop"] for row in stops], seed),
            "answered": rate([row["answered"] for row in stops], seed),
            "right": rate([row["right"] for row in stops], seed),
            "context_exact_to_a_word": rate([abs(words) <= 1 for words in off], seed),
        }
    if over := [row for row in rows if row["kind"] in {"backchannel", "noise"} and row["speaking"]]:
        held = [row["dead_air_s"] for row in over if row["held"]]
        figures |= {
            "over_the_agent": len(over),
            "held": rate([row["held"] for row in over], seed),
            "stopped_for_good": rate([row["abandoned"] for row in over], seed),
            "dead_air_s": quantiles(held, seed),
        }
    if alone := [row for row in rows if row["kind"] == "noise-alone"]:
        figures["false_starts"] = rate([row["false_start"] for row in alone], seed)
    return figures


def _per_pause(turns: list[Row]) -> float | None:
    pauses = sum(row["pauses"] for row in turns)
    return round(sum(row["cut_in"] for row in turns) / pauses, 3) if pauses else None


def _calls(calls: list[Row]) -> Row:
    billed, needed = sum(c["usd"] for c in calls), sum(c["usd_needed"] for c in calls)
    voice_s = sum(c["voice_s"] for c in calls)
    call_s = sum(c["call_s"] for c in calls)
    # Where the agent is spoken over, it breaks off for a moment on purpose.
    whole = {c["suite"] for c in calls} <= {"latency", "pauses", "conversation"}
    return {
        "calls": len(calls),
        "cpu_per_call": round(float(np.mean([c["cpu"] for c in calls])), 3) if calls else None,
        "memory_mb": round(float(np.mean([c["memory_mb"] for c in calls]))) if calls else None,
        "gaps_per_minute": round(sum(c["gaps"] for c in calls) / voice_s * 60, 2)
        if voice_s and whole
        else None,
        "usd": round(billed, 5),
        "usd_per_minute": round(billed / call_s * 60, 6) if call_s else None,
        "wasted": round(1 - needed / billed, 3) if billed else None,
    }


def quantiles(values: Iterable[float | None], seed: int) -> Row | None:
    """Return quantiles, the median and the 95th percentile with their 95 % intervals; None without values."""
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not len(known):
        return None
    return {
        "n": len(known),
        **{f"p{share}": round(float(np.quantile(known, share / 100)), 1) for share in (50, 90, 95, 99)},
        "p50_interval": _interval(known, lambda sample: np.median(sample, axis=1), seed),
        "p95_interval": _interval(known, lambda sample: np.quantile(sample, 0.95, axis=1), seed),
    }


def rate(flags: list[bool], seed: int) -> Row | None:
    """Return a share with its 95 % interval; None without cases."""
    if not flags:
        return None
    values = np.array(flags, dtype=np.float64)
    return {
        "n": len(flags),
        "share": round(float(values.mean()), 4),
        "interval": _interval(values, lambda sample: sample.mean(axis=1), seed, digits=4),
    }


def _interval(
    values: Values, statistic: Callable[[Values], Values], seed: int, digits: int = 1
) -> list[float]:
    rng = np.random.default_rng(seed)
    drawn = values[rng.integers(0, len(values), (SAMPLES, len(values)))]
    low, high = np.quantile(statistic(drawn), [0.025, 0.975])
    return [round(float(low), digits), round(float(high), digits)]
