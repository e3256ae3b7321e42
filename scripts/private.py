"""Measure calls that leave nothing of what is said, and write where their time goes to benchmarks/results.

The front desk with `privacy: on-device` is called over real WebRTC; its questions are said by the on-device voice.
How long a caller waits is read off the audio; the parts of the wait are those of the page of the call. It takes about
two minutes, and the result is in private.json.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from repartee.cli.console import hold_call
from repartee.cli.instance import instance
from repartee.cli.say import say
from repartee.providers.ondevice import measured_speed
from repartee.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "private.json"
DESK = ROOT / "agents" / "front-desk.yaml"
CALLS = 2
QUESTIONS = (
    "What are your opening hours?",
    "Where can I park my car?",
    "Do you take my insurance?",
    "Are you taking new patients?",
    "How much does a visit cost without insurance?",
    "Do you give flu shots?",
    "What is your address?",
    "I need a new prescription.",
)


async def measure(folder: Path) -> dict[str, Any]:
    """Hold the calls; return what they took."""
    speed = await measured_speed(Settings().models_dir, Settings().cache_dir, needed=True)
    files = [folder / f"{number}.wav" for number, _ in enumerate(QUESTIONS)]
    await say(list(zip(QUESTIONS, files, strict=True)))
    (folder / "tools.py").write_text(DESK.with_name("tools.py").read_text(encoding="utf-8"), encoding="utf-8")
    agent = folder / "agent.yaml"
    agent.write_text(f"{DESK.read_text(encoding='utf-8')}\nprivacy: on-device\n", encoding="utf-8")
    waits: list[float] = []
    parts: dict[str, float] = {}
    answers = 0
    async with (
        instance(agent, folder / "state") as running,
        httpx.AsyncClient(base_url=running.url) as client,
    ):
        for _ in range(CALLS):
            report = await hold_call(running.url, files, None, None)
            waits += [wait for exchange in report.exchanges if (wait := exchange.latency_ms) is not None]
        for listed in (await client.get("/api/calls")).json()["calls"]:
            latency = (await client.get(f"/api/calls/{listed['id']}")).json()["latency"]
            answers += latency["answers"]
            for owner, took_ms in latency["by_owner"].items():
                parts[owner] = parts.get(owner, 0.0) + took_ms
    return {
        "command": "python scripts/private.py",
        "cpus": len(os.sched_getaffinity(0)),
        "whisper": {"device": speed.device, "took_ms": speed.took_ms} if speed is not None else {},
        "asked": CALLS * len(QUESTIONS),
        "answered": len(waits),
        "p50_ms": round(statistics.median(waits)),
        "p95_ms": round(float(np.percentile(waits, 95))),
        "mean_parts_ms": {owner: round(took_ms / answers) for owner, took_ms in parts.items()},
    }


def main() -> int:
    """Measure and keep; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(measure(Path(folder)))
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{result}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
