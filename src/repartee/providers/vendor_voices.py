"""The vendors' plain requests for speech: a text goes out, raw audio (16 bit, mono, 24 kHz) comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import httpx2
from openai import AsyncOpenAI
from pipecat.services.elevenlabs.tts_base import ELEVENLABS_MODEL_LANGUAGES
from pipecat.transcriptions.language import Language
from pydantic import SecretStr

from repartee.agent import Voice as Names
from repartee.providers.keys import CARTESIA_VERSION
from repartee.providers.ladder import Rung
from repartee.providers.voice_cache import VOICE_RATE_HZ
from repartee.providers.voices import CHUNK_BYTES, Voice
from repartee.settings import Settings
from repartee.urls import http_url

VENDOR_VOICES = frozenset({"elevenlabs", "cartesia"})
"""Those that do not speak OpenAI's wire format."""


@dataclass(frozen=True, slots=True)
class OpenAIVoice:
    """OpenAI's voice, and any server that speaks its wire format."""

    client: AsyncOpenAI
    model: str
    voice: str
    speed: float = 1.0
    instructions: str = ""

    @asynccontextmanager
    async def speak(self, text: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Ask for a text's audio."""
        more: dict[str, Any] = {"instructions": self.instructions} if self.instructions else {}
        async with self.client.audio.speech.with_streaming_response.create(
            input=text, model=self.model, voice=self.voice, response_format="pcm", speed=self.speed, **more
        ) as response:
            yield response.iter_bytes(CHUNK_BYTES)


@dataclass(frozen=True, slots=True)
class ElevenLabsVoice:
    """ElevenLabs' streaming request."""

    client: httpx2.AsyncClient
    url: str
    key: str
    model: str
    voice: str
    speed: float = 1.0
    language: str | None = None

    @asynccontextmanager
    async def speak(self, text: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Ask for a text's audio."""
        more = {} if self.language is None else {"language_code": self.language}
        async with self.client.stream(
            "POST",
            f"{self.url}/v1/text-to-speech/{self.voice}/stream",
            params={"output_format": f"pcm_{VOICE_RATE_HZ}"},
            headers={"xi-api-key": self.key},
            json={"text": text, "model_id": self.model, "voice_settings": {"speed": self.speed}, **more},
        ) as response:
            await _raise_for_status(response)
            yield response.aiter_bytes(CHUNK_BYTES)


@dataclass(frozen=True, slots=True)
class CartesiaVoice:
    """Cartesia's bytes request."""

    client: httpx2.AsyncClient
    url: str
    key: str
    model: str
    voice: str
    language: str = "en"

    @asynccontextmanager
    async def speak(self, text: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Ask for a text's audio."""
        raw = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": VOICE_RATE_HZ}
        async with self.client.stream(
            "POST",
            f"{self.url}/tts/bytes",
            headers={"X-API-Key": self.key, "Cartesia-Version": CARTESIA_VERSION},
            json={
                "transcript": text,
                "model_id": self.model,
                "voice": {"mode": "id", "id": self.voice},
                "language": self.language,
                "output_format": raw,
            },
        ) as response:
            await _raise_for_status(response)
            yield response.aiter_bytes(CHUNK_BYTES)


async def _raise_for_status(response: httpx2.Response) -> None:
    if response.is_error:
        await response.aread()  # what it says of quotas decides what becomes of the key
        response.raise_for_status()


def voice_for(
    rung: Rung, names: Names, language: str, settings: Settings, client: AsyncOpenAI | httpx2.AsyncClient
) -> Voice:
    """Return a voice at a rung.

    Args:
        rung: Which provider and model.
        names: What the voice is called there, and its speed.
        language: What it speaks, as in agent files.
        settings: Keys and addresses.
        client: A plain one for `VENDOR_VOICES`, else the SDK's.
    """
    match rung.provider:
        case "elevenlabs":
            return ElevenLabsVoice(
                cast("httpx2.AsyncClient", client),
                http_url(settings.elevenlabs_base_url),
                secret(settings.elevenlabs_api_key),
                rung.model,
                names.elevenlabs,
                elevenlabs_speed(names.speed),
                str(told) if (told := elevenlabs_language(rung.model, language)) else None,
            )
        case "cartesia":
            return CartesiaVoice(
                cast("httpx2.AsyncClient", client),
                http_url(settings.cartesia_base_url),
                secret(settings.cartesia_api_key),
                rung.model,
                names.cartesia,
                language.split("-", maxsplit=1)[0],
            )
        case provider:
            name = names.on_device if provider == "on-device" else names.openai
            return OpenAIVoice(cast("AsyncOpenAI", client), rung.model, name, names.speed)


def elevenlabs_language(model: str, language: str) -> Language | None:
    """Return a language as ElevenLabs is told it; None for a model that finds it out by itself."""
    code = language.split("-", maxsplit=1)[0]
    return Language(code) if code in ELEVENLABS_MODEL_LANGUAGES.get(model, ()) else None


def elevenlabs_speed(speed: float) -> float:
    """Return a speed as ElevenLabs takes it."""
    return min(1.2, max(0.7, speed))


def secret(key: SecretStr | None) -> str:
    """Return a key that the ladder has found to be there."""
    assert key is not None  # noqa: S101 - the ladder checked
    return key.get_secret_value()
