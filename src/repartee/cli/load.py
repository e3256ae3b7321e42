"""`repartee bench load`: many calls at once on one machine, and what they cost each other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import random
import signal
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from rich.console import Console

from repartee.cli.bench import TRANSCRIPTS
from repartee.cli.load_kills import (
    coming_and_going,
    judged,
    kill_many,
    kills_take_s,
    print_fates,
)
from repartee.cli.load_options import LoadOptions
from repartee.cli.load_stage import Running, ground, running
from repartee.errors import ConfigError
from repartee.simulator.crowd import RATE_HZ, Arrival, Plan, Utterance, gather_crowd
from repartee.simulator.kills import Killer
from repartee.simulator.loads import (
    AGENT,
    Row,
    Sampler,
    busiest_session,
    recovery,
    step_figures,
)
from repartee.simulator.material import RATE_HZ as SAY_HZ
from repartee.simulator.material import Material
from repartee.simulator.systems import OURS

SETTLE_S = 3.0
KILL_AFTER_S = 12.0
RAMP_S = 8.0
FEW_CALLS = 4
"""A steady step of fewer calls is held for longer, so that its percentiles are of as many turns."""
ARRIVAL_S = 2.0
"""Between two callers of a steady step; a call of minutes makes many calls at once of few arrivals in a second."""
MANY_TURNS = 40
"""More than fit into a step: the clock ends a call."""
WARM_UP_CALLS = 4
"""Short calls before churn is counted: what the first ones load for all is no growth."""


async def run_load(
    options: LoadOptions, write: Path | None, html: Path | None, out: Console, *, append: bool
) -> dict[str, Any]:
    """Load a server of its own, print the figures and write them.

    Raises:
        ConfigError: The recordings or a system are not there, or cannot be loaded so.
        MediaError: A system did not start.
    """
    if options.mode in {"kill", "kills"} and options.systems != (OURS,):
        raise ConfigError(f"--mode {options.mode} looks into repartee's own processes; leave --system out")
    if options.on_device and (options.systems != (OURS,) or options.mode == "kills"):
        raise ConfigError("--on-device goes with neither --system nor --mode kills; leave one of them out")
    material = await asyncio.to_thread(Material, options.speech, TRANSCRIPTS, options.seed)
    utterances = await asyncio.to_thread(_utterances, material, options.items)
    report: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "options": _as_written(options),
        "steps": [],
    }
    earlier: list[dict[str, Any]] = []
    if append and (begun := await asyncio.to_thread(_written, write)):
        earlier = begun["steps"]
        report |= {name: begun[name] for name in ("at", "options")}
    async with contextlib.aclosing(_load(options, utterances, out)) as steps:
        async for step in steps:
            report["steps"] = [*earlier, *report["steps"][len(earlier) :], step]
            # After each: a run that is cut short keeps what it has found.
            await asyncio.to_thread(_write, report, write, html)
    return report


async def _load(
    options: LoadOptions, utterances: tuple[Utterance, ...], out: Console
) -> AsyncGenerator[dict[str, Any]]:
    """Yield the figures of one step after another, of one system after another."""
    with tempfile.TemporaryDirectory(prefix="repartee-load-") as temporary:
        async with ground(options, Path(temporary)) as stage:
            for name in options.systems:
                async with running(options, name, stage, [u.text for u in utterances]) as system:
                    if options.mode == "churn" or options.on_device:
                        await _warm_up(system, utterances, out)
                    before = await asyncio.to_thread(system.left)
                    for number, calls in enumerate(options.calls):
                        step = await _hold(options, calls, number, system, utterances, out)
                        step["left"] = {"before": before, "after": step["left"]}
                        _print(step, out)
                        yield step


async def _hold(
    options: LoadOptions,
    calls: int,
    number: int,
    system: Running,
    utterances: tuple[Utterance, ...],
    out: Console,
) -> dict[str, Any]:
    """Hold one step and return its figures."""
    ramp_s = _ramp_s(options, calls)
    one_by_one = options.mode in {"churn", "kills"}
    arrivals = _arrivals(options, calls, len(utterances), number)
    plan = Plan(system.url, arrivals, utterances, options.seed + number, one_by_one)
    killer: Killer | None = None
    async with Sampler(system.trees, options.spy) as sampler:
        with out.status(f"{system.name}, {options.mode}: {calls} calls"):
            holding = asyncio.create_task(gather_crowd(plan), name="crowd")
            killed = await _kill(system.roots()[0], ramp_s) if options.mode == "kill" else None
            if options.mode == "kills":
                await asyncio.sleep(ramp_s + KILL_AFTER_S)
                killer = await kill_many(system.roots()[0], system.state, options.kills, holding, out)
            rows = await holding
    await asyncio.sleep(SETTLE_S)
    found = {} if killer is None else await asyncio.to_thread(judged, system.state, killer.kills, rows)
    return {
        "system": system.name,
        "mode": options.mode,
        "calls": calls,
        **step_figures(rows, sampler, ramp_s=ramp_s),
        "left": await asyncio.to_thread(system.left),
        **({} if killed is None else {"recovery": recovery(rows, killed)}),
        **found,
        "rows": [_brief(row) for row in rows] if one_by_one else rows,
    }


def _brief(row: Row) -> Row:
    """Return a caller's row without its turns: those of a thousand callers are in the sums."""
    kept = ("number", "outcome", "refusals", "at_s", "first_audio_ms", "error")
    turns = row.get("turns", [])
    counts = {"turns": len(turns), "missed": sum(turn["missed"] for turn in turns)}
    return {name: row[name] for name in kept if name in row} | counts | {"agents": len(row.get("agents", ()))}


async def _warm_up(system: Running, utterances: tuple[Utterance, ...], out: Console) -> None:
    """Hold a few short calls that are not counted."""
    arrivals = tuple(
        Arrival(float(number), (number % len(utterances),), 60.0) for number in range(WARM_UP_CALLS)
    )
    with out.status(f"{system.name}: first calls"):
        await gather_crowd(Plan(system.url, arrivals, utterances))
    await asyncio.sleep(SETTLE_S)


async def _kill(pid: int, ramp_s: float) -> float:
    """Kill the busiest session process once everybody talks; return when, on the monotonic clock."""
    await asyncio.sleep(ramp_s + KILL_AFTER_S)
    busiest = await asyncio.to_thread(busiest_session, pid)
    if busiest is None:
        raise ConfigError(
            "there is no session process to kill; the server runs each in a process of its own?"
        )
    at_s = time.monotonic()
    os.kill(busiest, signal.SIGKILL)
    return at_s


def _ramp_s(options: LoadOptions, calls: int) -> float:
    """Return how long arrivals take. An overload is one because they come at once."""
    return RAMP_S if options.mode == "overload" else max(RAMP_S, calls * ARRIVAL_S)


def _hold_s(options: LoadOptions, calls: int) -> float:
    """Return how long a step is held after its ramp."""
    return options.hold_s * max(1.0, FEW_CALLS / calls) if options.mode == "steady" else options.hold_s


def _arrivals(options: LoadOptions, calls: int, items: int, number: int) -> tuple[Arrival, ...]:
    rng = random.Random(f"{options.seed}/{number}/arrivals")  # noqa: S311 - not for secrets
    ramp_s = _ramp_s(options, calls)
    until_s = ramp_s + _hold_s(options, calls)
    if options.mode == "churn":
        arrivals: list[Arrival] = []
        at_s = 0.0
        while at_s < options.hold_s:
            arrivals.append(Arrival(at_s, _says(rng, items, rng.choice((0, 0, 1))), until_s))
            at_s += rng.expovariate(options.rate)
        return tuple(arrivals)
    if options.mode == "kills":
        ends_s = ramp_s + KILL_AFTER_S + kills_take_s(options.kills)
        says: Callable[[], tuple[int, ...]] = lambda: _says(rng, items, MANY_TURNS)  # noqa: E731
        return coming_and_going(calls, ends_s, says, rng)
    many = 3 * calls if options.mode == "overload" else calls
    gaps_s = ramp_s / max(1, many)
    return tuple(
        Arrival(n * gaps_s * rng.uniform(0.8, 1.0), _says(rng, items, MANY_TURNS), until_s)
        for n in range(many)
    )


def _says(rng: random.Random, items: int, count: int) -> tuple[int, ...]:
    """Every utterance once before any is said again: callers differ in the order only."""
    said: list[int] = []
    while len(said) < count:
        said += rng.sample(range(items), items)
    return tuple(said[:count])


def _utterances(material: Material, count: int) -> tuple[Utterance, ...]:
    chosen = [item for item in material.suite("latency") if item.end_s - item.start_s <= 4.0][:count]
    if not chosen:
        raise ConfigError("the folder of recordings has none that is a short command; see docs/measuring.md")
    return tuple(
        Utterance(
            item.name,
            np.asarray(soxr.resample(item.pcm, SAY_HZ, RATE_HZ)),
            item.start_s,
            item.end_s,
            item.text,
        )
        for item in chosen
    )


def _as_written(options: LoadOptions) -> dict[str, Any]:
    """Return the options without what is only of this machine."""
    written = json.loads(json.dumps(asdict(options), default=str))
    return {name: value for name, value in written.items() if name not in {"speech", "spy"}}


def _written(file: Path | None) -> dict[str, Any] | None:
    """Return what an earlier run has written; None where there is none."""
    if file is None or not file.is_file():
        return None
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return report


def _write(report: dict[str, Any], write: Path | None, html: Path | None) -> None:
    if write is not None:
        write.parent.mkdir(parents=True, exist_ok=True)
        write.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if html is not None:
        from repartee.simulator.load_report import page  # noqa: PLC0415 - draws

        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(page(report), encoding="utf-8")


def _print(step: dict[str, Any], out: Console) -> None:
    latency, first = step["latency_ms"], step["first_audio_ms"]
    cpu = "  ".join(f"{name} {cores:.2f}" for name, cores in step["cpu_cores"].items())
    out.print(
        f"[bold]{step['system']} {step['mode']} {step['calls']}[/bold]: "
        f"{step['held']} held, {step['refused']} refused, "
        f"{step['silent']} silent, {step['failed']} failed; {step['turns']} turns, "
        f"p50 {latency['p50']:.0f} p95 {latency['p95']:.0f} ms, missed {step['missed']}, cut in {step['cut_ins']}; "
        f"first audio p50 {first['p50']:.0f} p95 {first['p95']:.0f} ms; gaps > 60 ms: {step['gaps']}; "
        f"cores: {cpu}; {step['memory_mb'][AGENT]:.0f} MB",
        soft_wrap=True,
        highlight=False,
    )
    if "fates" in step:
        print_fates(step["fates"], step["effects"], out)
    if step["mode"] == "churn":
        _print_left(step["left"], out)


def _print_left(left: Row, out: Console) -> None:
    before, after = left["before"], left["after"]
    told = ", ".join(f"{name} {before[name]} -> {after[name]}" for name in after)
    out.print(f"held by its processes before and after: {told}", soft_wrap=True, highlight=False)
