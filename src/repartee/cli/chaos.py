"""The chaos suite: real calls in which one thing goes wrong, judged by what was heard and what was kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile as sf
from rich.console import Console

from repartee.cli.bench import write_agent
from repartee.cli.chaos_rows import Row, show, write_rows
from repartee.cli.instance import Ours, instance, livekit_settings
from repartee.cli.livekit import FragileLiveKit
from repartee.errors import ConfigError, MediaError
from repartee.simulator import postgres
from repartee.simulator.caller import Caller
from repartee.simulator.chaos.cases import FIRST, LAST, Case, chosen
from repartee.simulator.chaos.judge import Heard, Turn, Verdict, judge, seen
from repartee.simulator.chaos.play import Played, play
from repartee.simulator.chaos.scene import COME_AGAIN, Scene
from repartee.simulator.faults import FaultProxy
from repartee.simulator.invitation import Invitation
from repartee.simulator.material import Item, Material
from repartee.simulator.meter import RATE_HZ
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.replies import normalised
from repartee.simulator.providers.server import vendors_at
from repartee.simulator.systems import OURS, PEERS, Ground, System, peer
from repartee.store import Store

TRANSCRIPTS, SCRIPT = Path("benchmarks/transcripts.json"), Path("benchmarks/data/chaos_script.yaml")
PROGRAMS = Path("benchmarks/peers")
PROFILE = "fixed:300/350/250"
SMALL_DISK = "1m"
TRIES = 2
"""Calls made for a case: one whose first turn fails, before anything was broken, tells nothing about the fault."""
FARES_WELL = ("answered", "silence", f"refused: 503, {COME_AGAIN}")
"""How others who call at the same time may fare; silence is told apart."""
AGENT: dict[str, Any] = {
    "name": "Chaos",
    "persona": "You answer in one sentence.",
    "greeting": "Hello, this is the bench.",
    # The caller waits in silence until what was stopped is back; to be asked whether they are there is no answer.
    "limits": {"silence_s": 0},
}
MODELS = {
    "stt": ["openai:gpt-4o-mini-transcribe", "openai:whisper-1"],
    "llm": ["openai:gpt-4.1-mini", "openai:gpt-4o-mini"],
    "tts": ["openai:gpt-4o-mini-tts", "elevenlabs:eleven_flash_v2_5"],
}
"""Ours: for each stage one that stands by, as a service would have it."""


@dataclass(frozen=True, slots=True)
class ChaosOptions:
    """What to break.

    Attributes:
        cases: Names; none takes all of them.
        systems: Whom to call.
        quick: Only the short run's cases.
        speech: Folder of the recordings.
        keep: Folder that recordings of the calls, and ours' timelines, are kept in.
    """

    cases: tuple[str, ...] = ()
    systems: tuple[str, ...] = (OURS,)
    quick: bool = False
    speech: Path = Path("../shared/speech")
    keep: Path | None = None


@dataclass
class _Stage:
    """All that stands around the calls of cases that need the same."""

    system: System
    simulator: Simulator
    proxy: FaultProxy
    livekit: FragileLiveKit
    store_url: str | None = None
    state: Path | None = None
    server: postgres.Server | None = None
    spool: Path | None = None
    stranger: Callable[[str], Invitation] | None = None
    logged: int = 0
    """So much of the log was read for the cases before."""


async def run_chaos(options: ChaosOptions, write: Path | None, out: Console) -> list[Row]:
    """Play the cases, print what came of each, and write it.

    Raises:
        ConfigError: A case, a system or the recordings are not there.
        MediaError: A system did not start.
    """
    cases = chosen(options.cases, quick=options.quick)
    for name in options.systems:
        if name not in {OURS, *PEERS}:
            raise ConfigError(f"there is no system '{name}'; choose from: {', '.join((OURS, *PEERS))}")
    material = await asyncio.to_thread(Material, options.speech, TRANSCRIPTS, 1)
    items = {item.name: item for item in await asyncio.to_thread(material.suite, "latency")}
    rows: list[Row] = []
    for system, block in _blocks(options.systems, cases):
        with tempfile.TemporaryDirectory(prefix="repartee-chaos-") as temporary:
            async with _stage(options, system, block[0], Path(temporary)) as stage:
                for case in block:
                    with out.status(f"{system}: {case.name}"):
                        row = await _conduct(options, case, stage, items)
                    rows.append(row)
                    show(row, out)
                    if write is not None:
                        played = [row for row in rows if row["verdict"] != "unplayed"]
                        await asyncio.to_thread(write_rows, write, played, PROFILE, MODELS)
    return rows


def _blocks(systems: tuple[str, ...], cases: list[Case]) -> Iterator[tuple[str, list[Case]]]:
    """Yield cases that need the same around them, so that what they need is started once."""
    for system in systems:
        left = [case for case in cases if case.takes(system)]
        while left:
            first = left[0]
            block = [case for case in left if (case.models, case.needs) == (first.models, first.needs)]
            left = [case for case in left if case not in block]
            yield system, block


# --- around the call ------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _stage(options: ChaosOptions, system: str, case: Case, folder: Path) -> AsyncIterator[_Stage]:
    settings = await livekit_settings(folder)
    config = SimulatorConfig(profile=PROFILE, speech=options.speech, transcripts=TRANSCRIPTS, script=SCRIPT)
    async with contextlib.AsyncExitStack() as stack:
        livekit = FragileLiveKit(settings)
        stack.push_async_callback(livekit.stop)
        await livekit.start()
        simulator = await stack.enter_async_context(Simulator.start(config))
        proxy = await stack.enter_async_context(FaultProxy.start(simulator.url))
        access = livekit.access
        ground = Ground(access.url, access.key, access.secret, vendors_at(proxy.url))

        def stranger(room: str) -> Invitation:
            return Invitation(access.url, ground.token(room, "stranger"), room)

        if system != OURS:
            other = peer(system, ground, settings.cache_dir / "peers", PROGRAMS)
            stack.push_async_callback(other.stop)
            yield _Stage(other, simulator, proxy, livekit, stranger=stranger)
            return
        stage = _Stage(_Nobody(), simulator, proxy, livekit, stranger=stranger)
        yield await _ours(stack, case, ground, folder / "ours", stage)


class _Nobody:
    """Takes the place of a system that is not there yet."""

    name = ""

    async def invite(self) -> Invitation:
        raise MediaError("no system was started")

    async def hang_up(self) -> None:
        """Nobody is there."""

    def pid(self) -> int | None:
        return None

    async def stop(self) -> None:
        """Nobody is there."""


async def _ours(
    stack: contextlib.AsyncExitStack, case: Case, ground: Ground, state: Path, stage: _Stage
) -> _Stage:
    file = state / "chaos.yaml"
    await asyncio.to_thread(write_agent, file, AGENT | {"models": MODELS | case.models})
    variables = {
        **ground.variables,
        "ELEVENLABS_API_KEY": "simulated",
        "CARTESIA_API_KEY": "simulated",
    }
    stage.state, stage.store_url = state, f"sqlite:///{state / 'repartee.db'}"
    if case.needs == "postgres":
        programs = postgres.programs()
        if programs is None:
            raise ConfigError(f"the case '{case.name}' stops a PostgreSQL server; {postgres.MISSING}")
        stage.server = stack.enter_context(postgres.server(programs))
        stage.store_url = variables["REPARTEE_DATABASE_URL"] = stage.server.new_database()
    if case.needs == "small-disk":
        stage.spool = stack.enter_context(_small_disk(state / "spool"))
    if case.needs == "two-calls":
        variables["REPARTEE_MAX_CALLS"] = "2"
    running = await stack.enter_async_context(instance(file, state, variables))
    stage.system = Ours(running)
    return stage


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small disk in memory.

    Raises:
        ConfigError: That is not allowed here.
    """
    folder.mkdir(parents=True, mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK},mode=700", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        raise ConfigError("a small disk cannot be mounted here; run the case 'disk-full' as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=False, capture_output=True)


# --- a case ---------------------------------------------------------------------------------------------------


async def _conduct(options: ChaosOptions, case: Case, stage: _Stage, items: Mapping[str, Item]) -> Row:
    bill = stage.simulator.desk.bill
    voiced = lambda: [entry.text for entry in bill.entries if entry.stage == "tts"]  # noqa: E731
    bad_starts = 0
    try:
        for _ in range(TRIES):
            scene = _scene(stage)
            stage.proxy.strikes.clear()
            bill.reset()
            played = await play(case, scene, items, voiced)
            if not played.spoiled:
                break
            bad_starts += 1
    except (MediaError, TimeoutError) as error:
        return _unplayed(case, stage.system.name, f"the call could not be made: {error or 'no answer'}")
    if len(played.turns) < 2:
        if options.keep is not None:
            await asyncio.to_thread(_keep, options.keep, f"{case.name}-{stage.system.name}", played, None)
        return _unplayed(case, stage.system.name, "the turn before the fault was not answered")
    notes = dict(scene.notes) | {"bad_starts": bad_starts}
    notes["asked"] = [f"{entry.said} ({entry.outcome})" for entry in bill.entries if entry.stage == "llm"]
    notes["said"] = played.turns[1].texts
    if stage.store_url is not None:
        notes |= await asyncio.to_thread(_kept, stage, case, played, items)
    timeline = notes.pop("timeline", None)
    if options.keep is not None:
        await asyncio.to_thread(_keep, options.keep, f"{case.name}-{stage.system.name}", played, timeline)
    turns = (played.turns[0], played.turns[1], played.turns[2] if len(played.turns) > 2 else None)
    verdict = await asyncio.to_thread(judge, played.tape, turns, scene.struck_s, over=played.ended)
    return _row(case, stage.system.name, verdict, scene.struck_s, notes)


def _scene(stage: _Stage) -> Scene:
    return Scene(
        stage.proxy,
        stage.system,
        Caller(),
        stage.livekit.kill,
        stage.livekit.start,
        stage.server.stop if stage.server else None,
        stage.server.start if stage.server else None,
        stage.spool,
        stage.stranger,
    )


def _unplayed(case: Case, system: str, why: str) -> Row:
    """Return a row that tells nothing about the fault: it never came to that. It is shown, and not written."""
    nothing = Heard(
        "the call ended", 0, 0, 0, ordered=True, foreign=0, first_s=None, silent_s=None, last_s=None
    )
    row = _row(case, system, Verdict(nothing, None, None, None, (why,)), 0.0, {})
    return row | {"seen": "not played", "verdict": "unplayed"}


def _row(case: Case, system: str, verdict: Verdict, struck_s: float | None, notes: Mapping[str, Any]) -> Row:
    broken = [*verdict.broken, *notes.get("broken", ())]
    if struck_s is None:
        broken.append("the fault was not felt")
    others = list(map(str, notes.get("others", ())))
    if silent := sum(other == "silence" for other in others):
        broken.append(f"{silent} others who called heard nothing at all")
    if wrong := [other for other in others if other not in FARES_WELL]:
        broken.append(f"others who called: {'; '.join(wrong)}")
    held = not broken
    return {
        "system": system,
        "case": case.name,
        "what": case.what,
        "seen": seen(verdict),
        "added_silence_s": verdict.added_silence_s,
        "recovery_s": verdict.recovery_s,
        "lost": verdict.during.lost,
        "said_twice": verdict.during.twice,
        "cut_said_again": verdict.during.cut_again,
        "next_turn": verdict.after.outcome if verdict.after else "the call was over",
        "broken": broken,
        "expected": case.expected if system == OURS else "",
        "verdict": "held" if held else "expected" if case.expected and system == OURS else "broken",
        "notes": {name: value for name, value in notes.items() if name != "broken"},
        "details": verdict.row(),
    }


def _kept(stage: _Stage, case: Case, played: Played, items: Mapping[str, Item]) -> dict[str, Any]:
    """Read what the records have of the call, and hold the turns against it."""
    assert stage.store_url is not None  # noqa: S101 - asked by the caller
    assert stage.state is not None  # noqa: S101 - ours has one
    said = [items[name].text for name in (FIRST, case.question, LAST)]
    told = _told(stage)
    broken = [f"the log does not tell of it: {case.tells}"] if case.tells and case.tells not in told else []
    broken += ["rows were lost"] if "store.rows_lost" in told else []
    notes: dict[str, Any] = {"log": told, "broken": broken}
    store = Store.open(stage.store_url, spool=stage.state / "spool")
    try:
        call = next((kept.call for kept in store.calls() if kept.call.room == played.room), None)
        if call is None:
            return notes | {"broken": [*broken, "the records know nothing of the call"]}
        kept = store.turns(call.call_id)
        notes["reason"] = call.reason
        notes["timeline"] = stage.state / "calls" / f"{call.call_id}.jsonl"
        if case.refuses is not None:
            what, least = case.refuses
            notes["refused"] = refused = _refused(notes["timeline"])
            if refused.get(what, 0) < least:
                broken.append(
                    f"of {what} the timeline counts {refused.get(what, 0)}, which should be {least}"
                )
    finally:
        store.close()
    for turn, words in zip(played.turns, said, strict=False):
        _compare(turn, words, [(row.user_text, row.heard_text) for row in kept])
    if case.loses_answer:
        played.turns[1].kept = None
    return notes


def _refused(timeline: Path) -> dict[str, int]:
    """Return which messages of participants were refused, and how many."""
    marks = map(json.loads, timeline.read_text(encoding="utf-8").splitlines())
    told: dict[str, Any] = next((mark for mark in marks if mark["name"] == "messages.refused"), {})
    return {name: count for name, count in told.items() if "." in name}


def _compare(turn: Turn, words: str, kept: list[tuple[str, str]]) -> None:
    mine = [row for row in kept if normalised(row[0]) == normalised(words)]
    turn.kept_words = mine[0][0] if mine else ""
    turn.kept = " ".join(heard for _, heard in mine)


def _told(stage: _Stage) -> list[str]:
    """Return the kinds of trouble the log tells of since it was last asked."""
    assert stage.state is not None  # noqa: S101 - ours has one
    log = (stage.state / "output.log").read_bytes()
    text, stage.logged = log[stage.logged :].decode(errors="replace"), len(log)
    return sorted(set(re.findall(r'"event": "([a-z_.]+)", [^\n]*"level": "(?:warning|error)"', text)))


def _keep(folder: Path, name: str, played: Played, timeline: Path | None) -> None:
    """Keep what was heard of the agent, and ours' own account of the call."""
    folder.mkdir(parents=True, exist_ok=True)
    sf.write(folder / f"{name}.flac", played.tape, RATE_HZ)
    if timeline is not None and timeline.is_file():
        shutil.copyfile(timeline, folder / f"{name}.jsonl")
