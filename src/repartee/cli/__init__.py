"""The command line. The only place that reads the environment and prints; each command imports what it needs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from repartee.cli import calls as _calls
from repartee.cli import costs as _costs
from repartee.cli import devices as _devices
from repartee.cli import measuring as _measuring
from repartee.cli import meet as _meet
from repartee.cli import models as _models
from repartee.cli.environment import read_settings as _settings
from repartee.cli.stopping import Stop
from repartee.cli.stopping import run_to_end as _run
from repartee.errors import ConfigError, ReparteeError
from repartee.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # it prints local variables, and with them keys
)
out = Console(highlight=False)
# Twenty-odd commands in one list help nobody: the help shows them by what one is about to do.
TALK, AGENT, SERVE = "Talk", "An agent of your own", "Serve"
CALLS, MEASURE = "Calls and costs", "Measure, and break"
AgentOption = Annotated[Path | None, typer.Option(help="The agent file.")]
PortOption = Annotated[int | None, typer.Option(help="Port of the page.", min=1, max=65535)]


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"repartee {version('repartee-voice')}")
        raise typer.Exit


@app.callback()
def _repartee(
    show: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Self-hosted real-time voice agents."""


def _serve(settings: Settings, *, http: bool, worker: bool) -> None:
    from repartee.cli.up import up as run_up  # noqa: PLC0415
    from repartee.worker.logs import quiet_pipecat, set_up_logs  # noqa: PLC0415

    talks = http and settings.a2a_calls > 0  # other agents talk to this very process
    set_up_logs(settings.log_level, settings.secrets, in_call=talks)
    if talks:
        quiet_pipecat()
    _run(lambda stop: run_up(settings, stop, http=http, worker=worker))


@app.command(rich_help_panel=TALK)
def up(
    agent: AgentOption = None,
    port: PortOption = None,
    https: Annotated[
        bool | None, typer.Option("--https", help="For phones in the network, over TLS; prints a QR code.")
    ] = None,
) -> None:
    """Start everything: LiveKit (unless LIVEKIT_URL is set), the worker, the page."""
    _serve(_settings(agent=agent, port=port, https=https), http=True, worker=True)


@app.command(rich_help_panel=TALK)
def call(
    more: Annotated[list[Path] | None, typer.Argument(metavar="AUDIO", help="Recordings.")] = None,
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


@app.command(rich_help_panel=TALK)
def say(
    text: Annotated[str, typer.Argument(help="What to say.")],
    out_file: Annotated[Path, typer.Option("--out", help="The sound file to write.")] = Path("said.wav"),
    voice: Annotated[str, typer.Option(help="A voice of this machine, e.g. espeak:de.")] = "en_US-joe-medium",
) -> None:
    """Make a recording with the on-device voice: something to call with where there is no microphone."""
    from repartee.cli.say import say as run_say  # noqa: PLC0415

    asyncio.run(run_say([(text, out_file)], voice, _settings().models_dir))
    out.print(f"wrote {out_file}", soft_wrap=True)


@app.command(rich_help_panel=TALK)
def doctor(
    agent: AgentOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look for what would keep a call from working; each finding comes with its fix."""
    from repartee.cli.doctor import doctor as run_doctor  # noqa: PLC0415

    if not asyncio.run(run_doctor(_settings(agent=agent), out, as_json=as_json)):
        sys.exit(1)


@app.command(rich_help_panel=AGENT)
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


@app.command(rich_help_panel=AGENT)
def check(agent: Annotated[Path, typer.Argument(help="The agent file.")]) -> None:
    """Check an agent file."""
    from repartee.agent import load_agent, team_of  # noqa: PLC0415
    from repartee.session.prompt_budget import check_budget  # noqa: PLC0415

    loaded = load_agent(agent)
    team = team_of(loaded, load_agent)
    for one in team:
        check_budget(one)
    answers, tools = len(loaded.answers), len(loaded.tools)
    counts = f"{answers} answer{'s' * (answers != 1)}, {tools} tool{'s' * (tools != 1)}"
    if len(team) > 1:
        counts += f", a team of {len(team)} ({', '.join(one.name for one in team[1:])})"
    out.print(f"{agent}: {loaded.name}, {counts}, version {loaded.version}", soft_wrap=True)


@app.command(rich_help_panel=AGENT)
def schema() -> None:
    """Print the JSON Schema of agent files, for editors."""
    from repartee.agent import agent_json_schema  # noqa: PLC0415

    sys.stdout.write(json.dumps(agent_json_schema(), indent=2) + "\n")


@app.command(name="eval", rich_help_panel=AGENT)
def evaluate(  # noqa: PLR0913, PLR0917 - one option for each thing that may be chosen
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
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


app.command(rich_help_panel=AGENT)(_meet.meet)


@app.command(rich_help_panel=SERVE)
def serve(agent: AgentOption = None, port: PortOption = None) -> None:
    """Serve the token endpoint and the page only, against LIVEKIT_URL."""
    _serve(_settings(agent=agent, port=port), http=True, worker=False)


@app.command(rich_help_panel=SERVE)
def worker(agent: AgentOption = None) -> None:
    """Run the worker only, against LIVEKIT_URL."""
    _serve(_settings(agent=agent), http=False, worker=True)


@app.command(rich_help_panel=SERVE)
def key(name: Annotated[str, typer.Argument(help="Whose it will be, e.g. shop.")]) -> None:
    """Make an API key: shown once, and what of it goes into REPARTEE_API_KEYS or REPARTEE_OPERATOR_KEYS."""
    from repartee.server.keys import entry_of, new_key  # noqa: PLC0415

    made = new_key()
    out.print(f"key    {made}\nentry  {entry_of(name, made)}", markup=False, soft_wrap=True)


def _platforms(incomplete: str) -> list[str]:
    from repartee.cli.client import platforms  # noqa: PLC0415

    return [name for name in platforms() if name.startswith(incomplete)]


@app.command(rich_help_panel=SERVE)
def client(
    platform: Annotated[
        str,
        typer.Argument(
            help="swift, android, flutter, react-native, esp32 or web.", autocompletion=_platforms
        ),
    ],
    url: Annotated[str | None, typer.Option(help="The server's address, as clients reach it.")] = None,
) -> None:
    """Print what to change in LiveKit's starter app for a platform, so that it calls this server."""
    from repartee.cli.client import guide  # noqa: PLC0415

    sys.stdout.write(guide(platform, _settings(), url))


app.command("device-token", rich_help_panel=SERVE)(_devices.device_token)
app.add_typer(_models.app, name="models", rich_help_panel=SERVE)
app.add_typer(_calls.app, name="calls", rich_help_panel=CALLS)
app.command(rich_help_panel=CALLS)(_costs.costs)
app.command(rich_help_panel=CALLS)(_calls.export)
app.command(rich_help_panel=CALLS)(_calls.forget)
app.add_typer(_measuring.bench_app, name="bench", rich_help_panel=MEASURE)
app.command(rich_help_panel=MEASURE)(_measuring.simulate)
app.command(name="faults", rich_help_panel=MEASURE)(_measuring.fault_proxy)
app.command(rich_help_panel=MEASURE)(_measuring.chaos)


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
