"""The command line. The only place that reads the environment and prints; each command imports what it needs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from repartee.cli import calls as _calls
from repartee.cli import costs as _costs
from repartee.cli.environment import read_settings as _settings
from repartee.errors import ConfigError, ReparteeError
from repartee.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # it prints local variables, and with them keys
    help="Self-hosted real-time voice agents.",
)
out = Console(highlight=False)
AgentOption = Annotated[Path | None, typer.Option(help="The agent file.")]
PortOption = Annotated[int | None, typer.Option(help="Port of the page.")]


def _run(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run until the work is done; Ctrl+C and SIGTERM set the event it is given."""

    async def main() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await work(stop)

    asyncio.run(main())


def _serve(settings: Settings, *, http: bool, worker: bool) -> None:
    from repartee.cli.up import up as run_up  # noqa: PLC0415
    from repartee.worker.logs import set_up_logs  # noqa: PLC0415

    set_up_logs(settings.log_level, settings.secrets)
    _run(lambda stop: run_up(settings, stop, http=http, worker=worker))


@app.command()
def up(agent: AgentOption = None, port: PortOption = None) -> None:
    """Start everything: LiveKit (unless LIVEKIT_URL is set), the worker, the page."""
    _serve(_settings(agent=agent, port=port), http=True, worker=True)


@app.command()
def serve(agent: AgentOption = None, port: PortOption = None) -> None:
    """Serve the token endpoint and the page only, against LIVEKIT_URL."""
    _serve(_settings(agent=agent, port=port), http=True, worker=False)


@app.command()
def worker(agent: AgentOption = None) -> None:
    """Run the worker only, against LIVEKIT_URL."""
    _serve(_settings(agent=agent), http=False, worker=True)


@app.command()
def call(
    more: Annotated[list[Path] | None, typer.Argument(metavar="[AUDIO]...", help="Recordings.")] = None,
    audio: Annotated[list[Path] | None, typer.Option(help="Recordings, said in this order.")] = None,
    url: Annotated[str, typer.Option(help="The server's address.")] = "http://127.0.0.1:8080",
    record: Annotated[Path | None, typer.Option(help="Write both sides to this stereo file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Call the agent with recordings, over real WebRTC, and print what was heard."""
    from repartee.simulator import caller  # noqa: PLC0415

    files = [*(audio or []), *(more or [])]
    if not files:
        raise ConfigError("nothing to say: give at least one recording, as in `repartee call --audio a.flac`")
    report = asyncio.run(caller.call(url, files, record))
    if as_json:
        sys.stdout.write(caller.as_json(report) + "\n")
        return
    out.print(f"[bold]agent[/bold]   {report.greeting}", soft_wrap=True)
    for exchange in report.exchanges:
        out.print(f"[dim]{exchange.audio}[/dim]")
        out.print(f"[bold]heard[/bold]   {exchange.heard}", soft_wrap=True)
        latency = f"{exchange.latency_ms:.0f} ms" if exchange.latency_ms is not None else "no answer"
        out.print(f"[bold]agent[/bold]   {exchange.reply}  [dim]({latency})[/dim]", soft_wrap=True)


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="What to say.")],
    out_file: Annotated[Path, typer.Option("--out", help="The sound file to write.")] = Path("said.wav"),
) -> None:
    """Make a recording with the on-device voice: something to call with where there is no microphone."""
    from repartee.cli.say import say as run_say  # noqa: PLC0415

    asyncio.run(run_say([(text, out_file)]))
    out.print(f"wrote {out_file}", soft_wrap=True)


@app.command()
def simulate(
    port: Annotated[int, typer.Option(help="Port on loopback.")] = 9100,
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
) -> None:
    """Stand in for OpenAI, ElevenLabs and Cartesia: same wire formats, known latency, every request billed."""
    from repartee.simulator.providers import Simulator, SimulatorConfig  # noqa: PLC0415

    config = SimulatorConfig(port, profile, seed, speech, bill, script)

    async def work(stop: asyncio.Event) -> None:
        async with Simulator.start(config) as simulator:
            out.print(f"the simulator listens at [bold]{simulator.url}[/bold]; to use it:\n")
            for name, value in simulator.environment.items():
                out.print(f"export {name}={value}", soft_wrap=True)
            await stop.wait()

    _run(work)


@app.command()
def bench(  # noqa: PLR0913, PLR0917 - one option for each thing that may be chosen
    suite: Annotated[
        list[str] | None,
        typer.Option(
            help="latency, pauses, barge-in, backchannel, noise, conversation, or all; may be repeated."
        ),
    ] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="Call the peers too; `make bench-peers` first.")
    ] = False,
    system: Annotated[list[str] | None, typer.Option(help="Call only these.")] = None,
    profile: Annotated[str, typer.Option(help="The vendors' latency.")] = "fixed:300/350/250",
    items: Annotated[int | None, typer.Option(help="So many of each suite; all when left out.")] = None,
    seed: Annotated[int, typer.Option(help="Of orders, latencies and moments.")] = 1,
    knob: Annotated[float, typer.Option(help="Endpointing delay in seconds; 0 leaves what is usual.")] = 0.0,
    stt: Annotated[str, typer.Option(help="Our speech-to-text.")] = "openai:gpt-4o-mini-transcribe",
    speech: Annotated[
        Path | None, typer.Option(help="The recordings to say.", envvar="REPARTEE_SPEECH")
    ] = None,
    warm_up: Annotated[int, typer.Option(help="Turns of a first call that is not counted.")] = 12,
    write: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep what was heard of the agent in this folder.")
    ] = None,
) -> None:
    """Measure calls on their audio: response, cut-ins, interruption, noise, waste, and the same of peers."""
    from repartee.cli.bench import OURS, BenchOptions, run_bench  # noqa: PLC0415
    from repartee.simulator.material import SUITES  # noqa: PLC0415
    from repartee.simulator.systems import PEERS  # noqa: PLC0415

    wanted = tuple(suite or ["latency"])
    options = BenchOptions(
        suites=SUITES if "all" in wanted else cast("Any", wanted),
        systems=tuple(system) if system else (OURS, *(PEERS if peers else ())),
        profile=profile,
        items=items,
        seed=seed,
        knob=knob,
        stt=stt,
        warm_up=warm_up,
        speech=speech or Path("../shared/speech"),
        keep=keep,
    )
    asyncio.run(run_bench(options, write, html, out))


@app.command()
def check(agent: Annotated[Path, typer.Argument(help="The agent file.")]) -> None:
    """Check an agent file."""
    from repartee.agent import load_agent  # noqa: PLC0415
    from repartee.session.prompt_budget import check_budget  # noqa: PLC0415

    loaded = load_agent(agent)
    check_budget(loaded)
    counts = f"{len(loaded.answers)} answers, {len(loaded.tools)} tools"
    out.print(f"{agent}: {loaded.name}, {counts}, version {loaded.version}", soft_wrap=True)


@app.command()
def schema() -> None:
    """Print the JSON Schema of agent files, for editors."""
    from repartee.agent import agent_json_schema  # noqa: PLC0415

    sys.stdout.write(json.dumps(agent_json_schema(), indent=2) + "\n")


@app.command()
def key(name: Annotated[str, typer.Argument(help="Whose it will be, e.g. shop.")]) -> None:
    """Make an API key: shown once, and what of it goes into REPARTEE_API_KEYS or REPARTEE_OPERATOR_KEYS."""
    from repartee.server.keys import entry_of, new_key  # noqa: PLC0415

    made = new_key()
    out.print(f"key    {made}\nentry  {entry_of(name, made)}", markup=False, soft_wrap=True)


@app.command()
def models() -> None:
    """Verify the on-device models by SHA-256."""
    from repartee.providers.ondevice.registry import verify  # noqa: PLC0415

    wrong = False
    for path, good in verify():
        wrong |= not good
        out.print(f"{'ok   ' if good else '[red]WRONG[/red]'} {path.name}")
    if wrong:
        raise ConfigError(
            "a model file is not what it should be; delete the environment and run `make setup`"
        )


app.add_typer(_calls.app, name="calls")
app.command()(_calls.forget)
app.command()(_calls.export)
app.command()(_costs.costs)


def main() -> None:
    """Run a command; what a person must know is one sentence on stderr."""
    # Before numpy is imported: its BLAS threads starve the models' own on few cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Before Pipecat is: it greets on stderr while it is imported.
    os.environ.setdefault("LOGURU_LEVEL", "WARNING")
    try:
        app()
    except ReparteeError as error:
        Console(stderr=True, highlight=False).print(f"[red]repartee:[/red] {error}", soft_wrap=True)
        sys.exit(error.exit_code)
