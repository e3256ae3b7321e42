"""Has the audio of what an agent is sure to say made when the server starts, so that no caller waits for it.

One text after another, beside everything else; what is there already is not made again. For OpenAI's voice, which is
asked over HTTP. A voice that streams keeps what it said for the first caller; so does the machine's own, which begins
in a tenth of a second and shares its cores with the calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from openai import AsyncOpenAI, OpenAIError
from openai import Timeout as OpenAITimeout

from repartee.agent import Agent
from repartee.providers.ladder import Ladder
from repartee.providers.metered_http import MeteredClient
from repartee.providers.metering import Meter, about
from repartee.providers.voice_cache import VoiceCache, voice_key
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
    key = settings.openai_api_key
    wanted = agent.cache.voice and agent.cache.prepare_voice
    if ladder.tts.provider != "openai" or key is None or not wanted:
        return
    client = AsyncOpenAI(
        api_key=key.get_secret_value(),
        base_url=settings.openai_base_url,
        timeout=OpenAITimeout(TEXT_S, connect=2.0),
        max_retries=0,
        http_client=MeteredClient(Meter(report), ladder.tts.provider),
    )
    cache = VoiceCache(settings.state_dir / "voices", voice_key(agent, ladder), texts)
    async with client:
        await make_voice(client, agent, ladder, cache, texts)


async def make_voice(
    client: AsyncOpenAI, agent: Agent, ladder: Ladder, cache: VoiceCache, texts: Sequence[str]
) -> int:
    """Make the audio that is missing; return how many characters were asked for."""
    characters, failed = 0, 0
    for text in texts:
        if cache.has_all([text]):
            continue
        try:
            async with asyncio.timeout(TEXT_S):
                with about(purpose="warm_up"):
                    response = await client.audio.speech.create(
                        input=text,
                        model=ladder.tts.model,
                        voice=agent.voice.openai,
                        response_format="pcm",
                        speed=agent.voice.speed,
                    )
            cache.put(text, response.content)
            characters, failed = characters + len(text), 0
        except (OpenAIError, TimeoutError) as error:
            failed += 1
            log.info("voice.not_prepared", error=type(error).__name__)
            if failed >= MAX_FAILED:
                break
    if characters:
        log.info("voice.prepared", model=ladder.tts.model, characters=characters)
    return characters
