"""Measure what each level of degradation changes, over real WebRTC, and write it to benchmarks/results/ladder.json.

`0-latency` to `3-pauses`: a level and a suite of the benchmark: processor time, latency, cut-ins, cost.
`closed`: how long a full machine takes to say so. `down`: from a stage without providers to the recording heard.
`filler`: a model that takes 2.5 s: when the first word is heard, and when the answer.
Each is one run of half a minute to three minutes, and replaces only its own part of the file. Without a name: all of
them, one after another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from repartee.cli.bench import BenchOptions, run_bench
from repartee.cli.instance import instance
from repartee.conversation.degradation import Level
from repartee.providers.shared import BreakerKey, FileJournal, Found
from repartee.session.clips import clips_for
from repartee.simulator.caller import Caller
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.store import Store

ROOT = Path(__file__).resolve().parent.parent
SPEECH = Path(os.environ.get("REPARTEE_SPEECH", ROOT.parent / "shared" / "speech"))
RESULT = ROOT / "benchmarks" / "results" / "ladder.json"
ITEMS = 10
SUITES = ("latency", "pauses")
PROFILE = "fixed:300/350/250"
SLOW_MODEL = "fixed:300/2500/250"
AGENT = """
name: Ladder
persona: You answer in one sentence.
greeting: Hello, this is the ladder.
models: {stt: "openai:gpt-4o-mini-transcribe", llm: "openai:gpt-4.1-mini", tts: "openai:gpt-4o-mini-tts"}
"""
QUESTIONS = ("turn_001.flac", "turn_003.flac", "turn_001.flac")
DOWN_LIMIT_S = 40.0


def main() -> int:
    """Run measurements and keep each as soon as it is there."""
    alone = {"closed": closed, "down": down, "filler": filler}
    levels = [f"{number}-{suite}" for number in range(4) for suite in SUITES]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"one of {', '.join([*alone, *levels])}")
    parser.add_argument("--items", type=int, default=ITEMS, help="so many recordings a level and suite")
    parser.add_argument("--write", type=Path, default=RESULT, help="the file that is written")
    asked = parser.parse_args()
    if unknown := set(asked.what) - {*alone, *levels}:
        parser.error(f"there is nothing called {', '.join(sorted(unknown))}; see --help")
    for name in asked.what or [*alone, *levels]:
        if name in alone:
            keep(asked.write, [name], asyncio.run(alone[name]()))
        else:
            number, _, suite = name.partition("-")
            keep(asked.write, ["levels", number, suite], asyncio.run(level(int(number), suite, asked.items)))
    return 0


def keep(file: Path, path: list[str], figures: dict[str, Any]) -> None:
    """Put figures into the file."""
    whole: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    whole["machine"] = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    at = whole
    for name in path[:-1]:
        at = at.setdefault(name, {})
    command = "python scripts/measure_ladder.py " + "-".join(p for p in path if p != "levels")
    at[path[-1]] = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "command": command, **figures}
    file.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sys.stdout.write(f"{path}: {figures}\n")


async def level(held: int, suite: str, items: int) -> dict[str, Any]:
    """Hold calls at one level."""
    options = BenchOptions(
        suites=(suite,),  # type: ignore[arg-type]
        systems=("repartee-routed",),
        profile=PROFILE,
        items=items,
        speech=SPEECH,
        warm_up=1,
        level=held,
    )
    report = await run_bench(options, None, None, Console(stderr=True))
    return {
        "profile": PROFILE,
        "load_average": os.getloadavg()[0],
        **report["figures"]["repartee-routed"][suite],
    }


async def closed() -> dict[str, Any]:
    """Ask a full machine for a place."""
    with tempfile.TemporaryDirectory() as folder:
        agent = _agent(Path(folder))
        async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
            variables = {**simulator.environment, "REPARTEE_LEVEL": str(int(Level.CLOSED))}
            async with (
                instance(agent, Path(folder) / "state", variables) as running,
                httpx.AsyncClient(timeout=10) as client,
            ):
                took_ms = []
                answer = await client.post(f"{running.url}/api/token", json={})
                for _ in range(20):  # more than thirty a minute are refused for another reason
                    began_s = time.perf_counter()
                    answer = await client.post(f"{running.url}/api/token", json={})
                    took_ms.append((time.perf_counter() - began_s) * 1000)
                clip = await client.get(running.url + answer.json()["clip"])
    return {
        "status": answer.status_code,
        "retry_after_s": int(answer.headers["retry-after"]),
        "asked": len(took_ms),
        "p50_ms": round(statistics.median(took_ms), 2),
        "max_ms": round(max(took_ms), 2),
        "clip_bytes": len(clip.content),
    }


async def down() -> dict[str, Any]:
    """Hold a call while every model provider is found to be away."""
    with tempfile.TemporaryDirectory() as folder:
        agent, state = _agent(Path(folder)), Path(folder) / "state"
        async with (
            Simulator.start(SimulatorConfig(profile="instant", speech=SPEECH)) as simulator,
            instance(agent, state, {**simulator.environment, "REPARTEE_LEVEL": ""}) as running,
        ):
            caller = Caller(running.url)
            await caller.join()
            greeted = await caller.wait_for_answer(20.0)
            journal, now_s = FileJournal(state / "providers"), time.monotonic()
            key = BreakerKey("openai", "gpt-4.1-mini", "k", "chat")
            journal.append(Found(key, "limited", now_s, now_s, "x", retry_after_s=300.0))
            began_s = time.monotonic()
            heard = await caller.wait_for_sound(DOWN_LIMIT_S)
            heard_s = time.monotonic() - began_s
            async with asyncio.timeout(DOWN_LIMIT_S):
                await caller.gone.wait()
            gone_s = time.monotonic() - began_s
            said = caller.captions("agent")[-1]
            await caller.leave()
            async with httpx.AsyncClient(timeout=10) as client:
                refused = await client.post(f"{running.url}/api/token", json={})
        store = Store.open(f"sqlite:///{state / 'repartee.db'}")
        (call,) = store.calls()
        events = [event.kind for event in store.events(call.call.call_id)]
        store.close()
    clip = clips_for("en")["hang_up"]
    return {
        "greeted": greeted,
        "recording_heard": heard,
        "heard_after_s": round(heard_s, 2),
        "hung_up_after_s": round(gone_s, 2),
        "clip_s": round(len(clip.pcm()) / 2 / 24_000, 2),
        "said": said,
        "reason": call.call.reason,
        "callbacks_noted": events.count("callback.wanted"),
        "next_caller": refused.status_code,
    }


async def filler() -> dict[str, Any]:
    """Ask a slow model."""
    with tempfile.TemporaryDirectory() as folder:
        agent, state = _agent(Path(folder)), Path(folder) / "state"
        config = SimulatorConfig(profile=SLOW_MODEL, speech=SPEECH)
        async with (
            Simulator.start(config) as simulator,
            instance(agent, state, simulator.environment) as running,
        ):
            caller = Caller(running.url)
            await caller.join()
            await caller.wait_for_answer(20.0)
            for name in QUESTIONS:
                await caller.exchange(SPEECH / "aiewf" / name)  # to the quiet after the first word
                await caller.wait_for_answer(8.0)
            replies = caller.captions("agent")
            await caller.leave()
        (file,) = (state / "calls").glob("*.jsonl")
        marks = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    first_ms, answers_ms, kept, end_ms = [], [], 0, 0.0
    for mark in marks:
        if mark["name"] == "speech.stopped":
            end_ms = mark["ended_at_ms"]
        elif mark["name"] == "filler":
            first_ms.append(round(mark["at_ms"] - end_ms, 1))
            kept += mark["kept"]
        elif mark["name"] == "reply.audible" and end_ms:
            answers_ms.append(round(mark["at_ms"] - end_ms, 1))
    return {
        "profile": SLOW_MODEL,
        "turns": len(QUESTIONS),
        "fillers": len(first_ms),
        "of_them_kept": kept,
        "filler_ms": first_ms,
        "filler_p50_ms": round(statistics.median(first_ms), 1),
        "answer_ms": answers_ms,
        "answer_p50_ms": round(statistics.median(answers_ms), 1),
        "replies": replies,
    }


def _agent(folder: Path) -> Path:
    file = folder / "agent.yaml"
    file.write_text(AGENT, encoding="utf-8")
    return file


if __name__ == "__main__":
    sys.exit(main())
