"""Has the audio of what an agent is sure to say made when the server starts, so that no caller waits for it.

One text after another, beside everything else; what is there already is not made again. For voices asked over HTTP
(OpenAI's, and the machine's own); a voice that streams keeps what it said for the first caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import structlog
from openai import AsyncOpenAI, OpenAIError
from openai import Timeout as OpenAITimeout

from repartee.agent import Agent
from repartee.providers.ladder import Ladder
from repartee.providers.voice_cache import VoiceCache, voice_key
from repartee.settings import Settings

log = structlog.get_logger()
TEXT_S = 20.0
MAX_FAILED = 3
"""A voice that failed so often in a row is left alone; calls will ask it themselves."""


@asynccontextmanager
async def preparing_voice(
    settings: Settings, agent: Agent, ladder: Ladder, speech_url: str | None, texts: Iterable[str]
) -> AsyncIterator[None]:
    """Make the audio while the context lasts.

    Args:
        settings: Keys, addresses and the data folder.
        agent: Whose voice.
        ladder: Which voice it is.
        speech_url: The speech host, where the voice runs on this machine.
        texts: What is said for sure, as the voice will be asked for it.
    """
    client = _client(settings, ladder, speech_url)
    if client is None or not agent.cache.prepare_voice:
        yield
        return
    cache = VoiceCache(settings.state_dir / "voices", voice_key(agent, ladder), texts)
    making = asyncio.create_task(make(client, agent, ladder, cache, tuple(texts)), name="prepare-voice")
    try:
        yield
    finally:
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
        await client.close()


async def make(
    client: AsyncOpenAI, agent: Agent, ladder: Ladder, cache: VoiceCache, texts: Iterable[str]
) -> int:
    """Make the audio that is missing; return of how many texts it was made."""
    made, failed = 0, 0
    on_device = ladder.tts.provider == "on-device"
    for text in texts:
        if cache.has_all([text]):
            continue
        try:
            async with asyncio.timeout(TEXT_S):
                response = await client.audio.speech.create(
                    input=text,
                    model=ladder.tts.model,
                    voice=agent.voice.on_device if on_device else agent.voice.openai,
                    response_format="pcm",
                    speed=agent.voice.speed,
                )
                cache.put(text, response.content)
            made, failed = made + 1, 0
        except (OpenAIError, TimeoutError) as error:
            failed += 1
            log.info("voice.not_prepared", error=type(error).__name__)
            if failed >= MAX_FAILED:
                break
    return made


def _client(settings: Settings, ladder: Ladder, speech_url: str | None) -> AsyncOpenAI | None:
    if ladder.tts.provider == "openai" and settings.openai_api_key is not None:
        base_url, key = settings.openai_base_url, settings.openai_api_key.get_secret_value()
    elif ladder.tts.provider == "on-device" and speech_url is not None:
        base_url, key = f"{speech_url}/v1", "none"
    else:
        return None
    return AsyncOpenAI(
        api_key=key, base_url=base_url, timeout=OpenAITimeout(TEXT_S, connect=2.0), max_retries=0
    )
