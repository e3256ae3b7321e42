"""Has the audio of what an agent is sure to say made when the server starts, so that no caller waits for it.

One text after another, beside everything else; what is there already is not made again. Of a voice that streams only
the fixed lines: those are needed when nothing can be asked any more, and must be there before; the rest is kept as it
is said. The machine's own begins in a tenth of a second and shares its cores with the calls; it makes nothing ahead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx2
import structlog
from openai import AsyncOpenAI

from repartee.agent import Agent
from repartee.providers.failures import PROVIDER_ERRORS
from repartee.providers.ladder import Ladder
from repartee.providers.metered_http import MeteredClient
from repartee.providers.metering import Meter, about
from repartee.providers.vendor_voices import VENDOR_VOICES, secret, voice_for
from repartee.providers.voice_cache import VoiceCache, voice_key
from repartee.providers.voices import Voice
from repartee.settings import Settings
from repartee.telemetry.usage import ReportUsage, ignore_usage

log = structlog.get_logger()
TEXT_S = 20.0
MAX_FAILED = 3
"""A voice that failed so often in a row is left alone; calls will ask it themselves."""


@asynccontextmanager
async def preparing_voice(
    settings: Settings,
    agent: Agent,
    ladder: Ladder,
    texts: Sequence[str],
    report: ReportUsage = ignore_usage,
) -> AsyncIterator[None]:
    """Make the audio while the context lasts.

    Args:
        settings: Keys, addresses and the data folder.
        agent: Whose voice.
        ladder: Which voice it is.
        texts: What is said for sure, as the voice will be asked for it.
        report: Takes what each request used, with purpose "warm_up".
    """
    making = asyncio.create_task(prepare_voice(settings, agent, ladder, texts, report), name="prepare-voice")
    try:
        yield
    finally:
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)


async def prepare_voice(
    settings: Settings,
    agent: Agent,
    ladder: Ladder,
    texts: Sequence[str],
    report: ReportUsage = ignore_usage,
) -> None:
    """Make the audio and return when it is there; arguments as for `preparing_voice`."""
    rung = ladder.tts
    if rung.provider == "on-device" or not (agent.cache.voice and agent.cache.prepare_voice):
        return
    http_client = MeteredClient(Meter(report), rung.provider, timeout=httpx2.Timeout(TEXT_S, connect=2.0))
    async with http_client:
        client: AsyncOpenAI | httpx2.AsyncClient = http_client
        if rung.provider not in VENDOR_VOICES:
            client = AsyncOpenAI(
                api_key=secret(settings.openai_api_key),
                base_url=settings.openai_base_url,
                max_retries=0,
                http_client=http_client,
            )
        cache = VoiceCache(settings.state_dir / "voices", voice_key(agent, ladder), texts)
        await make_voice(voice_for(rung, agent.voice, agent.language, settings, client), cache, texts)


async def make_voice(voice: Voice, cache: VoiceCache, texts: Sequence[str]) -> int:
    """Make the audio that is missing; return how many characters were asked for."""
    characters, failed = 0, 0
    for text in texts:
        if cache.has_all([text]):
            continue
        try:
            async with asyncio.timeout(TEXT_S):
                with about(purpose="warm_up"):
                    async with voice.speak(text) as coming:
                        pcm = b"".join([chunk async for chunk in coming])
            cache.put(text, pcm[: len(pcm) & ~1])
            characters, failed = characters + len(text), 0
        except PROVIDER_ERRORS as error:
            failed += 1
            log.info("voice.not_prepared", error=type(error).__name__)
            if failed >= MAX_FAILED:
                break
    if characters:
        log.info("voice.prepared", characters=characters)
    return characters
