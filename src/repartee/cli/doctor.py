"""`repartee doctor`: what would keep a call from working, found before somebody calls; each finding with its fix."""

from __future__ import annotations

import asyncio
import importlib.util
import platform
import shutil
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import httpx
import numpy as np
from rich.console import Console

from repartee.agent import Agent, load_agent
from repartee.cli.livekit import VERSION as LIVEKIT_VERSION
from repartee.cli.livekit import check_access, check_port
from repartee.errors import ReparteeError
from repartee.processors import cores
from repartee.providers import Ladder, choose_ladder
from repartee.providers.keys import key_questions
from repartee.providers.ondevice import measured_speed
from repartee.providers.ondevice.registry import WHISPERS, WITH_THE_PROGRAM, verify
from repartee.providers.ondevice.sizes import QUICK_MS
from repartee.providers.prices import load_prices
from repartee.session.prompt_budget import check_budget
from repartee.settings import Settings
from repartee.store import Store
from repartee.urls import http_url
from repartee.worker import LiveKitAccess

State = Literal["ok", "note", "wrong"]
MARKS = {"ok": "[green]ok[/green]   ", "note": "[yellow]note[/yellow] ", "wrong": "[red]WRONG[/red]"}
ASK_S = 5.0
SKEW_S = 30.0
"""LiveKit refuses tokens of a clock that is further ahead than a minute."""
FREE_BYTES = 1 << 30
PAID = frozenset({"openai", "openai-realtime", "elevenlabs", "cartesia"})
WINDOWS = 40
SLOW_MS = 8.0
"""Voice activity runs on each 32 ms of each call."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: What.
        state: `wrong` keeps calls from working, `note` is worth knowing.
        says: What was found.
        fix: What to do about it.
    """

    what: str
    state: State
    says: str
    fix: str = ""


async def doctor(settings: Settings, out: Console, *, as_json: bool = False) -> bool:
    """Look at everything; print each finding as it comes.

    Returns:
        Whether nothing is wrong.
    """
    findings: list[Finding] = []
    chosen = _Chosen()
    for look in (
        _python,
        _machine,
        chosen.agent,
        _disk,
        _database,
        chosen.prices,
        _ports,
        _udp,
        _livekit,
        chosen.keys,
        chosen.models,
    ):
        for finding in await _asked(look, settings):
            findings.append(finding)
            if not as_json:
                fix = f"\n      {' ' * 11}[dim]{finding.fix}[/dim]" if finding.fix else ""
                line = f"{MARKS[finding.state]} [bold]{finding.what:10}[/bold] {finding.says}{fix}"
                out.print(line, soft_wrap=True)
    if as_json:
        out.print_json(data=[asdict(finding) for finding in findings])
    return all(finding.state != "wrong" for finding in findings)


async def _asked(look: Callable[[Settings], Awaitable[list[Finding]]], settings: Settings) -> list[Finding]:
    """Look; an error that was made for people is a finding."""
    try:
        return await look(settings)
    except ReparteeError as error:
        return [Finding(look.__name__.removeprefix("_"), "wrong", str(error))]


# --- this machine ---------------------------------------------------------------------------------------------


async def _python(_: Settings) -> list[Finding]:
    version = platform.python_version()
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        fix = "use 3.11, 3.12 or 3.13; `make setup` makes an environment"
        return [Finding("python", "wrong", f"Python {version}", fix)]
    return [Finding("python", "ok", f"{version}, {platform.system()} {platform.machine()}")]


async def _machine(_: Settings) -> list[Finding]:
    """Time what every call does all the time."""
    took_ms = await asyncio.to_thread(_voice_activity_ms)
    says = f"{cores()} CPUs; voice activity takes {took_ms:.1f} ms of each 32"
    if took_ms > SLOW_MS:
        return [Finding("machine", "note", says, "few calls fit on this machine: lower REPARTEE_MAX_CALLS")]
    return [Finding("machine", "ok", says)]


def _voice_activity_ms() -> float:
    from repartee.session.listening import voice_model  # noqa: PLC0415 - takes a second

    probability = voice_model()
    noise = np.random.default_rng(1).integers(-2000, 2000, 512, dtype=np.int16).tobytes()
    probability(noise)
    began = time.perf_counter()
    for _ in range(WINDOWS):
        probability(noise)
    return (time.perf_counter() - began) * 1000 / WINDOWS


async def _disk(settings: Settings) -> list[Finding]:
    folder = settings.state_dir
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        probe = folder / ".doctor"
        await asyncio.to_thread(probe.write_bytes, b"1")
        await asyncio.to_thread(probe.unlink)
    except OSError as error:
        fix = "set REPARTEE_STATE_DIR to a folder that may be written to"
        return [Finding("disk", "wrong", f"{folder} cannot be written to ({error.strerror})", fix)]
    free = shutil.disk_usage(folder).free
    says = f"{folder}, {free / (1 << 30):.1f} GB free"
    if free < FREE_BYTES:
        return [Finding("disk", "note", says, "free some: calls are kept there")]
    return [Finding("disk", "ok", says)]


async def _ports(settings: Settings) -> list[Finding]:
    findings = []
    wanted = [(settings.host, settings.port, "the page", "REPARTEE_PORT")]
    if settings.livekit_url is None:
        wanted.append(("127.0.0.1", settings.livekit_port, "the LiveKit server", "REPARTEE_LIVEKIT_PORT"))
    for host, port, what, variable in wanted:
        try:
            check_port(host, port, what, variable)
        except ReparteeError as error:
            findings.append(Finding("port", "note", str(error), "if that is repartee itself, all is well"))
        else:
            findings.append(Finding("port", "ok", f"{port} is free for {what}"))
    if settings.host not in {"127.0.0.1", "localhost", "::1"}:
        says = f"the page listens on {settings.host}; browsers share microphones over HTTPS only"
        findings.append(Finding("https", "note", says, "put a TLS proxy in front of it: docs/security.md"))
    return findings


async def _udp(settings: Settings) -> list[Finding]:
    """Send a datagram through this machine's own stack: what firewalls of containers forbid first."""
    if settings.livekit_url is not None:
        return []
    try:
        arrived = await asyncio.to_thread(_udp_arrives)
    except OSError as error:
        return [
            Finding("udp", "wrong", f"no UDP on loopback ({error.strerror})", "allow UDP on the lo interface")
        ]
    if not arrived:
        return [Finding("udp", "wrong", "UDP on loopback is swallowed", "allow UDP on the lo interface")]
    return [Finding("udp", "ok", "UDP arrives on loopback")]


def _udp_arrives() -> bool:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(1.0)
        sender.sendto(b"voice", receiver.getsockname())
        try:
            return receiver.recv(16) == b"voice"
        except TimeoutError:
            return False


# --- what is configured ---------------------------------------------------------------------------------------


class _Chosen:
    """The agent and who hears, thinks and speaks for it: read once, and a mistake in it is told once."""

    def __init__(self) -> None:
        self._agent: Agent | None = None
        self._ladder: Ladder | None = None

    async def agent(self, settings: Settings) -> list[Finding]:
        """Look at the agent file and at who is chosen."""
        self._agent = agent = await asyncio.to_thread(load_agent, settings.agent)
        self._ladder = ladder = await choose_ladder(settings, agent)
        check_budget(agent)
        findings = [
            Finding(
                "agent",
                "ok",
                f"{settings.agent}: {agent.name}, {len(agent.tools)} tool{'s' * (len(agent.tools) != 1)}",
            )
        ]
        for what, rung in (("hearing", ladder.stt), ("thinking", ladder.llm), ("speaking", ladder.tts)):
            state: State = "note" if rung.climb else "ok"
            says = rung.label + (f"; lost: {rung.lost}" if rung.lost else "")
            findings.append(Finding(what, state, says, rung.climb or ""))
        return findings

    async def keys(self, settings: Settings) -> list[Finding]:
        """Ask every vendor there is a key for something that costs nothing."""
        if self._agent is not None and self._agent.private:
            return [Finding("keys", "ok", "none is used: privacy is on-device")]
        findings = []
        async with httpx.AsyncClient(timeout=ASK_S) as client:
            for question in key_questions(settings):
                began, host = time.monotonic(), httpx.URL(question.url).host
                try:
                    response = await client.get(question.url, headers=question.headers)
                except httpx.HTTPError as error:
                    says = f"{host} does not answer ({type(error).__name__})"
                    findings.append(
                        Finding("keys", "wrong", says, "check the network, a proxy, and the base URL")
                    )
                    continue
                took_ms = (time.monotonic() - began) * 1000
                if question.refused(response):
                    says, fix = (
                        f"{host} refuses {question.variable} ({response.status_code})",
                        "correct it, or unset it",
                    )
                    findings.append(Finding("keys", "wrong", says, f"{fix} to run on the next rung"))
                elif response.is_error:
                    says = f"{host} answered {response.status_code}"
                    findings.append(Finding("keys", "note", says, "look at the vendor's status page"))
                else:
                    findings.append(
                        Finding("keys", "ok", f"{question.variable} is taken, in {took_ms:.0f} ms")
                    )
                findings += _skew(response, host)
        return findings or [Finding("keys", "note", "none is set: everything runs on this machine")]

    async def prices(self, settings: Settings) -> list[Finding]:
        """Look for models whose price nobody has told."""
        prices, ladder = load_prices(settings.prices), self._ladder
        findings = []
        for rung in (ladder.stt, ladder.llm, ladder.tts, ladder.small) if ladder is not None else ():
            paid = rung is not None and rung.provider in PAID
            if rung is not None and paid and prices.price(rung.provider, rung.model) is None:
                fix = "put it into the file that REPARTEE_PRICES names: docs/costs.md"
                says = f"what {rung.provider}:{rung.model} costs is not known; budgets do not see it"
                findings.append(Finding("prices", "note", says, fix))
        return findings or [Finding("prices", "ok", f"of {prices.version}")]

    async def models(self, settings: Settings) -> list[Finding]:
        """Look at the machine's own models, where they are needed."""
        ladder = self._ladder
        if ladder is None or not (ladder.needs_speech_host or ladder.meaning):
            return []
        chosen = dict.fromkeys((*WITH_THE_PROGRAM, WHISPERS[ladder.whisper]))
        hashed = await asyncio.to_thread(lambda: list(verify(tuple(chosen), settings.models_dir)))
        if wrong := [path for path, good in hashed if not good]:
            pulled = any(path.is_relative_to(settings.models_dir) for path in wrong)
            fix = "delete the environment and run `make setup`"
            fix = "fetch it again with `repartee models pull`" if pulled else fix
            says = f"not what they should be: {', '.join(path.name for path in wrong)}"
            return [Finding("models", "wrong", says, fix)]
        if ladder.tts.provider == "on-device" and importlib.util.find_spec("piper") is None:
            return [Finding("models", "wrong", "the on-device voice is not installed", "run `make setup`")]
        findings = [Finding("models", "ok", "the machine's own are whole, by their SHA-256")]
        return [*findings, *await _whisper(settings, ladder)]


async def _whisper(settings: Settings, ladder: Ladder) -> list[Finding]:
    """Tell which Whisper hears, and how quick the sizes that are here are on this machine."""
    name = next((rung.model for rung in ladder.rungs("stt") if rung.provider == "on-device"), "")
    speed = await measured_speed(settings.models_dir, settings.cache_dir, needed=True) if name else None
    if speed is None:
        return []
    took = ", ".join(f"{size} {ms:.0f} ms" for size, ms in speed.took_ms.items())
    says = f"{name} hears; three seconds of speech take, on {speed.device}: {took}"
    if speed.took_ms.get(name, 0.0) > QUICK_MS:
        return [Finding("whisper", "note", says, "callers wait for it: fewer calls, more cores, or a GPU")]
    return [Finding("whisper", "ok", says)]


async def _database(settings: Settings) -> list[Finding]:
    began = time.monotonic()
    store = await asyncio.to_thread(Store.open, settings.store_url, spool=settings.spool_dir)
    await asyncio.to_thread(store.close)
    kind = settings.store_url.split(":", 1)[0]
    findings = [Finding("database", "ok", f"{kind}, opened in {(time.monotonic() - began) * 1000:.0f} ms")]
    waiting = await asyncio.to_thread(
        lambda: [file for file in settings.spool_dir.glob("*") if file.is_file()]
    )
    if waiting:
        says = f"{len(waiting)} journals wait to be written into it"
        findings.append(Finding("database", "note", says, "a worker does when it starts"))
    return findings


# --- what is asked of others ----------------------------------------------------------------------------------


async def _livekit(settings: Settings) -> list[Finding]:
    if settings.livekit_url is None:
        built = settings.cache_dir / "bin" / f"livekit-server-{LIVEKIT_VERSION}"
        program = shutil.which("livekit-server") or built
        if not await asyncio.to_thread(Path(program).is_file):
            fix = "run `make setup`, or set LIVEKIT_URL to a server"
            return [Finding("livekit", "wrong", "livekit-server is not installed", fix)]
        return [
            Finding("livekit", "ok", f"a server of our own is started by `repartee up` ({LIVEKIT_VERSION})")
        ]
    if settings.livekit_api_key is None or settings.livekit_api_secret is None:
        fix = "set LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
        return [Finding("livekit", "wrong", f"{settings.livekit_url} is set, its key is not", fix)]
    secret = settings.livekit_api_secret.get_secret_value()
    began = time.monotonic()
    await check_access(
        LiveKitAccess(settings.livekit_url, settings.livekit_api_key, secret), must_answer=True
    )
    says = f"{settings.livekit_url} takes the key, in {(time.monotonic() - began) * 1000:.0f} ms"
    findings = [Finding("livekit", "ok", says)]
    async with httpx.AsyncClient(timeout=ASK_S) as client:
        findings += _skew(await client.get(http_url(settings.livekit_url)), "LiveKit")
    return findings


def _skew(response: httpx.Response, whose: str) -> list[Finding]:
    """Compare clocks: tokens of a wrong one are refused, and nothing says why."""
    date = response.headers.get("date")
    if date is None:
        return []
    off_s = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    if abs(off_s) <= SKEW_S:
        return []
    says = f"this machine's clock is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} {whose}'s"
    return [Finding("clock", "wrong", says, "set it by NTP: tokens of a wrong clock are refused")]
