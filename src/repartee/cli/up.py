"""What `up`, `serve` and `worker` run: the parts, started side by side and taken down in order."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from urllib.parse import urljoin

import uvicorn
from fastapi import FastAPI
from rich.console import Console

from repartee.agent import Agent, load_agent, team_of
from repartee.agent.definition import ON_DEVICE
from repartee.cli.https import AUTHORITY_PATH, Tls, address_of, over_https, qr_code
from repartee.cli.kept_calls import bill_of_no_call, kept_calls
from repartee.cli.livekit import check_access, check_port, own_livekit
from repartee.errors import ConfigError
from repartee.providers import Ladder, check_keys, choose_ladder
from repartee.providers.ladder import Stage, summary_model
from repartee.providers.ondevice import SpeechHost, measured_speed
from repartee.providers.prepared_voice import preparing_voice
from repartee.providers.privacy import allowed_hosts, check_private, check_sealed
from repartee.providers.seal import seal
from repartee.server.admission import Admission, day_limits
from repartee.server.app import Site, create_app
from repartee.server.busy import Busy
from repartee.server.door import Door
from repartee.server.signalling import MAX_BYTES
from repartee.session.budget import today_reader
from repartee.session.fixed_texts import prepared_texts
from repartee.session.keeping import Keeping
from repartee.session.prompt_budget import check_budget
from repartee.settings import Settings
from repartee.store import Seats
from repartee.worker import LiveKitAccess, Worker, WorkerConfig, worker_health
from repartee.worker.capacity import most_calls

out = Console(highlight=False)
HTTP_CONNECTIONS = 1000
DISK_FREE_BYTES = 100 * 1024 * 1024


async def up(settings: Settings, stop: asyncio.Event, *, http: bool, worker: bool) -> None:
    """Run the asked parts until `stop` is set or one of them ends.

    Raises:
        ReparteeError: A part cannot start, or failed.
    """
    agent = _load(settings)
    _check_state_dir(settings)
    settings, tls = over_https(settings) if http and settings.https else (settings, None)
    if http:
        Door(settings)  # says what is wrong with the keys now, not when everything else has started
        check_port(settings.host, settings.port, "the page", "REPARTEE_PORT")
    own = settings.livekit_url is None and http and worker
    given = None if own else _access(settings)
    stopping = asyncio.create_task(stop.wait(), name="stop")
    jobs: list[asyncio.Task[None]] = []
    async with contextlib.AsyncExitStack() as stack:
        # What takes longest begins first: session processes import and load while the rest starts.
        warming = await stack.enter_async_context(_warm_worker(settings)) if worker else None
        kept = await stack.enter_async_context(kept_calls(settings, worker=worker))
        await measured_speed(settings.models_dir, settings.cache_dir)
        ladder = await choose_ladder(settings, agent)
        summary_model(settings, agent, ladder)
        check_budget(agent)
        await check_keys(settings, ladder)
        if given is not None and http:
            # Somebody at a terminal wants to know now; parts that are started on their own wait for each other.
            await check_access(given, must_answer=worker)
        access = await stack.enter_async_context(own_livekit(settings)) if given is None else given
        beside: Callable[[], bytes] = bytes
        try:
            if warming is not None:
                speech_url = await stack.enter_async_context(_speech(settings, ladder))
                warm = await warming
                warm.capacity.limit(most_calls(settings, on_device=ladder.stt.provider == ON_DEVICE))
                if not http:
                    await stack.enter_async_context(worker_health(warm, settings))
                beside = warm.metrics.text
                jobs.append(await _register(warm, access, speech_url, stop))
                bill = await stack.enter_async_context(bill_of_no_call(kept, agent.name))
                texts = prepared_texts(agent, ladder)
                await stack.enter_async_context(preparing_voice(settings, agent, ladder, texts, bill))
            if http and not stop.is_set():
                site = _site(access, settings.livekit_public_url, agent, ladder)
                more = tls.more(access.url if given is None else None) if tls is not None else ()
                app = _app(settings, site, agent, kept, beside, more)
                serving = _serve_http(settings, app, stop, tls)
                jobs.append(asyncio.create_task(serving, name="http"))
                _banner(settings, agent, ladder, tls)
            await asyncio.wait({*jobs, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # The jobs end before what they stand on does.
            stop.set()
            stopping.cancel()
            results = await asyncio.gather(*jobs, stopping, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result


def _app(
    settings: Settings,
    site: Site,
    agent: Agent,
    kept: Keeping,
    beside: Callable[[], bytes],
    more: Sequence[Callable[[FastAPI], None]],
) -> FastAPI:
    admission = Admission(
        day_limits(agent.budget, settings.budget_day_usd),
        today_reader(kept.store, agent.name),
        Seats(kept.store),
    )
    busy = Busy(settings.state_dir, agent.language, settings.level)
    return create_app(settings, site, admission, kept.store, busy=busy, beside=beside, agent=agent, more=more)


def _load(settings: Settings) -> Agent:
    """Read the agent; where it is private, this process is sealed from here on."""
    agent = load_agent(settings.agent)
    check_sealed(team_of(agent, load_agent), sealed=True)
    if agent.private:
        check_private(settings, agent)
        seal(allowed_hosts(settings, issuer=True))
    return agent


@contextlib.asynccontextmanager
async def _warm_worker(settings: Settings) -> AsyncIterator[asyncio.Task[Worker]]:
    """Start warming a worker's processes; whatever happens then, they end with the context."""
    worker = Worker(WorkerConfig(settings, settings.agent.resolve(), settings.state_dir))

    async def warm() -> Worker:
        await worker.warm()
        return worker

    warming = asyncio.create_task(warm(), name="warm")
    try:
        yield warming
    finally:
        warming.cancel()
        await asyncio.gather(warming, return_exceptions=True)
        await worker.close()


async def _register(
    worker: Worker, access: LiveKitAccess, speech_url: str | None, stop: asyncio.Event
) -> asyncio.Task[None]:
    """Run a worker and wait until LiveKit knows it."""
    job = asyncio.create_task(worker.run(stop, access, speech_url), name="worker")
    registered = asyncio.create_task(worker.registered.wait(), name="registered")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({registered, stopping, job}, return_when=asyncio.FIRST_COMPLETED)
    registered.cancel()
    stopping.cancel()
    if job.done():
        stop.set()  # its failure is raised where the jobs are gathered
    return job


@contextlib.asynccontextmanager
async def _speech(settings: Settings, ladder: Ladder) -> AsyncIterator[str | None]:
    if not ladder.uses_speech_host and not ladder.meaning:
        yield None
        return
    starting = SpeechHost.start(
        speech=ladder.uses_speech_host,
        whisper=ladder.whisper,
        voice=ladder.own_voice,
        models=settings.models_dir,
    )
    async with starting as host:
        yield host.url


class _Http(uvicorn.Server):
    """A server that leaves signals to `up`, and where it cannot listen the end of the process as well."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen.

        Raises:
            ConfigError: The port was free when it was looked at, and is taken now.
        """
        try:
            await super().startup(sockets)
        except SystemExit:
            check_port(self.config.host, self.config.port, "the page", "REPARTEE_PORT")
            raise ConfigError("the page cannot be served; the log above says why") from None

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


async def _serve_http(settings: Settings, app: FastAPI, stop: asyncio.Event, tls: Tls | None = None) -> None:
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        log_config=None,  # it would write past what keeps secrets out of the log
        access_log=False,
        # Whom a proxy speaks for is the door's to judge; by default whoever is on this machine is believed.
        proxy_headers=False,
        server_header=False,
        limit_concurrency=HTTP_CONNECTIONS,
        ws_max_size=MAX_BYTES,
        ssl_certfile=tls.certificate if tls is not None else None,
        ssl_keyfile=tls.key if tls is not None else None,
        timeout_graceful_shutdown=3,
    )
    server = _Http(config)
    serving = asyncio.create_task(server.serve(), name="uvicorn")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving


def _access(settings: Settings) -> LiveKitAccess:
    if settings.livekit_url and settings.livekit_api_key and settings.livekit_api_secret:
        secret = settings.livekit_api_secret.get_secret_value()
        return LiveKitAccess(settings.livekit_url, settings.livekit_api_key, secret)
    raise ConfigError("set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or use `repartee up`")


def _check_state_dir(settings: Settings) -> None:
    folder = settings.state_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ConfigError(
            f"the data folder {folder} cannot be made ({error.strerror}); set REPARTEE_STATE_DIR to another"
        ) from error
    if free < DISK_FREE_BYTES:
        raise ConfigError(
            f"the disk of {folder} has {free // 2**20} MB left, 100 are needed; free some, or set REPARTEE_STATE_DIR"
        )


def _site(access: LiveKitAccess, public_url: str | None, agent: Agent, ladder: Ladder) -> Site:
    thinks = ladder.realtime or ladder.llm
    labels = {"stt": ladder.stt.label, "llm": thinks.label, "tts": ladder.tts.label}
    url, reconnect_s = public_url or access.url, agent.limits.reconnect_s
    sees = agent.vision.enabled and ladder.llm.provider != "answers"
    return Site(access.url, url, access.key, access.secret, agent.name, labels, reconnect_s, sees)


def _banner(settings: Settings, agent: Agent, ladder: Ladder, tls: Tls | None) -> None:
    address = f"http://{settings.host}:{settings.port}" if tls is None else address_of(settings)
    out.print(
        f"\n[bold]{agent.name}[/bold] is on the line: [bold cyan]{address}[/bold cyan]\n", soft_wrap=True
    )
    if tls is not None:
        out.print(qr_code(address), markup=False)
        out.print(
            f"  phones     in this network; a browser warns of the certificate until it is told to believe "
            f"{urljoin(address, AUTHORITY_PATH)}\n"
            if tls.authority is not None
            else "",
            soft_wrap=True,
        )
    stages: tuple[tuple[str, Stage], ...] = (("hearing", "stt"), ("thinking", "llm"), ("speaking", "tts"))
    if ladder.realtime is not None:
        out.print(f"  talking   {ladder.realtime.label}; if it fails, what is below", soft_wrap=True)
    for name, stage in stages:
        rung, *then = ladder.rungs(stage)
        out.print(f"  {name:9} {rung.label}", soft_wrap=True)
        if then:
            out.print(f"  {'':9} [dim]if it fails: {', '.join(r.label for r in then)}[/dim]", soft_wrap=True)
        if rung.lost:
            out.print(f"  {'':9} [dim]lost: {rung.lost}[/dim]", soft_wrap=True)
        if rung.climb:
            out.print(f"  {'':9} [dim]better: {rung.climb}[/dim]", soft_wrap=True)
    if agent.private:
        out.print("  private   nothing that is said leaves this machine; connections elsewhere are refused")
    out.print(f"\n  data, logs {settings.state_dir}", soft_wrap=True)
    out.print("  [dim]Ctrl+C ends everything[/dim]\n")
