"""Whether the vendors take the keys they are given: asked at start, not found out by the first caller."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx
import structlog
from pydantic import SecretStr

from repartee.errors import ConfigError
from repartee.providers.ladder import Ladder
from repartee.settings import Settings
from repartee.urls import http_url

log = structlog.get_logger()
CHECK_S = 3.0
CARTESIA_VERSION = "2025-04-16"


@dataclass(frozen=True, slots=True)
class Question:
    """Something that costs nothing, asked with a key."""

    variable: str
    url: str
    headers: dict[str, str]

    @staticmethod
    def refused(response: httpx.Response) -> bool:
        """Say whether the answer means that the key is not known at all.

        A key may be good and still not allowed to list models.
        """
        return response.status_code == httpx.codes.UNAUTHORIZED and "missing_permissions" not in response.text


def key_questions(settings: Settings) -> list[Question]:
    """Return a question for every vendor there is a key for."""
    keys = {
        "openai": settings.openai_api_key,
        "elevenlabs": settings.elevenlabs_api_key,
        "cartesia": settings.cartesia_api_key,
    }
    asked = (_question(settings, vendor) for vendor, key in keys.items() if key is not None)
    return [question for question in asked if question is not None]


async def check_keys(settings: Settings, ladder: Ladder) -> None:
    """Ask every vendor the ladder uses something that costs nothing.

    A vendor that does not answer is logged: it may be back before the first call.

    Raises:
        ConfigError: A vendor refuses its key.
    """
    rungs = (ladder.stt, ladder.llm, ladder.tts, ladder.small)
    vendors = sorted({rung.provider.removesuffix("-realtime") for rung in rungs if rung is not None})
    standing_by = sorted({rung.provider for then in ladder.then.values() for rung in then} - set(vendors))
    async with httpx.AsyncClient(timeout=CHECK_S) as client:
        needed = [_ask(client, question) for vendor in vendors if (question := _question(settings, vendor))]
        spare = [
            _warn(client, question) for vendor in standing_by if (question := _question(settings, vendor))
        ]
        await asyncio.gather(*needed, *spare)


async def _warn(client: httpx.AsyncClient, question: Question) -> None:
    """Ask a vendor that only stands by: a wrong key is told, and no reason not to start."""
    try:
        await _ask(client, question)
    except ConfigError as error:
        log.warning("provider.standby_key_refused", variable=question.variable, error=str(error))


def _question(settings: Settings, vendor: str) -> Question | None:
    match vendor:
        case "openai":
            key = _value(settings.openai_api_key)
            url = f"{http_url(settings.openai_base_url)}/models"
            return Question("OPENAI_API_KEY", url, {"Authorization": f"Bearer {key}"})
        case "elevenlabs":
            key = _value(settings.elevenlabs_api_key)
            return Question(
                "ELEVENLABS_API_KEY",
                f"{http_url(settings.elevenlabs_base_url)}/v1/models",
                {"xi-api-key": key},
            )
        case "cartesia":
            headers = {"X-API-Key": _value(settings.cartesia_api_key), "Cartesia-Version": CARTESIA_VERSION}
            return Question(
                "CARTESIA_API_KEY", f"{http_url(settings.cartesia_base_url)}/voices?limit=1", headers
            )
        case _:
            return None


async def _ask(client: httpx.AsyncClient, question: Question) -> None:
    host = httpx.URL(question.url).host
    try:
        response = await client.get(question.url, headers=question.headers)
    except httpx.HTTPError as error:
        log.warning("provider.unreachable", host=host, error=type(error).__name__)
        return
    if question.refused(response):
        raise ConfigError(
            f"{host} refuses {question.variable} (401); correct it, or unset it to run on the next rung"
        )


def _value(key: SecretStr | None) -> str:
    return key.get_secret_value() if key is not None else ""
