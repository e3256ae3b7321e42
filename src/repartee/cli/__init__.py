"""The command line. The only place that reads the environment and prints; each command imports what it needs."""

from __future__ import annotations

import asyncio
import contextlib
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
from repartee.cli import devices as _devices
from repartee.cli import meet as _meet
from repartee.cli import models as _models
from repartee.cli.environment import read_settings as _settings
from repartee.cli.stopping import Stop
from repartee.errors import ConfigError, ReparteeError
from repartee.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # it prints local variables, and with them keys
    help="Self-hosted real-time voice agents.",
)
out = Console(highlight=False)
AgentOption = Annotated[Path | None, typer.Option(help="The agent file.")]
PortOption = Annotated[int | None, typer.Option(help="Port of the page.")]


def _run(work: Callable[[Stop], Coroutine[Any, Any, None]]) -> None:
    """Run until the work is done; Ctrl+C and SIGTERM set the event it is given (`stopping.Stop`)."""

    async def main() -> None:
        stop = Stop()
        stop.listen()
        await work(stop)

    asyncio.run(main())


def _measure(work: Coroutine[Any, Any, Any]) -> None:
    """Run a measurement; ended from outside, it ends the servers it has started, as with Ctrl+C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asyncio.run(work)


def _serve(settings: Settings, *, http: bool, worker: bool) -> None:
    from repartee.cli.up import up as run_up  # noqa: PLC0415
    from repartee.worker.logs import quiet_pipecat, set_up_logs  # noqa: PLC0415

    talks = http and settings.a2a_calls > 0  # other agents talk to this very process
    set_up_logs(settings.log_level, settings.secrets, in_call=talks)
    if talks:
        quiet_pipecat()
    _run(lambda stop: run_up(settings, stop, http=http, worker=worker))


@app.command()
def up(
    agent: AgentOption = None,
    port: PortOption = None,
    https: Annotated[
        bool | None, typer.Option("--https", help="For phones in the network, over TLS; prints a QR code.")
    ] = None,
) -> None:
    """Start everything: LiveKit (unless LIVEKIT_URL is set), the worker, the page."""
    _serve(_settings(agent=agent, port=port, https=https), http=True, worker=True)


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
    """Call the agent with recordings, over real WebRTC: levels, captions, and how long each answer took."""
    from repartee.cli.console import hold_call, report_json  # noqa: PLC0415

    files = [*(audio or []), *(more or [])]
    if not files:
        raise ConfigError("nothing to say: give at least one recording, as in `repartee call --audio a.flac`")
    report = asyncio.run(hold_call(url, files, record, None if as_json else out))
    if as_json:
        sys.stdout.write(report_json(report) + "\n")


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="What to say.")],
    out_file: Annotated[Path, typer.Option("--out", help="The sound file to write.")] = Path("said.wav"),
    voice: Annotated[str, typer.Option(help="A voice of this machine, e.g. espeak:de.")] = "en_US-joe-medium",
) -> None:
    """Make a recording with the on-device voice: something to call with where there is no microphone."""
    from repartee.cli.say import say as run_say  # noqa: PLC0415

    asyncio.run(run_say([(text, out_file)], voice, _settings().models_dir))
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
    faults: Annotated[Path | None, typer.Option(help="What goes wrong, as YAML; see docs/faults.md.")] = None,
) -> None:
    """Stand in for OpenAI, ElevenLabs and Cartesia: same wire formats, known latency, every request billed."""
    from repartee.cli.faults import run_simulator  # noqa: PLC0415
    from repartee.simulator.providers import SimulatorConfig  # noqa: PLC0415

    config = SimulatorConfig(port, profile, seed, speech, bill, script)
    _run(lambda stop: run_simulator(config, faults, stop, out))


@app.command(name="faults")
def fault_proxy(
    plan: Annotated[Path, typer.Argument(help="What goes wrong, as YAML; see docs/faults.md.")],
    vendor: Annotated[str, typer.Option(help="Where requests are passed on to.")] = "https://api.openai.com",
    port: Annotated[int, typer.Option(help="Port on loopback.")] = 9200,
) -> None:
    """Stand before a vendor and break what is passed on, as a plan says, the same in every run."""
    from repartee.cli.faults import run_proxy  # noqa: PLC0415

    _run(lambda stop: run_proxy(plan, vendor, port, stop, out))


bench_app = typer.Typer(help="Measure calls on their audio, one at a time or many at once.")
app.add_typer(bench_app, name="bench")


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
    items: Annotated[int | None, typer.Option(help="So many of each suite; all when left out.")] = None,
    seed: Annotated[int, typer.Option(help="Of orders, latencies and moments.")] = 1,
    stt: Annotated[str, typer.Option(help="Our speech-to-text.")] = "openai:gpt-4o-mini-transcribe",
    speech: Annotated[
        Path | None, typer.Option(help="The recordings to say.", envvar="REPARTEE_SPEECH")
    ] = None,
    warm_up: Annotated[int, typer.Option(help="Turns of a first call that is not counted.")] = 12,
    write: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep what was heard of the agent, and the timeline, in this folder.")
    ] = None,
) -> None:
    """Measure calls on their audio: response, cut-ins, interruption, noise, waste, and the same of peers."""
    if context.invoked_subcommand is not None:
        return
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
    hold: Annotated[float, typer.Option(help="Seconds that a step is held.")] = 40.0,
    rate: Annotated[float, typer.Option(help="Arrivals in a second, for churn.")] = 2.0,
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
    spy: Annotated[Path | None, typer.Option(help="Folder for py-spy's samples, if it is installed.")] = None,
    write: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    append: Annotated[bool, typer.Option("--append", help="Keep the steps that are in the file.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
) -> None:
    """Load a server with many callers at once: response, gaps, cores and memory for each number of calls."""
    from repartee.cli.load import MODES, LoadOptions, run_load  # noqa: PLC0415

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
    asyncio.run(run_voices(options, _settings(), write, html, out))


@app.command()
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
    from repartee.simulator.chaos.cases import OURS  # noqa: PLC0415

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

    _run(work)
    if not rows or any(row["verdict"] in {"broken", "unplayed"} and row["system"] == OURS for row in rows):
        raise typer.Exit(1)


@app.command(name="eval")
def evaluate(  # noqa: PLR0913, PLR0917 - one option for each thing that may be chosen
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Scenario files and folders; `tests` beside the agent file when left out.",
        ),
    ] = None,
    agent: AgentOption = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only scenarios with this in their name; may be repeated.")
    ] = None,
    script: Annotated[
        Path | None, typer.Option(help="Answer with this script of a simulated model, as YAML.")
    ] = None,
    call: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Speak instead of typing: call the server that runs there, over WebRTC."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that an answer may take where a scenario says nothing.")
    ] = 15.0,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file, for CI.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page to show to this file.")] = None,
    write: Annotated[Path | None, typer.Option(help="Write the results to this file, as JSON.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Compare with what --write wrote; only what got worse fails.")
    ] = None,
) -> None:
    """Hold conversations from scenario files with the agent, by typing, and judge them; 1 when one fails."""
    from repartee.cli.evals import EvalFiles, EvalOptions, run_eval, show_trouble  # noqa: PLC0415
    from repartee.worker.logs import set_up_logs  # noqa: PLC0415

    settings = _settings(agent=agent)
    set_up_logs("error", settings.secrets, in_call=True)
    show_trouble()
    if call is not None and script is not None:
        raise ConfigError(
            "--call calls a server that has a model of its own; start that with the script instead"
        )
    options = EvalOptions(tuple(files or ()), tuple(only or ()), script, timeout, call)
    written = EvalFiles(junit, html, write, baseline)
    good = False

    async def work(stop: Stop) -> None:
        nonlocal good
        good = await run_eval(settings, options, written, stop, out)

    _run(work)
    if not good:
        raise typer.Exit(1)


@app.command()
def check(agent: Annotated[Path, typer.Argument(help="The agent file.")]) -> None:
    """Check an agent file."""
    from repartee.agent import load_agent, team_of  # noqa: PLC0415
    from repartee.session.prompt_budget import check_budget  # noqa: PLC0415

    loaded = load_agent(agent)
    team = team_of(loaded, load_agent)
    for one in team:
        check_budget(one)
    counts = f"{len(loaded.answers)} answers, {len(loaded.tools)} tools"
    if len(team) > 1:
        counts += f", a team of {len(team)} ({', '.join(one.name for one in team[1:])})"
    out.print(f"{agent}: {loaded.name}, {counts}, version {loaded.version}", soft_wrap=True)


@app.command()
def schema() -> None:
    """Print the JSON Schema of agent files, for editors."""
    from repartee.agent import agent_json_schema  # noqa: PLC0415

    sys.stdout.write(json.dumps(agent_json_schema(), indent=2) + "\n")


@app.command()
def doctor(
    agent: AgentOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look for what would keep a call from working; each finding comes with its fix."""
    from repartee.cli.doctor import doctor as run_doctor  # noqa: PLC0415

    if not asyncio.run(run_doctor(_settings(agent=agent), out, as_json=as_json)):
        sys.exit(1)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet, or is empty.")],
    name: Annotated[
        str | None, typer.Option(help="What callers see; the folder's name when left out.")
    ] = None,
) -> None:
    """Begin an agent of your own: its file, a tool, tests for both."""
    from repartee.cli.init import init as run_init  # noqa: PLC0415

    for line in run_init(folder, name):
        out.print(line, soft_wrap=True)


@app.command()
def key(name: Annotated[str, typer.Argument(help="Whose it will be, e.g. shop.")]) -> None:
    """Make an API key: shown once, and what of it goes into REPARTEE_API_KEYS or REPARTEE_OPERATOR_KEYS."""
    from repartee.server.keys import entry_of, new_key  # noqa: PLC0415

    made = new_key()
    out.print(f"key    {made}\nentry  {entry_of(name, made)}", markup=False, soft_wrap=True)


@app.command()
def client(
    platform: Annotated[str, typer.Argument(help="swift, android, flutter, react-native, esp32 or web.")],
    url: Annotated[str | None, typer.Option(help="The server's address, as clients reach it.")] = None,
) -> None:
    """Print what to change in LiveKit's starter app for a platform, so that it calls this server."""
    from repartee.cli.client import guide  # noqa: PLC0415

    sys.stdout.write(guide(platform, _settings(), url))


app.add_typer(_models.app, name="models")
app.add_typer(_calls.app, name="calls")
app.command("device-token")(_devices.device_token)
app.command()(_meet.meet)
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
