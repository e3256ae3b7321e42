"""One call's clients of its providers: made when they are first asked for, closed with the call."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx
import httpx2
import structlog
from openai import AsyncOpenAI, OpenAIError
from openai import Timeout as OpenAITimeout

from repartee.providers.health import key_id
from repartee.providers.ladder import Rung
from repartee.providers.metered_http import MeteredClient, MeteredHostClient
from repartee.providers.metering import Meter
from repartee.providers.vendor_voices import secret
from repartee.settings import Settings

log = structlog.get_logger()
CONNECT_S, READ_S = 2.0, 10.0


class Clients:
    """Clients that tell a meter of every request.

    Args:
        settings: Keys and base URLs.
        meter: Told of every request.
        speech_url: The speech host; empty where there is none.
    """

    def __init__(self, settings: Settings, meter: Meter, speech_url: str) -> None:
        self._settings = settings
        self._meter = meter
        self._speech_url = speech_url
        self._chat: dict[str, AsyncOpenAI] = {}
        self._voices: dict[str, httpx2.AsyncClient] = {}
        self._host: httpx.AsyncClient | None = None

    @property
    def openai_key(self) -> str:
        """The key of OpenAI's."""
        return secret(self._settings.openai_api_key)

    def key_id(self, rung: Rung) -> str:
        """Return what tells the key of a rung apart from others."""
        settings = self._settings
        keys = {
            "elevenlabs": settings.elevenlabs_api_key,
            "cartesia": settings.cartesia_api_key,
            "local": settings.llm_api_key,
            "on-device": None,
        }
        return key_id(keys.get(rung.provider, settings.openai_api_key))

    def chat(self, provider: str) -> AsyncOpenAI:
        """Return the client of a provider that speaks OpenAI's format."""
        if provider not in self._chat:
            base_url, key = {
                "openai": (self._settings.openai_base_url, self._settings.openai_api_key),
                "local": (self._settings.llm_base_url, self._settings.llm_api_key),
                "on-device": (f"{self._speech_url}/v1", None),
            }[provider]
            self._chat[provider] = AsyncOpenAI(
                api_key=key.get_secret_value() if key else "none",
                base_url=base_url,
                # The SDK waits 600 s and retries twice with back-off; a caller hears that as a dead line.
                timeout=OpenAITimeout(READ_S, connect=CONNECT_S),
                max_retries=0,
                http_client=MeteredClient(self._meter, provider),
            )
        return self._chat[provider]

    def voice(self, provider: str) -> httpx2.AsyncClient:
        """Return the client of a voice with a format of its own."""
        if provider not in self._voices:
            self._voices[provider] = MeteredClient(
                self._meter, provider, timeout=httpx2.Timeout(READ_S, connect=CONNECT_S)
            )
        return self._voices[provider]

    def host(self) -> httpx.AsyncClient:
        """Return the client of this machine's speech host."""
        if self._host is None:
            self._host = MeteredHostClient(
                self._meter,
                "on-device",
                base_url=self._speech_url,
                timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
            )
        return self._host

    def warming(self) -> list[Coroutine[Any, Any, None]]:
        """Return what opens the connections that were made so far, to elsewhere."""
        return [_touch(client) for name, client in self._chat.items() if name != "on-device"]

    async def aclose(self) -> None:
        """Close every connection."""
        await asyncio.gather(
            *(client.close() for client in self._chat.values()),
            *(client.aclose() for client in self._voices.values()),
        )
        if self._host is not None:
            await self._host.aclose()


async def _touch(client: AsyncOpenAI) -> None:
    try:
        await client.models.list()
    except OpenAIError as error:
        log.info("provider.prewarm_failed", host=client.base_url.host, error=type(error).__name__)
