"""The commands that measure, and those that stand in for vendors and break things: each imports what it needs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from repartee.cli.asking import out
from repartee.cli.environment import read_settings
from repartee.cli.stopping import run_to_end
from repartee.errors import ConfigError

bench_app = typer.Typer(help="Measure calls on their audio, one at a time or many at once.")


def _measure(work: Coroutine[Any, Any, Any]) -> None:
    """Run a measurement; ended from outside, it ends the servers it has started, as with Ctrl+C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asyncio.run(work)


def simulate(
    port: Annotated[int, typer.Option(help="Port on loopback.", min=1, max=65535)] = 9100,
    profile: Annotated[
        str,
        typer.Option(help="Latency: a profile's name, `instant`, or `fixed:STT/FIRST TOKEN/FIRST AUDIO`."),
    ] = "fast",
    seed: Annotated[int, typer.Option(help="The same seed draws the same latencies.")] = 1,
    speech: Annotated[
        Path | None, typer.Option(help="The recordings to recognise.", envvar="REPARTEE_SPEECH")
    ] = None,
    bill: Annotated[Path | None, typer.Option(help="Write every request and its price here.")] = None,
    script: Annotated[Path | None, typer.Option(help="What the model answers, as YAML.")] = None,
    faults: Annotated[Path | None, typer.Option(help="What goes wrong, as YAML; see docs/faults.md.")] = None,
) -> None:
    """Stand in for OpenAI, ElevenLabs and Cartesia: same wire formats, known latency, every request billed."""
    from repartee.cli.faults import run_simulator  # noqa: PLC0415
    from repartee.simulator.providers import SimulatorConfig  # noqa: PLC0415

    config = SimulatorConfig(port, profile, seed, speech, bill, script)
    run_to_end(lambda stop: run_simulator(config, faults, stop, out))


def fault_proxy(
    plan: Annotated[Path, typer.Argument(help="What goes wrong, as YAML; see docs/faults.md.")],
    vendor: Annotated[str, typer.Option(help="Where requests are passed on to.")] = "https://api.openai.com",
    port: Annotated[int, typer.Option(help="Port on loopback.", min=1, max=65535)] = 9200,
) -> None:
    """Stand before a vendor and break what is passed on, as a plan says, the same in every run."""
    from repartee.cli.faults import run_proxy  # noqa: PLC0415

    run_to_end(lambda stop: run_proxy(plan, vendor, port, stop, out))


@bench_app.callback(invoke_without_command=True)
def bench(  # noqa: PLR0913, PLR0917 - one option for each thing that may be chosen
    context: typer.Context,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            help="latency, pauses, barge-in, backchannel, noise, conversation, or all; may be repeated."
        ),
    ] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="Call the peers too; `make bench-peers` first.")
    ] = False,
    system: Annotated[
        list[str] | None, typer.Option(help="Call only these; NAME@SECONDS sets an endpointing delay.")
    ] = None,
    profile: Annotated[str, typer.Option(help="The vendors' latency.")] = "fixed:300/350/250",
    items: Annotated[
        int | None, typer.Option(help="So many of each suite; all when left out.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of orders, latencies and moments.")] = 1,
    stt: Annotated[str, typer.Option(help="Our speech-to-text.")] = "openai:gpt-4o-mini-transcribe",
    speech: Annotated[
        Path | None, typer.Option(help="The recordings to say.", envvar="REPARTEE_SPEECH")
    ] = None,
    warm_up: Annotated[int, typer.Option(help="Turns of a first call that is not counted.", min=0)] = 12,
    write: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep what was heard of the agent, and the timeline, in this folder.")
    ] = None,
) -> None:
    """Measure calls on their audio: response, cut-ins, interruption, noise, waste, and the same of peers."""
    if context.invoked_subcommand is not None:
        return
    from repartee.cli.bench import BenchOptions, run_bench  # noqa: PLC0415
    from repartee.simulator.material import SUITES  # noqa: PLC0415
    from repartee.simulator.systems import OURS, PEERS  # noqa: PLC0415

    wanted = tuple(suite or ["latency"])
    options = BenchOptions(
        suites=SUITES if "all" in wanted else cast("Any", wanted),
        systems=tuple(system) if system else (OURS, *(PEERS if peers else ())),
        profile=profile,
        items=items,
        seed=seed,
        stt=stt,
        warm_up=warm_up,
        speech=speech or Path("../shared/speech"),
        keep=keep,
    )
    _measure(run_bench(options, write, html, out))


@bench_app.command()
def load(  # noqa: PLR0913, PLR0917 - one option for each thing that may be chosen
    mode: Annotated[str, typer.Option(help="steady, churn, overload, kill or kills.")] = "steady",
    calls: Annotated[str, typer.Option(help="Calls at once, a step for each: 1,8,16.")] = "1,8,16",
    system: Annotated[
        list[str] | None, typer.Option(help="Whom to call: repartee, or a peer; may be repeated.")
    ] = None,
    hold: Annotated[float, typer.Option(help="Seconds that a step is held.", min=1)] = 40.0,
    rate: Annotated[float, typer.Option(help="Arrivals in a second, for churn.", min=0.01)] = 2.0,
    kills: Annotated[
        int, typer.Option(help="Processes to kill, one every eight seconds, for kills.", min=1)
    ] = 200,
    profile: Annotated[str, typer.Option(help="The vendors' latency.")] = "fixed:300/350/250",
    seed: Annotated[int, typer.Option(help="Of orders, latencies and arrivals.")] = 1,
    speech: Annotated[
        Path | None, typer.Option(help="The recordings to say.", envvar="REPARTEE_SPEECH")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="A variable of the server: NAME=VALUE; may be repeated.")
    ] = None,
    on_device: Annotated[
        bool, typer.Option("--on-device", help="With this machine's models, without vendors.")
    ] = False,
    spy: Annotated[Path | None, typer.Option(help="Folder for py-spy's samples, if it is installed.")] = None,
    write: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    append: Annotated[bool, typer.Option("--append", help="Keep the steps that are in the file.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
) -> None:
    """Load a server with many callers at once: response, gaps, cores and memory for each number of calls."""
    from repartee.cli.load import run_load  # noqa: PLC0415
    from repartee.cli.load_options import MODES, LoadOptions  # noqa: PLC0415

    try:
        numbers = tuple(int(number) for number in calls.split(","))
    except ValueError as error:
        raise ConfigError(f"--calls takes numbers, as in 1,8,16; '{calls}' is none") from error
    if mode not in MODES or min(numbers) < 1:
        raise ConfigError(
            f"--mode is one of {', '.join(MODES)}, not '{mode}', and --calls takes numbers from 1 on"
        )
    options = LoadOptions(
        mode=cast("Any", mode),
        calls=numbers,
        systems=tuple(system or ("repartee",)),
        hold_s=hold,
        rate=rate,
        kills=kills,
        profile=profile,
        seed=seed,
        speech=speech or Path("../shared/speech"),
        settings=tuple((n, v) for n, _, v in (item.partition("=") for item in setting or ())),
        on_device=on_device,
        spy=spy,
    )
    _measure(run_load(options, write, html, out, append=append))


@bench_app.command()
def voices(  # noqa: PLR0913, PLR0917 - one option for each thing that may be chosen
    voice: Annotated[
        list[str] | None,
        typer.Option(help="provider:model; may be repeated. All there is a key for when left out."),
    ] = None,
    language: Annotated[str, typer.Option(help="Of the texts: en, de, es.")] = "en",
    repeats: Annotated[int, typer.Option(min=1, max=50, help="How often each text is said.")] = 3,
    agent: Annotated[Path | None, typer.Option(help="An agent file, for its voices' names.")] = None,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Add the simulator's stand-ins, marked as such.")
    ] = False,
    first_sound_ms: Annotated[
        float | None, typer.Option(help="Name the voices that are this quick (95th percentile).")
    ] = None,
    word_error: Annotated[
        float | None, typer.Option(help="And of which no larger share of words is misheard, e.g. 0.05.")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page to listen to.")] = None,
) -> None:
    """Compare voices: first sound, speed, how many words are understood, loudness, silence, price."""
    from repartee.cli.voices import VoicesOptions, run_voices  # noqa: PLC0415

    options = VoicesOptions(
        tuple(voice or ()), language, repeats, agent, simulated, first_sound_ms, word_error
    )
    asyncio.run(run_voices(options, read_settings(), write, html, out))


def chaos(
    case: Annotated[list[str] | None, typer.Option(help="Play only these; may be repeated.")] = None,
    system: Annotated[list[str] | None, typer.Option(help="Call these; repartee when left out.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The short run: a few minutes.")] = False,
    speech: Annotated[
        Path | None, typer.Option(help="The recordings to say.", envvar="REPARTEE_SPEECH")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="Write what came of it to this file.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep what was heard of the agent, and the timeline, in this folder.")
    ] = None,
) -> None:
    """Break one thing in each of many calls, and tell what the caller saw, what was lost and how long it took."""
    from repartee.cli.chaos import ChaosOptions, run_chaos  # noqa: PLC0415
    from repartee.simulator.systems import OURS  # noqa: PLC0415

    options = ChaosOptions(
        cases=tuple(case or ()),
        systems=tuple(system or (OURS,)),
        quick=quick,
        speech=speech or Path("../shared/speech"),
        keep=keep,
    )
    rows: list[dict[str, Any]] = []

    async def work(stop: asyncio.Event) -> None:
        playing = asyncio.create_task(run_chaos(options, write, out), name="chaos")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        playing.cancel()  # whatever was started or mounted is taken down
        with contextlib.suppress(asyncio.CancelledError):
            rows.extend(await playing)

    run_to_end(work)
    if not rows or any(row["verdict"] in {"broken", "unplayed"} and row["system"] == OURS for row in rows):
        raise typer.Exit(1)
