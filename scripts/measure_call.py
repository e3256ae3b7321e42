"""Measure what one call takes of everything, and write it to benchmarks/results/per-call.json.

Processor time of the server and of LiveKit, packets and bytes at the caller, rows and bytes of the database, requests
to vendors: a call of ten spoken turns over real WebRTC. docs/scaling.md carries it to many calls.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from repartee.cli.instance import instance
from repartee.simulator.caller import Caller
from repartee.simulator.providers import Simulator, SimulatorConfig

ROOT = Path(__file__).resolve().parent.parent
SPEECH = Path(os.environ.get("REPARTEE_SPEECH", ROOT.parent / "shared" / "speech"))
RESULT = ROOT / "benchmarks" / "results" / "per-call.json"
PROFILE = "fixed:300/350/250"
TURNS = [SPEECH / "aiewf" / f"turn_{number:03}.flac" for number in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)]
AGENT = """
name: Cost
persona: You answer in one sentence.
greeting: Hello, this is the desk. How can I help?
models: {stt: "openai:gpt-4o-mini-transcribe", llm: "openai:gpt-4.1-mini", tts: "openai:gpt-4o-mini-tts"}
"""
TABLES = ("calls", "turns", "usage", "events", "seats")


def main() -> int:
    """Hold the call and write what it took."""
    RESULT.write_text(json.dumps(asyncio.run(measured()), indent=1) + "\n", encoding="utf-8")
    return 0


async def measured() -> dict[str, Any]:
    """Hold one call that warms everything, then the one that is measured."""
    with tempfile.TemporaryDirectory(prefix="repartee-call-") as temporary:
        folder = Path(temporary)
        agent = folder / "agent.yaml"
        await asyncio.to_thread(agent.write_text, AGENT)
        config = SimulatorConfig(profile=PROFILE, speech=SPEECH)
        async with (
            Simulator.start(config) as simulator,
            instance(agent, folder / "state", simulator.environment) as running,
        ):
            await _call(running.url, TURNS[:2])
            cpu = _cpu_s(running.process.pid)
            asked = _requests(simulator)
            took = await _call(running.url, TURNS)
            used = {
                name: seconds - cpu.get(name, 0.0) for name, seconds in _cpu_s(running.process.pid).items()
            }
            requests = _requests(simulator) - asked
        rows = await asyncio.to_thread(_rows, folder / "state" / "repartee.db")
    minutes = took["call_s"] / 60
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python scripts/measure_call.py",
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "turns": len(TURNS),
        "call_s": round(took["call_s"], 1),
        "cores": {name: round(seconds / took["call_s"], 4) for name, seconds in used.items()},
        # At the media server: each packet comes in and goes out again.
        "sfu_packets_per_s": round(2 * took["packets"] / took["call_s"], 1),
        "sfu_kbit_per_s": round(2 * took["bytes"] * 8 / 1000 / took["call_s"], 1),
        "requests_per_minute": round(requests / minutes, 1),
        "rows_per_minute": round(sum(count for count, _ in rows.values()) / minutes, 1),
        "row_bytes_per_minute": round(sum(size for _, size in rows.values()) / minutes),
        "rows": {name: count for name, (count, _) in rows.items()},
    }


async def _call(url: str, said: list[Path]) -> dict[str, float]:
    caller = Caller(url)
    await caller.join()
    began_s = time.monotonic()
    try:
        await caller.hear_greeting()
        for recording in said:
            await caller.exchange(recording)
        sent, packets = await caller.traffic()
        return {"call_s": time.monotonic() - began_s, "bytes": sent, "packets": packets}
    finally:
        await caller.leave()


def _requests(simulator: Simulator) -> int:
    stages = simulator.desk.bill.summary()["stages"].values()
    return sum(stage["requests"] for stage in stages)


def _cpu_s(pid: int) -> dict[str, float]:
    """Return processor seconds of the server's tree so far, LiveKit apart."""
    found = {"repartee": 0.0, "livekit": 0.0}
    parent = psutil.Process(pid)
    for process in (parent, *parent.children(recursive=True)):
        times = process.cpu_times()
        name = "livekit" if "livekit" in process.name() else "repartee"
        found[name] += times.user + times.system
    return found


def _rows(file: Path) -> dict[str, tuple[int, int]]:
    """Return, for each table, the latest call's rows and the bytes of what is in them."""
    found = {}
    with closing(sqlite3.connect(file)) as database:
        (call,) = database.execute("SELECT call_id FROM calls ORDER BY started_at DESC LIMIT 1").fetchone()
        for table in TABLES:
            columns = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
            if "call_id" not in columns:
                continue
            rows = database.execute(f"SELECT * FROM {table} WHERE call_id = ?", (call,)).fetchall()  # noqa: S608 - names of our own
            found[table] = (
                len(rows),
                sum(len(str(value)) for row in rows for value in row if value is not None),
            )
    return found


if __name__ == "__main__":
    sys.exit(main())
