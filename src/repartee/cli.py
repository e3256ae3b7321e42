"""The command line. The only place that reads the environment and prints."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from repartee.agent import Agent, agent_json_schema, load_agent
from repartee.errors import ConfigError, MediaError, ReparteeError
from repartee.providers import Ladder, choose_ladder
from repartee.providers.ondevice import SpeechHost
from repartee.providers.ondevice.registry import verify
from repartee.server import Site, create_app
from repartee.settings import Settings
from repartee.simulator.caller import as_json
from repartee.simulator.caller import call as place_call
from repartee.worker import LiveKitAccess, Worker, WorkerConfig
from repartee.worker.logs import set_up_logs

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Self-hosted real-time voice agents.")
out = Console(highlight=False)
LIVEKIT_VERSION = "1.13.5"
LIVEKIT_READY_S = 15.0


def _settings(**given: Any) -> Settings:
    try:
        return Settings().model_copy(
            update={name: value for name, value in given.items() if value is not None}
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"the environment variable for '{first['loc'][0]}' is wrong: {first['msg']}"
        ) from error


def _access(settings: Settings) -> LiveKitAccess:
    if settings.livekit_url and settings.livekit_api_key and settings.livekit_api_secret:
        secret = settings.livekit_api_secret.get_secret_value()
        return LiveKitAccess(settings.livekit_url, settings.livekit_api_key, secret)
    raise ConfigError("set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or use `repartee up`")


def _check_port(host: str, port: int, what: str, variable: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} for {what} is taken; stop what uses it, or set {variable}"
            ) from error


@contextlib.asynccontextmanager
async def _own_livekit(settings: Settings) -> AsyncIterator[LiveKitAccess]:
    """Run a LiveKit server on loopback with a key made for this run."""
    program = (
        shutil.which("livekit-server") or settings.cache_dir / "bin" / f"livekit-server-{LIVEKIT_VERSION}"
    )
    if not Path(program).is_file():
        raise ConfigError("livekit-server is not installed; run `make setup`, or set LIVEKIT_URL to a server")
    _check_port("127.0.0.1", settings.livekit_port, "the LiveKit server", "REPARTEE_LIVEKIT_PORT")
    key, secret = f"key{secrets.token_hex(6)}", secrets.token_urlsafe(32)
    config = {
        "port": settings.livekit_port,
        "bind_addresses": ["127.0.0.1"],
        "keys": {key: secret},
        "logging": {"level": "warn"},
        "rtc": {
            "udp_port": settings.livekit_udp_port,
            "tcp_port": 0,
            "node_ip": "127.0.0.1",
            "use_external_ip": False,
            "enable_loopback_candidate": True,
            "interfaces": {"includes": ["lo" if sys.platform == "linux" else "lo0"]},
            "ips": {"includes": ["127.0.0.0/8"]},
        },
    }
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    file = settings.state_dir / "livekit.json"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(config))  # JSON is YAML
    with (settings.state_dir / "livekit.log").open("ab") as log_file:
        process = await asyncio.create_subprocess_exec(
            str(program), "--config", str(file), stdout=log_file, stderr=log_file, start_new_session=True
        )
    try:
        await _answers(settings.livekit_port, process)
        yield LiveKitAccess(f"ws://127.0.0.1:{settings.livekit_port}", key, secret)
    finally:
        if process.returncode is None:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _answers(port: int, process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(LIVEKIT_READY_S):
            while process.returncode is None:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
    raise MediaError("the LiveKit server did not start; its log is livekit.log in the state folder")


def _banner(settings: Settings, agent: Agent, ladder: Ladder) -> None:
    out.print(
        f"\n[bold]{agent.name}[/bold] is on the line: [bold cyan]http://{settings.host}:{settings.port}[/bold cyan]\n"
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("", "runs on", "lost against the next rung", "to climb"):
        table.add_column(title)
    for name, rung in (("hearing", ladder.stt), ("thinking", ladder.llm), ("speaking", ladder.tts)):
        table.add_row(name, rung.label, rung.lost or "-", rung.climb or "-")
    out.print(table)
    out.print(f"\n[dim]data and logs in {settings.state_dir}; Ctrl+C ends everything[/dim]\n")


class _Http(uvicorn.Server):
    """A server that leaves signals to `up`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


async def _serve_http(settings: Settings, site: Site, stop: asyncio.Event) -> None:
    config = uvicorn.Config(
        create_app(settings, site),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
    )
    server = _Http(config)
    serving = asyncio.create_task(server.serve())
    await asyncio.wait({serving, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving


@contextlib.asynccontextmanager
async def _speech(ladder: Ladder) -> AsyncIterator[str | None]:
    if not ladder.needs_speech_host:
        yield None
        return
    async with SpeechHost.start() as host:
        yield host.url


def _site(settings: Settings, access: LiveKitAccess, agent: Agent, ladder: Ladder) -> Site:
    labels = {"stt": ladder.stt.label, "llm": ladder.llm.label, "tts": ladder.tts.label}
    return Site(access.url, access.url, access.key, access.secret, agent.name, labels)


async def _up(settings: Settings, stop: asyncio.Event, *, http: bool = True, worker: bool = True) -> None:
    agent = load_agent(settings.agent)
    ladder = await choose_ladder(settings, agent)
    if http:
        _check_port(settings.host, settings.port, "the page", "REPARTEE_PORT")
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        own = settings.livekit_url is None and http and worker
        access = await stack.enter_async_context(_own_livekit(settings)) if own else _access(settings)
        jobs: list[asyncio.Task[None]] = []
        if worker:
            speech_url = await stack.enter_async_context(_speech(ladder))
            config = WorkerConfig(settings, access, settings.agent.resolve(), settings.state_dir, speech_url)
            agent_worker = Worker(config)
            jobs.append(asyncio.create_task(agent_worker.run(stop), name="worker"))
            registered = asyncio.create_task(agent_worker.registered.wait())
            await asyncio.wait({registered, *jobs}, return_when=asyncio.FIRST_COMPLETED)
            registered.cancel()
        if http and not any(job.done() for job in jobs):
            jobs.append(
                asyncio.create_task(_serve_http(settings, _site(settings, access, agent, ladder), stop))
            )
            _banner(settings, agent, ladder)
        await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        for result in await asyncio.gather(*jobs, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result


def _run(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await work(stop)

    asyncio.run(main())


AgentOption = Annotated[Path | None, typer.Option(help="The agent file.")]
PortOption = Annotated[int | None, typer.Option(help="Port of the page.")]


@app.command()
def up(agent: AgentOption = None, port: PortOption = None) -> None:
    """Start everything: LiveKit (unless LIVEKIT_URL is set), the worker, the page."""
    settings = _settings(agent=agent, port=port)
    set_up_logs(settings.log_level)
    _run(lambda stop: _up(settings, stop))


@app.command()
def serve(agent: AgentOption = None, port: PortOption = None) -> None:
    """Serve the token endpoint and the page only, against LIVEKIT_URL."""
    settings = _settings(agent=agent, port=port)
    set_up_logs(settings.log_level)
    _run(lambda stop: _up(settings, stop, worker=False))


@app.command()
def worker(agent: AgentOption = None) -> None:
    """Run the worker only, against LIVEKIT_URL."""
    settings = _settings(agent=agent)
    set_up_logs(settings.log_level)
    _run(lambda stop: _up(settings, stop, http=False))


@app.command()
def call(
    audio: Annotated[list[Path], typer.Argument(help="Recordings, said in this order.")],
    url: Annotated[str, typer.Option(help="The server's address.")] = "http://127.0.0.1:8080",
    record: Annotated[Path | None, typer.Option(help="Write both sides to this stereo file.")] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Call the agent with recordings, over real WebRTC, and print what was heard."""
    report = asyncio.run(place_call(url, audio, record))
    if as_json_:
        sys.stdout.write(as_json(report) + "\n")
        return
    out.print(f"[bold]agent[/bold]   {report.greeting}", soft_wrap=True)
    for exchange in report.exchanges:
        out.print(f"[dim]{exchange.audio}[/dim]")
        out.print(f"[bold]heard[/bold]   {exchange.heard}", soft_wrap=True)
        latency = f"{exchange.latency_ms:.0f} ms" if exchange.latency_ms is not None else "no answer"
        out.print(f"[bold]agent[/bold]   {exchange.reply}  [dim]({latency})[/dim]", soft_wrap=True)


@app.command()
def check(agent: Annotated[Path, typer.Argument(help="The agent file.")]) -> None:
    """Check an agent file."""
    loaded = load_agent(agent)
    out.print(
        f"{agent}: {loaded.name}, {len(loaded.answers)} answers, {len(loaded.tools)} tools, version {loaded.version}"
    )


@app.command()
def schema() -> None:
    """Print the JSON Schema of agent files, for editors."""
    sys.stdout.write(json.dumps(agent_json_schema(), indent=2) + "\n")


@app.command()
def models() -> None:
    """Verify the on-device models by SHA-256."""
    wrong = False
    for path, good in verify():
        wrong |= not good
        out.print(f"{'ok   ' if good else '[red]WRONG[/red]'} {path.name}")
    if wrong:
        raise ConfigError(
            "a model file is not what it should be; delete the environment and run `make setup`"
        )


def main() -> None:
    """Run a command; what a person must know is one sentence on stderr."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        app()
    except ReparteeError as error:
        Console(stderr=True, highlight=False).print(f"[red]repartee:[/red] {error}", soft_wrap=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
