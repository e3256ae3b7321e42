"""A measured call: a simulator with known latency, a server of its own, a caller, and figures from the audio."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from repartee.cli.instance import instance
from repartee.errors import ConfigError
from repartee.simulator.caller import Caller, Exchange
from repartee.simulator.providers import Simulator, SimulatorConfig

LONGEST_S = 7.5
AGENT = """\
name: Bench
persona: You answer in one sentence.
greeting: Hello, this is the bench.
models:
  stt: openai:gpt-4o-mini-transcribe
  llm: openai:gpt-4.1-mini
  tts: openai:gpt-4o-mini-tts
"""
STEPS = (
    ("speech end to pause detected", "speech_end", "speech.stopped"),
    ("pause to end-of-turn score", "speech.stopped", "turn.scored"),
    ("pause to transcript", "speech.stopped", "transcript"),
    ("transcript to reply started", "transcript", "reply.started"),
    ("reply started to first text", "reply.started", "reply.first_text"),
    ("first text to first audio", "reply.first_text", "reply.first_audio"),
    ("first audio to sent", "reply.first_audio", "reply.audible"),
)


async def run_bench(turns: int, profile: str, speech: Path | None, write: Path | None, out: Console) -> None:
    """Hold a conversation of so many turns and print where the time goes.

    Raises:
        ConfigError: There are no recordings.
        MediaError: The server did not start.
    """
    folder = speech or Path("../shared/speech")
    files = await asyncio.to_thread(_recordings, folder, turns + 1)
    with tempfile.TemporaryDirectory(prefix="repartee-bench-") as temporary:
        state = Path(temporary)
        async with Simulator.start(SimulatorConfig(profile=profile, speech=folder)) as simulator:
            (state / "bench.yaml").write_text(AGENT, encoding="utf-8")
            async with instance(state / "bench.yaml", state, simulator.environment) as server:
                exchanges = await _hold(server.url, files, out)
            bill = simulator.desk.bill.summary()
        marks = _marks(state)
    report = _report(profile, exchanges[1:], marks, bill)
    _print(report, out)
    if write is not None:
        await asyncio.to_thread(_write, write, report)


def _marks(state: Path) -> list[dict[str, Any]]:
    (file,) = (state / "calls").glob("*.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _write(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Recording:
    path: Path
    speech_end_s: float


def _recordings(folder: Path, count: int) -> list[_Recording]:
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"there are no recordings in {folder}; give their folder with --speech") from error
    found = [
        _Recording(folder / entry["file"], entry["speech"][-1]["speech_end"])
        for entry in index
        if entry.get("transcript") and entry["seconds"] <= LONGEST_S and not entry["file"].startswith("fsdd")
    ]
    if not found:
        raise ConfigError(f"no recording in {folder} has a transcript")
    return [found[number % len(found)] for number in range(count)]


async def _hold(url: str, files: list[_Recording], out: Console) -> list[Exchange]:
    caller = Caller(url)
    exchanges = []
    try:
        await caller.join()
        await caller.wait_for_answer(20.0)
        for number, file in enumerate(files):
            exchange = await caller.exchange(file.path, file.speech_end_s)
            exchanges.append(exchange)
            note = "warm-up" if number == 0 else f"{number}/{len(files) - 1}"
            took = f"{exchange.latency_ms:.0f} ms" if exchange.latency_ms is not None else "no answer"
            out.print(f"[dim]{note:>8}[/dim]  {took:>9}  {file.path.name}", soft_wrap=True)
    finally:
        await caller.leave()
    return exchanges


def _report(
    profile: str, exchanges: list[Exchange], marks: list[dict[str, Any]], bill: dict[str, Any]
) -> dict[str, Any]:
    answered = sorted(e.latency_ms for e in exchanges if e.latency_ms is not None)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"repartee bench --turns {len(exchanges)} --profile {profile}",
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "profile": profile,
        "turns": len(exchanges),
        "answered": len(answered),
        "latency_ms": _quantiles(answered),
        "steps_ms": _steps(marks),
        "usd": round(bill["usd"], 6),
        "exchanges": [{"audio": e.audio, "heard": e.heard, "latency_ms": e.latency_ms} for e in exchanges],
    }


def _quantiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    return {
        "min": at(0),
        "p50": round(statistics.median(ordered), 1),
        "p90": at(0.9),
        "p95": at(0.95),
        "max": at(1),
    }


def _steps(marks: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return how long each step took, over the turns that were answered."""
    spent: dict[str, list[float]] = {name: [] for name, _, _ in STEPS}
    seen: dict[str, float] = {}
    for mark in marks:
        seen[mark["name"]] = mark["at_ms"]
        if mark["name"] == "speech.stopped":
            seen["speech_end"] = mark["ended_at_ms"]
        if mark["name"] == "reply.audible" and "speech_end" in seen:
            for name, start, end in STEPS:
                if start in seen and end in seen:
                    spent[name].append(seen[end] - seen[start])
            seen = {}
    return {name: _quantiles(values[1:]) for name, values in spent.items() if len(values) > 1}


def _print(report: dict[str, Any], out: Console) -> None:
    latency = report["latency_ms"]
    out.print(f"\n{report['answered']} of {report['turns']} turns answered, profile {report['profile']}")
    if latency:
        out.print("end of speech to first sound, on the audio: ", end="")
        out.print("  ".join(f"{name} {value:.0f} ms" for name, value in latency.items()))
    for name, values in report["steps_ms"].items():
        out.print(f"  {name:32} p50 {values['p50']:7.0f}   p95 {values['p95']:7.0f}")
