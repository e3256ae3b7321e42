"""The provider ladder: for each stage the best rung the keys, the agent file and this machine allow."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal

import httpx

from repartee.agent import Agent
from repartee.agent.memory import EXTRACTIVE
from repartee.errors import ConfigError
from repartee.settings import Settings

Stage = Literal["stt", "llm", "tts"]
PROBE_S = 0.5
SMALL_MODELS = {"openai": "gpt-4.1-nano"}
"""For notes and for choosing one name from a list; a provider without one uses the model it has."""
_KEYS = {
    "openai": ("openai_api_key", "OPENAI_API_KEY"),
    "openai-realtime": ("openai_api_key", "OPENAI_API_KEY"),
    "elevenlabs": ("elevenlabs_api_key", "ELEVENLABS_API_KEY"),
    "cartesia": ("cartesia_api_key", "CARTESIA_API_KEY"),
}
_STAGES: dict[Stage, tuple[str, ...]] = {
    "stt": ("openai", "openai-realtime", "on-device"),
    "llm": ("openai", "local", "answers"),
    "tts": ("openai", "elevenlabs", "cartesia", "on-device"),
}


@dataclass(frozen=True, slots=True)
class Rung:
    """What one stage runs on, and what the next rung up would bring."""

    stage: Stage
    provider: str
    model: str
    label: str
    lost: str | None = None
    climb: str | None = None


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs of one agent.

    Attributes:
        small: The model for simple turns, None where one model does all.
        meaning: The sentence model is wanted besides the stages: the answer cache matches by meaning.
    """

    stt: Rung
    llm: Rung
    tts: Rung
    small: Rung | None = None
    meaning: bool = False

    @property
    def needs_speech_host(self) -> bool:
        """Whether any stage runs on the machine's own models."""
        return "on-device" in {self.stt.provider, self.tts.provider} or self.llm.provider == "answers"


async def choose_ladder(settings: Settings, agent: Agent) -> Ladder:
    """Choose the rungs; the agent file's wish comes first, then keys, then this machine.

    Raises:
        ConfigError: The agent file asks for a provider whose key is missing or that cannot do the stage.
    """
    llm = await _llm(settings, agent)
    modelled = llm.provider != "answers"
    small = await _small(settings, agent) if modelled else None
    return Ladder(_stt(settings, agent), llm, _tts(settings, agent), small, modelled and _by_meaning(agent))


def _by_meaning(agent: Agent) -> bool:
    """Say whether the answer cache needs sentence vectors, and can use them: the sentence model knows English."""
    cache = agent.cache
    has_answers = cache.answers and any(answer.do is None for answer in agent.answers)
    return agent.language.startswith("en") and cache.by_meaning and (has_answers or cache.learn)


async def _small(settings: Settings, agent: Agent) -> Rung | None:
    wished = agent.routing.small
    if wished is None:
        return None
    provider, model = wished.split(":", 1)
    if provider == "openai":
        _need_key(settings, agent, "routing.small", wished)
        return Rung("llm", provider, model, f"OpenAI {model}")
    if await _local_model(settings, model) is None:
        raise ConfigError(
            f"{agent.path}: routing.small asks for '{wished}', but no such model answers at "
            f"{settings.llm_base_url}; start it or set LLM_BASE_URL"
        )
    return Rung("llm", provider, model, f"{model} at {settings.llm_base_url}")


def model_beside(ladder: Ladder) -> tuple[str, str] | None:
    """Return provider and model for work beside the talk, such as notes and topics; None where there is no model."""
    if ladder.llm.provider == "answers":
        return None
    if ladder.small is not None:
        return ladder.small.provider, ladder.small.model
    return ladder.llm.provider, SMALL_MODELS.get(ladder.llm.provider, ladder.llm.model)


def summary_model(settings: Settings, agent: Agent, ladder: Ladder) -> tuple[str, str] | None:
    """Return provider and model that write the notes; None when sentences are picked.

    Raises:
        ConfigError: The agent file asks for a provider whose key is missing.
    """
    wished = agent.memory.summary
    if wished == EXTRACTIVE or not agent.memory.enabled:
        return None
    if wished is None:
        return model_beside(ladder)
    provider, model = wished.split(":", 1)
    if provider == "openai" and settings.openai_api_key is None:
        raise ConfigError(
            f"{agent.path}: memory.summary asks for '{wished}', which needs OPENAI_API_KEY; set it, or write "
            f"'{EXTRACTIVE}'"
        )
    return provider, model


def _stt(settings: Settings, agent: Agent) -> Rung:
    wished = _wish(settings, agent, "stt")
    provider, model = wished or (
        ("openai", "gpt-4o-mini-transcribe") if settings.openai_api_key else ("on-device", "tiny.en")
    )
    if provider == "on-device":
        return Rung(
            "stt",
            provider,
            model,
            "Whisper tiny.en on this machine",
            "English only, and more words misheard",
            "export OPENAI_API_KEY=...",
        )
    kind = "OpenAI realtime" if provider == "openai-realtime" else "OpenAI"
    return Rung("stt", provider, model, f"{kind} {model}")


async def _llm(settings: Settings, agent: Agent) -> Rung:
    wished = _wish(settings, agent, "llm")
    if wished is None and settings.openai_api_key:
        wished = ("openai", "gpt-4.1-mini")
    if wished is not None and wished[0] == "openai":
        return Rung("llm", "openai", wished[1], f"OpenAI {wished[1]}")
    if wished is None or wished[0] == "local":
        model = await _local_model(settings, wished[1] if wished else None)
        if model is not None:
            return Rung(
                "llm",
                "local",
                model,
                f"{model} at {settings.llm_base_url}",
                "slower, and weaker with tools",
                "export OPENAI_API_KEY=...",
            )
        if wished is not None:
            raise ConfigError(
                f"{agent.path}: models.llm asks for '{wished[0]}:{wished[1]}', but no model answers at "
                f"{settings.llm_base_url}; start it or set LLM_BASE_URL"
            )
    return Rung(
        "llm",
        "answers",
        "all-MiniLM-L6-v2",
        "the agent file's answers, matched by meaning",
        "only what `answers:` knows can be said",
        "export OPENAI_API_KEY=... (or `ollama run llama3.2`)",
    )


def _tts(settings: Settings, agent: Agent) -> Rung:
    wished = _wish(settings, agent, "tts")
    provider, model = wished or _best_voice(settings)
    if provider != "on-device":
        names = {"openai": "OpenAI", "elevenlabs": "ElevenLabs", "cartesia": "Cartesia"}
        return Rung("tts", provider, model, f"{names[provider]} {model}")
    if importlib.util.find_spec("piper") is None:
        raise ConfigError("no key for a voice, and the on-device voice is not installed; run `make setup`")
    return Rung(
        "tts",
        provider,
        agent.voice.on_device,
        f"Piper {agent.voice.on_device} on this machine",
        "one plain voice",
        "export CARTESIA_API_KEY=... (or ELEVENLABS_API_KEY, OPENAI_API_KEY)",
    )


def _best_voice(settings: Settings) -> tuple[str, str]:
    if settings.cartesia_api_key:
        return "cartesia", "sonic-3"
    if settings.elevenlabs_api_key:
        return "elevenlabs", "eleven_flash_v2_5"
    if settings.openai_api_key:
        return "openai", "gpt-4o-mini-tts"
    return "on-device", "piper"


def _wish(settings: Settings, agent: Agent, stage: Stage) -> tuple[str, str] | None:
    value: str | None = getattr(agent.models, stage)
    if value is None:
        return None
    provider, model = value.split(":", 1)
    if provider not in _STAGES[stage]:
        raise ConfigError(
            f"{agent.path}: models.{stage} cannot be '{provider}'; choose one of: {', '.join(_STAGES[stage])}"
        )
    _need_key(settings, agent, f"models.{stage}", value)
    return provider, model


def _need_key(settings: Settings, agent: Agent, where: str, value: str) -> None:
    provider = value.split(":", 1)[0]
    if provider not in _KEYS:
        return
    field, variable = _KEYS[provider]
    if getattr(settings, field) is None:
        raise ConfigError(
            f"{agent.path}: {where} asks for '{value}', which needs {variable}; set it, or leave {where} out "
            "to use what is there"
        )


async def _local_model(settings: Settings, wanted: str | None) -> str | None:
    """Return a model of the local OpenAI-compatible server, None when nothing answers in time."""
    headers = (
        {"Authorization": f"Bearer {settings.llm_api_key.get_secret_value()}"} if settings.llm_api_key else {}
    )
    try:
        async with httpx.AsyncClient(timeout=PROBE_S) as client:
            response = await client.get(f"{settings.llm_base_url.rstrip('/')}/models", headers=headers)
            response.raise_for_status()
            names = [str(item["id"]) for item in response.json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
    if wanted is not None:
        return wanted if wanted in names else None
    return names[0] if names else None
