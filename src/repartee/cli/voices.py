"""`repartee bench voices`: every voice there is a key for, and the machine's own, measured on the same texts."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import httpx2
from openai import AsyncOpenAI
from openai import Timeout as OpenAITimeout
from pydantic import SecretStr
from rich.console import Console
from rich.table import Column, Table

from repartee.agent import Voice, load_agent
from repartee.agent.definition import nearest
from repartee.errors import ConfigError
from repartee.providers.ladder import Rung
from repartee.providers.ondevice import SpeechHost
from repartee.providers.prices import load_prices
from repartee.providers.vendor_voices import VENDOR_VOICES, voice_for
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.voices.measure import (
    SPEAK_S,
    Candidate,
    Said,
    figures_of,
    fitting,
    listener,
    rows_of,
    speak_all,
)
from repartee.simulator.voices.page import page, shown
from repartee.simulator.voices.texts import TEXTS
from repartee.urls import http_url, socket_url

DEFAULTS = (
    "openai:gpt-4o-mini-tts",
    "openai:tts-1",
    "elevenlabs:eleven_flash_v2_5",
    "cartesia:sonic-3",
    "on-device:piper",
)
VENDORS = ("openai", "elevenlabs", "cartesia", "on-device")
RECOGNISER = "Whisper tiny.en on this machine"
HEARS = frozenset({"en"})
"""Languages that recogniser knows."""
PROBE_S = 2.0


@dataclass(frozen=True, slots=True)
class VoicesOptions:
    """What to compare.

    Attributes:
        voices: As `provider:model`; empty takes every one there is a key for.
        language: Of the texts.
        repeats: How often each text is said.
        agent: An agent file, for its voices' names.
        simulated: Adds the simulator's stand-ins, marked as such.
        first_sound_ms: The slowest first sound that will do.
        word_error: The largest share of words misheard that will do.
    """

    voices: tuple[str, ...] = ()
    language: str = "en"
    repeats: int = 3
    agent: Path | None = None
    simulated: bool = False
    first_sound_ms: float | None = None
    word_error: float | None = None


async def run_voices(
    options: VoicesOptions, settings: Settings, write: Path | None, html: Path | None, out: Console
) -> dict[str, Any]:
    """Measure, print the table, and write what was asked for.

    Raises:
        ConfigError: A voice cannot be had, or there is none.
        ProviderError: The machine's own models did not start.
    """
    if options.language not in TEXTS:
        raise ConfigError(f"there are no texts in '{options.language}'; choose from: {', '.join(TEXTS)}")
    names = load_agent(options.agent).voice if options.agent is not None else Voice()
    samples = TEXTS[options.language]
    load = round(os.getloadavg()[0], 1)
    async with contextlib.AsyncExitStack() as stack:
        host = await stack.enter_async_context(SpeechHost.start())
        candidates = await _candidates(options, settings, names, host, stack)
        with out.status("asking the voices") as status:
            said = await speak_all(
                candidates,
                samples,
                options.repeats,
                lambda candidate, sample: status.update(f"{candidate.title}: {sample.text:.40}"),
            )
        with out.status("listening"):
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=host.url))
            report = await _report(options, settings, said, client, load)
    await asyncio.to_thread(_write, report, said, write, html)
    _print(report, options, out)
    return report


async def _report(
    options: VoicesOptions, settings: Settings, said: Said, client: httpx.AsyncClient, load: float
) -> dict[str, Any]:
    prices = load_prices(settings.prices)
    hear = listener(client, options.language) if options.language in HEARS else None
    found: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for candidate, spoken in said.items():
        rows = await rows_of(candidate, spoken, hear)
        found[candidate.simulated].append({**figures_of(candidate, rows, prices), "rows": rows})
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": _command(options),
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "load": load,
        "language": options.language,
        "texts": len(TEXTS[options.language]),
        "repeats": options.repeats,
        "recogniser": RECOGNISER if hear is not None else None,
        "prices": prices.version,
        "voices": found[False],
        "simulated": found[True],
    }


# --- which voices ---------------------------------------------------------------------------------------------


async def _candidates(
    options: VoicesOptions,
    settings: Settings,
    names: Voice,
    host: SpeechHost,
    stack: contextlib.AsyncExitStack,
) -> list[Candidate]:
    """Return what is compared; a vendor's address that turns out to be a simulator is marked as one."""
    make = partial(_candidate, names, options.language, host, stack)
    wanted = options.voices or tuple(name for name in DEFAULTS if _there(name, settings))
    found = []
    for name in wanted:
        _check(name, settings)
        provider = name.split(":", 1)[0]
        simulated = provider != "on-device" and await _is_simulator(_address(provider, settings))
        found.append(await make(name, settings, simulated=simulated))
    if options.simulated:
        simulator = await stack.enter_async_context(Simulator.start(SimulatorConfig()))
        stand_ins = _at_simulator(settings, simulator)
        vendors = [name for name in DEFAULTS if not name.startswith("on-device")]
        found += [await make(name, stand_ins, simulated=True) for name in vendors]
    if not found:
        raise ConfigError(
            "there is no voice to measure: no key is set and the on-device voice is not installed; run `make setup`, "
            "or set OPENAI_API_KEY, ELEVENLABS_API_KEY or CARTESIA_API_KEY"
        )
    return found


async def _candidate(
    names: Voice,
    language: str,
    host: SpeechHost,
    stack: contextlib.AsyncExitStack,
    name: str,
    settings: Settings,
    *,
    simulated: bool,
) -> Candidate:
    provider, model = name.split(":", 1)
    client: AsyncOpenAI | httpx2.AsyncClient
    plain = await stack.enter_async_context(httpx2.AsyncClient(timeout=httpx2.Timeout(SPEAK_S, connect=5.0)))
    if provider in VENDOR_VOICES:
        client = plain
    else:
        own = provider == "on-device"
        key = settings.openai_api_key
        client = AsyncOpenAI(
            api_key="none" if own or key is None else key.get_secret_value(),
            base_url=f"{host.url}/v1" if own else settings.openai_base_url,
            timeout=OpenAITimeout(SPEAK_S, connect=5.0),
            max_retries=0,
            http_client=plain,
        )
    called = {
        "openai": names.openai,
        "elevenlabs": names.elevenlabs,
        "cartesia": names.cartesia,
        "on-device": names.on_device,
    }
    voice = voice_for(Rung("tts", provider, model, ""), names, language, settings, client)
    return Candidate(provider, model, called[provider], voice, simulated)


def _check(name: str, settings: Settings) -> None:
    provider, _, model = name.partition(":")
    if provider not in VENDORS or not model:
        raise ConfigError(
            f"--voice '{name}' is not of the form provider:model, e.g. {DEFAULTS[0]}{nearest(provider, VENDORS)}"
        )
    if not _there(name, settings):
        missing = (
            "the on-device voice, which is not installed; run `make setup`"
            if provider == "on-device"
            else f"{provider.upper()}_API_KEY, which is not set"
        )
        raise ConfigError(f"--voice '{name}' needs {missing}")


def _there(name: str, settings: Settings) -> bool:
    match name.split(":", 1)[0]:
        case "openai":
            return settings.openai_api_key is not None
        case "elevenlabs":
            return settings.elevenlabs_api_key is not None
        case "cartesia":
            return settings.cartesia_api_key is not None
        case _:
            return importlib.util.find_spec("piper") is not None


def _address(provider: str, settings: Settings) -> str:
    addresses = {
        "openai": settings.openai_base_url,
        "elevenlabs": settings.elevenlabs_base_url,
        "cartesia": settings.cartesia_base_url,
    }
    return http_url(addresses[provider])


async def _is_simulator(address: str) -> bool:
    """Say whether a vendor's address is a simulator's: a stand-in's times must never stand for the vendor's."""
    try:
        async with httpx.AsyncClient(timeout=PROBE_S) as client:
            url = httpx.URL(address).copy_with(path="/_sim/bill", query=None)
            response = await client.get(url)
            return response.status_code == httpx.codes.OK and isinstance(response.json(), dict)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False


def _at_simulator(settings: Settings, simulator: Simulator) -> Settings:
    key = SecretStr("simulated")
    return settings.model_copy(
        update={
            "openai_api_key": key,
            "elevenlabs_api_key": key,
            "cartesia_api_key": key,
            "openai_base_url": f"{simulator.url}/v1",
            "elevenlabs_base_url": socket_url(simulator.url),
            "cartesia_base_url": socket_url(simulator.url),
        }
    )


# --- what is shown of it --------------------------------------------------------------------------------------


def _command(options: VoicesOptions) -> str:
    parts = ["repartee bench voices", *(f"--voice {name}" for name in options.voices)]
    parts += [f"--language {options.language}"] if options.language != "en" else []
    parts += [f"--repeats {options.repeats}"] if options.repeats != VoicesOptions().repeats else []
    parts += ["--simulated"] if options.simulated else []
    return " ".join(parts)


def _write(report: dict[str, Any], said: Said, write: Path | None, html: Path | None) -> None:
    texts = {
        write: json.dumps(report, indent=1, ensure_ascii=False) + "\n",
        html: page(report, said) if html is not None else "",
    }
    for path, text in texts.items():
        if path is None:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error}") from error


COLUMNS = (
    ("first_audio_ms", "first audio, ms"),
    ("first_sound_ms", "first sound, ms"),
    ("real_time_factor", "real-time factor"),
    ("word_error", "word error"),
    ("loudness_lufs", "LUFS"),
    ("usd_per_minute", "USD/min"),
)


def _print(report: dict[str, Any], options: VoicesOptions, out: Console) -> None:
    for kind, title in (("voices", "voices"), ("simulated", "simulated: stand-ins, not these vendors")):
        if not report[kind]:
            continue
        columns = (Column(name) for _, name in COLUMNS)
        table = Table(Column("voice", no_wrap=True), *columns, "failed", title=title, title_justify="left")
        for voice in report[kind]:
            values = (shown(voice.get(key)) for key, _ in COLUMNS)
            table.add_row(f"{voice['provider']}:{voice['model']}", *values, str(voice["failed"]))
        out.print(table)
    if options.first_sound_ms is None and options.word_error is None:
        return
    good = fitting(report["voices"], options.first_sound_ms, options.word_error)
    names = [f"{voice['provider']}:{voice['model']}" for voice in good]
    out.print(f"fits, cheapest first: {', '.join(names)}" if names else "none fits", soft_wrap=True)
