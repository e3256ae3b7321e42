"""The benchmark: real calls over a real LiveKit server, to repartee and to its peers, figures from the audio."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import random
import tempfile
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import yaml
from rich.console import Console

from repartee.agent import load_agent
from repartee.cli.instance import Ours, instance, livekit_settings
from repartee.cli.livekit import own_livekit
from repartee.errors import ConfigError
from repartee.providers import choose_ladder
from repartee.providers.prepared_voice import prepare_voice
from repartee.session.fixed_texts import prepared_texts
from repartee.settings import Settings
from repartee.simulator.figures import summary
from repartee.simulator.material import RATE_HZ as SAY_HZ
from repartee.simulator.material import SUITES, Item, Material, SuiteName
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.library import RATE_HZ as RECOGNISE_HZ
from repartee.simulator.providers.library import Composed
from repartee.simulator.savings import simulated
from repartee.simulator.stage import Row, call_row, hold, rows, settle
from repartee.simulator.systems import OURS, PEERS, Ground, System, knob_of, peer

TRANSCRIPTS = Path("benchmarks/transcripts.json")
PROGRAMS = Path("benchmarks/peers")
BLOCK = 12
SETTLE_S = 1.5
AGENT: dict[str, Any] = {
    "name": "Bench",
    "persona": "You answer in one sentence.",
    "greeting": "Hello, this is the bench.",
    "models": {
        "stt": "openai:gpt-4o-mini-transcribe",
        "llm": "openai:gpt-4.1-mini",
        "tts": "openai:gpt-4o-mini-tts",
    },
    # Made before the first call, as in operation: no measured call pays or waits for the greeting's audio.
    "cache": {"prepare_voice": True},
}
VARIANTS: dict[str, dict[str, Any]] = {
    OURS: {},
    "repartee-plain": {
        "cache": {
            "answers": False,
            "by_meaning": False,
            "learn": False,
            "voice": False,
            "prepare_voice": False,
        }
    },
    "repartee-routed": {"routing": {"small": "openai:gpt-4.1-nano"}},
    "repartee-saving": {"cache": {"learn": True}, "routing": {"small": "openai:gpt-4.1-nano"}},
    "repartee-realtime": {"models": {"realtime": "openai:gpt-realtime"}},
}
"""Ourselves as we come, with nothing saved, with a small model, with everything saved that can be, and with one model
that hears and speaks itself; what the agent file says more."""
LONG = ("barge-in", "backchannel", "noise")
"""Suites in which the agent is spoken over, and so has to have something to say."""


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What to measure.

    Attributes:
        suites: Which suites.
        systems: Whom to call; `NAME@SECONDS` is the system with that endpointing delay.
        profile: The vendors' latency.
        items: So many of each suite; None takes all.
        seed: Of orders, latencies and moments.
        stt: Our speech-to-text; peers use the HTTP one.
        speech: Folder of the recordings.
        warm_up: Turns of a first call to each system that is not counted.
        keep: Folder that recordings of the calls are kept in.
        level: Holds our level of degradation; None lets it be measured.
    """

    suites: tuple[SuiteName, ...] = ("latency",)
    systems: tuple[str, ...] = (OURS,)
    profile: str = "fixed:300/350/250"
    items: int | None = None
    seed: int = 1
    stt: str = "openai:gpt-4o-mini-transcribe"
    speech: Path = Path("../shared/speech")
    warm_up: int = 12
    keep: Path | None = None
    level: int | None = None


async def run_bench(
    options: BenchOptions, write: Path | None, html: Path | None, out: Console
) -> dict[str, Any]:
    """Measure, print the figures, and write them.

    Raises:
        ConfigError: The recordings, a suite or a peer is not there.
        MediaError: A system did not start.
    """
    for name in options.suites:
        if name not in SUITES:
            raise ConfigError(f"there is no suite '{name}'; choose from: {', '.join(SUITES)}")
    material = await asyncio.to_thread(Material, options.speech, TRANSCRIPTS, options.seed)
    measured: list[Row] = []
    calls: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="repartee-bench-") as temporary:
        said = {name: await asyncio.to_thread(material.suite, name, options.items) for name in options.suites}
        composed = await asyncio.to_thread(_composed, [item for items in said.values() for item in items])
        async with _stage(options, Path(temporary), composed) as (simulator, systems):
            await _warm_up(systems, simulator, material, options.warm_up, out)
            for suite in options.suites:
                simulator.desk.replies.style = "long" if suite in LONG else "short"
                for system, block in _blocks(systems, suite, said[suite], options.seed):
                    await _measure(options, simulator, system, suite, block, measured, calls, out)
        steps = _steps(Path(temporary) / OURS / "calls")
    report = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": _command(options),
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "options": _as_written(options),
        "agent": AGENT,
        "figures": summary(measured, calls, options.seed),
        "steps_ms": steps,
        "calls": calls,
        "rows": measured,
    }
    _print(report, out)
    await asyncio.to_thread(_write, report, write, html)
    return report


async def _warm_up(
    systems: list[System], simulator: Simulator, material: Material, turns: int, out: Console
) -> None:
    """Hold a call with each system that is not counted: caches are filled, connections have been made before."""
    simulator.desk.replies.style = "short"
    commands = await asyncio.to_thread(material.suite, "latency")
    for system in systems if turns else ():
        with out.status(f"warming up {system.name}"):
            await hold(system, "warm-up", commands[-turns:], lambda _: None)
            await settle(SETTLE_S)
    simulator.desk.bill.reset()


async def _measure(
    options: BenchOptions,
    simulator: Simulator,
    system: System,
    suite: SuiteName,
    block: list[Item],
    measured: list[Row],
    calls: list[Row],
    out: Console,
) -> None:
    simulator.desk.bill.reset()
    with out.status(f"{suite}: {system.name}") as status:
        call = await hold(system, suite, block, lambda item: status.update(f"{suite}: {system.name}: {item}"))
        await settle(SETTLE_S)
    call.entries = list(simulator.desk.bill.entries)
    found = await asyncio.to_thread(rows, call)
    measured += found
    calls.append(await asyncio.to_thread(call_row, call))
    if options.keep is not None:
        await asyncio.to_thread(_keep, options.keep, call, len(calls))
    latencies = " ".join(f"{row['latency_ms']:.0f}" for row in found if "latency_ms" in row)
    stops = " ".join(f"{row['silent_ms'] or 0:.0f}" for row in found if "silent_ms" in row)
    cut_ins = sum(row.get("cut_in", False) for row in found)
    note = "  ".join(part for part in (latencies, stops, f"{cut_ins} cut-ins" if cut_ins else "") if part)
    out.print(f"[dim]{suite:>12}[/dim] {system.name:15} {note}", soft_wrap=True)


@contextlib.asynccontextmanager
async def _stage(
    options: BenchOptions, folder: Path, composed: tuple[Composed, ...]
) -> AsyncIterator[tuple[Simulator, list[System]]]:
    """Start the LiveKit server, the vendors and the systems."""
    settings = await livekit_settings(folder)
    config = SimulatorConfig(
        profile=options.profile,
        seed=options.seed,
        speech=options.speech,
        transcripts=TRANSCRIPTS,
        composed=composed,
    )
    async with contextlib.AsyncExitStack() as stack:
        access = await stack.enter_async_context(own_livekit(settings))
        simulator = await stack.enter_async_context(Simulator.start(config))
        ground = Ground(access.url, access.key, access.secret, simulator.environment)
        systems: list[System] = []
        for name in options.systems:
            if knob_of(name)[0] in VARIANTS:
                ours = _ours(options, ground, folder, name, simulated(settings, simulator))
                system: System = await stack.enter_async_context(ours)
            else:
                environments = settings.cache_dir / "peers"
                system = peer(name, ground, environments, PROGRAMS)
            stack.push_async_callback(system.stop)
            systems.append(system)
        yield simulator, systems


@contextlib.asynccontextmanager
async def _ours(
    options: BenchOptions, ground: Ground, folder: Path, name: str, vendors: Settings
) -> AsyncIterator[Ours]:
    variant, knob = knob_of(name)
    more = VARIANTS[variant]
    agent = AGENT | more | {"models": AGENT["models"] | {"stt": options.stt} | more.get("models", {})}
    state = folder / name
    if knob:
        agent["turn_taking"] = {"min_silence_ms": round(knob * 1000)}
    file = state / "bench.yaml"
    await prepare_agent(file, agent, vendors.model_copy(update={"state_dir": state}))
    held = {} if options.level is None else {"REPARTEE_LEVEL": str(options.level)}
    async with instance(file, state, {**_variables(ground, name), **held}) as running:
        yield Ours(running, name)


def _variables(ground: Ground, name: str) -> dict[str, str]:
    """Return what sends one of ours to the stage. Each has a name of its own: calls go to any worker of a name."""
    return {**ground.variables, "REPARTEE_AGENT_NAME": name}


async def prepare_agent(file: Path, agent: dict[str, Any], settings: Settings) -> None:
    """Write an agent file and make its audio beforehand."""
    await asyncio.to_thread(write_agent, file, agent)
    await _prepare_voice(settings, file)


async def _prepare_voice(settings: Settings, file: Path) -> None:
    """Make the audio that a server makes at its start, and wait for it: it shall be no part of a measured call."""
    agent = await asyncio.to_thread(load_agent, file)
    if agent.cache.prepare_voice:
        ladder = await choose_ladder(settings, agent)
        await prepare_voice(settings, agent, ladder, prepared_texts(agent, ladder))


def _composed(items: list[Item]) -> tuple[Composed, ...]:
    """Return what the simulator cannot know from the recordings' folder."""
    return tuple(
        Composed(item.name, np.asarray(soxr.resample(item.pcm, SAY_HZ, RECOGNISE_HZ)), item.words)
        for item in items
        if item.words
    )


def write_agent(file: Path, agent: dict[str, Any]) -> None:
    """Write an agent file; blocks."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(agent), encoding="utf-8")


def _blocks(
    systems: list[System], suite: str, items: list[Item], seed: int
) -> list[tuple[System, list[Item]]]:
    """Interleave: every block of items goes to every system, in an order of its own."""
    rng = random.Random(f"{seed}/{suite}/order")  # noqa: S311 - not for secrets
    size = len(items) if suite == "conversation" else BLOCK
    return [
        (system, items[at : at + size])
        for at in range(0, len(items), size)
        for system in rng.sample(systems, len(systems))
    ]


STEPS = (
    ("speech end to pause detected", "speech_end", "speech.stopped"),
    ("pause to end-of-turn score", "speech.stopped", "turn.scored"),
    ("pause to transcript", "speech.stopped", "transcript"),
    ("transcript to reply started", "transcript", "reply.started"),
    ("reply started to first text", "reply.started", "reply.first_text"),
    ("first text to first audio", "reply.first_text", "reply.first_audio"),
    ("first audio to sent", "reply.first_audio", "reply.audible"),
)


def _steps(folder: Path) -> dict[str, dict[str, float]]:
    """Return how long each step of ours took, over the turns that were answered."""
    spent: dict[str, list[float]] = {name: [] for name, _, _ in STEPS}
    for file in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        seen: dict[str, float] = {}
        for line in file.read_text(encoding="utf-8").splitlines():
            mark = json.loads(line)
            first = mark["name"] in {"turn.scored", "transcript"} and mark["name"] in seen
            if not first:
                seen[mark["name"]] = mark["at_ms"]
            if mark["name"] == "speech.stopped":
                seen = {"speech.stopped": mark["at_ms"], "speech_end": mark["ended_at_ms"]}
            if mark["name"] == "reply.audible" and "speech_end" in seen:
                for name, start, end in STEPS:
                    if start in seen and end in seen:
                        spent[name].append(seen[end] - seen[start])
                seen = {}
    return {
        name: {f"p{share}": round(float(np.quantile(values, share / 100)), 1) for share in (50, 95)}
        for name, values in spent.items()
        if values
    }


def _as_written(options: BenchOptions) -> dict[str, Any]:
    """Return the options without what is only of this machine."""
    written = json.loads(json.dumps(asdict(options), default=str))
    return {name: value for name, value in written.items() if name not in {"speech", "keep"}}


def _command(options: BenchOptions) -> str:
    parts = [
        "repartee bench",
        *(f"--suite {suite}" for suite in options.suites),
        f"--profile {options.profile}",
    ]
    if options.systems == (OURS, *PEERS):
        parts += ["--peers"]
    elif options.systems != (OURS,):
        parts += [f"--system {name}" for name in options.systems]
    parts += [f"--items {options.items}"] if options.items else []
    parts += [f"--warm-up {options.warm_up}"] if options.warm_up != BenchOptions().warm_up else []
    parts += [f"--stt {options.stt}"] if options.stt != BenchOptions().stt else []
    return " ".join([*parts, f"--seed {options.seed}"])


def _keep(folder: Path, call: Any, number: int) -> None:
    import soundfile as sf  # noqa: PLC0415 - only here

    folder.mkdir(parents=True, exist_ok=True)
    sf.write(folder / f"{number:03}-{call.suite}-{call.system}.flac", call.tape, 16_000)


def _write(report: dict[str, Any], write: Path | None, html: Path | None) -> None:
    if write is not None:
        write.parent.mkdir(parents=True, exist_ok=True)
        write.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if html is not None:
        from repartee.simulator.report import page  # noqa: PLC0415 - draws

        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(page([report]), encoding="utf-8")


def _print(report: dict[str, Any], out: Console) -> None:
    for system, suites in report["figures"].items():
        for suite, figures in suites.items():
            parts = []
            for name, value in figures.items():
                if isinstance(value, dict) and "p50" in value:
                    parts.append(f"{name} p50 {value['p50']:.0f} p95 {value['p95']:.0f}")
                elif isinstance(value, dict) and "share" in value:
                    parts.append(f"{name} {value['share']:.1%}")
                elif value is not None:
                    parts.append(f"{name} {value}")
            out.print(f"[bold]{system}[/bold] {suite}: " + ", ".join(parts), soft_wrap=True, highlight=False)
    for name, step in report["steps_ms"].items():
        out.print(f"  {name:32} p50 {step['p50']:7.0f}   p95 {step['p95']:7.0f}", highlight=False)
