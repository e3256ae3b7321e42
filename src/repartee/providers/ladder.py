"""The provider ladder: for each stage the best rung the keys, the agent file and this machine allow."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import httpx

from repartee.agent import Agent
from repartee.agent.definition import ON_DEVICE, nearest
from repartee.agent.memory import EXTRACTIVE
from repartee.agent.privacy import is_cloud_model
from repartee.errors import ConfigError
from repartee.providers.connections import tls
from repartee.providers.limits import plan_limit
from repartee.providers.ondevice.espeak import espeak_language, has_espeak
from repartee.providers.ondevice.registry import OWN_VOICE, OWN_WHISPER, VOICES, WHISPERS, Model
from repartee.providers.ondevice.sizes import whisper_for
from repartee.providers.privacy import check_private, without_vendors
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
_DEFAULTS: dict[Stage, tuple[tuple[str, str], ...]] = {
    "stt": (("openai", "gpt-4o-mini-transcribe"),),
    "tts": (("cartesia", "sonic-3"), ("elevenlabs", "eleven_flash_v2_5"), ("openai", "gpt-4o-mini-tts")),
}
"""A stage's vendors, best first."""


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
        then: What stands by for each stage, in order.
        ceilings: Requests at once that plans allow, by provider.
        realtime: The model that hears and speaks itself, before `llm` and `tts`; None where they do all.
    """

    stt: Rung
    llm: Rung
    tts: Rung
    small: Rung | None = None
    meaning: bool = False
    then: Mapping[Stage, tuple[Rung, ...]] = field(default_factory=dict)
    ceilings: Mapping[str, int] = field(default_factory=dict)
    realtime: Rung | None = None

    def rungs(self, stage: Stage) -> tuple[Rung, ...]:
        """Return what a stage runs on, first choice first."""
        first: dict[Stage, Rung] = {"stt": self.stt, "llm": self.llm, "tts": self.tts}
        return (first[stage], *self.then.get(stage, ()))

    @property
    def needs_speech_host(self) -> bool:
        """Whether any stage runs on the machine's own models."""
        return "on-device" in {self.stt.provider, self.tts.provider} or self.llm.provider == "answers"

    @property
    def whisper(self) -> str:
        """The recogniser of this machine's own, by its name in agent files; one for all calls."""
        own = (rung.model for rung in self.rungs("stt") if rung.provider == ON_DEVICE)
        return next(own, OWN_WHISPER)

    @property
    def own_voice(self) -> str:
        """The voice of this machine's own, by its name in agent files; one for all calls."""
        own = (rung.model for rung in self.rungs("tts") if rung.provider == ON_DEVICE)
        return next(own, OWN_VOICE)

    @property
    def uses_speech_host(self) -> bool:
        """Whether the machine's own models are wanted, be it only to stand by."""
        standing_by = (rung.provider for rungs in self.then.values() for rung in rungs)
        return self.needs_speech_host or "on-device" in standing_by


async def choose_ladder(settings: Settings, agent: Agent) -> Ladder:
    """Choose the rungs; the agent file's wish comes first, then keys, then this machine.

    For a private agent there are no keys: it climbs as far as this machine goes.

    Raises:
        ConfigError: The agent file asks for a provider whose key is missing or that cannot do the stage, or for
            privacy that a part of the installation does not keep.
    """
    if not agent.private:
        return await _choose(settings, agent)
    check_private(settings, agent)
    return _without_climb(await _choose(without_vendors(settings), agent))


def _without_climb(ladder: Ladder) -> Ladder:
    """Leave out what cannot be: the next rung of a private agent is no vendor's."""
    climb = "`ollama run llama3.2`" if ladder.llm.provider == "answers" else None
    return replace(
        ladder,
        stt=replace(ladder.stt, climb=None),
        llm=replace(ladder.llm, climb=climb),
        tts=replace(ladder.tts, climb=None),
    )


async def _choose(settings: Settings, agent: Agent) -> Ladder:
    llm = await _llm(settings, agent)
    modelled = llm.provider != "answers"
    small = await _small(settings, agent) if modelled else None
    stt, tts = _stt(settings, agent), _tts(settings, agent)
    then: dict[Stage, tuple[Rung, ...]] = {
        "stt": tuple(_stt(settings, agent, wish) for wish in _others(settings, agent, "stt", stt)),
        "llm": await _llm_then(settings, agent, llm),
        "tts": tuple(_tts(settings, agent, wish) for wish in _others(settings, agent, "tts", tts)),
    }
    ceilings = _ceilings(settings, (tts, *then["tts"]))
    realtime = _realtime(settings, agent)
    return Ladder(stt, llm, tts, small, modelled and _by_meaning(agent), then, ceilings, realtime)


def _realtime(settings: Settings, agent: Agent) -> Rung | None:
    wished = agent.models.realtime
    if wished is None:
        return None
    _need_key(settings, agent, "models.realtime", wished)
    provider, model = wished.split(":", 1)
    return Rung("llm", provider, model, f"OpenAI {model}, hearing and speaking")


def _others(settings: Settings, agent: Agent, stage: Stage, first: Rung) -> list[tuple[str, str]]:
    """Return what stands by: the rest of the agent file's list, else other vendors' keys, this machine at the end."""
    listed = getattr(agent.models, stage)
    if isinstance(listed, tuple):
        return _wishes(settings, agent, stage)[1:]
    if first.provider == "on-device":
        return []  # no vendor's key is there, or the agent's words shall not leave the machine
    others = [
        (provider, model)
        for provider, model in _DEFAULTS[stage]
        if provider != first.provider and getattr(settings, _KEYS[provider][0]) is not None
    ]
    own = _own(settings, agent, stage) if settings.standby and _speaks_here(settings, agent, stage) else None
    return [*others, *([own] if own else [])]


def _own(settings: Settings, agent: Agent, stage: Stage) -> tuple[str, str]:
    """Return this machine's own for a stage: of the recognisers that are here the best that is quick enough."""
    if stage == "tts":
        return ON_DEVICE, agent.voice.on_device
    size = whisper_for(settings.models_dir, settings.cache_dir, _hardest(agent))
    return ON_DEVICE, size.name if size is not None else OWN_WHISPER


def _only_english(agent: Agent) -> bool:
    return all(code[:2] == "en" for code in (agent.language, *agent.languages))


def _hardest(agent: Agent) -> str:
    """Return a language that decides which recogniser hears: one that is not English, if it speaks any."""
    return next((code for code in (agent.language, *agent.languages) if code[:2] != "en"), agent.language)


def _language(agent: Agent) -> str:
    return agent.language.split("-", maxsplit=1)[0]


def _speaks_here(settings: Settings, agent: Agent, stage: Stage) -> bool:
    """Say whether this machine's own models know the agent's language."""
    _, model = _own(settings, agent, stage)
    if stage == "stt":
        return _only_english(agent) or model != OWN_WHISPER
    if agent.languages:
        return False  # one voice of this machine would be heard in all of them
    voice = VOICES.get(model)
    here = voice is not None and voice.is_here(settings.models_dir)
    return (
        here
        and model.split("_", maxsplit=1)[0] == _language(agent)
        and importlib.util.find_spec("piper") is not None
    )


async def _llm_then(settings: Settings, agent: Agent, first: Rung) -> tuple[Rung, ...]:
    if isinstance(agent.models.llm, tuple):
        return tuple([await _llm(settings, agent, wish) for wish in _wishes(settings, agent, "llm")[1:]])
    if first.provider != "openai" or not settings.standby:
        return ()
    model = await _local_model(settings, None)
    return (_local_rung(settings, model),) if model is not None else ()


def _ceilings(settings: Settings, voices: tuple[Rung, ...]) -> dict[str, int]:
    plans = {"elevenlabs": settings.elevenlabs_plan, "cartesia": settings.cartesia_plan}
    return {
        rung.provider: plan_limit(rung.provider, plan, rung.model)
        for rung in voices
        if (plan := plans.get(rung.provider)) is not None
    }


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


def _stt(settings: Settings, agent: Agent, wished: tuple[str, str] | None = None) -> Rung:
    wished = wished or _wish(settings, agent, "stt")
    provider, model = wished or (
        ("openai", "gpt-4o-mini-transcribe") if settings.openai_api_key else _own(settings, agent, "stt")
    )
    if provider == ON_DEVICE:
        small = model == OWN_WHISPER
        lost = "English only, and more words misheard" if small else "more words misheard, slower"
        climb = "export OPENAI_API_KEY=..."
        if small and not _only_english(agent):
            climb = f"repartee models pull whisper-small (or {climb})"
        return Rung("stt", provider, model, f"Whisper {model} on this machine", lost, climb)
    kind = "OpenAI realtime" if provider == "openai-realtime" else "OpenAI"
    return Rung("stt", provider, model, f"{kind} {model}")


async def _llm(settings: Settings, agent: Agent, wished: tuple[str, str] | None = None) -> Rung:
    wished = wished or _wish(settings, agent, "llm")
    if wished is None and settings.openai_api_key:
        wished = ("openai", "gpt-4.1-mini")
    if wished is not None and wished[0] == "openai":
        return Rung("llm", "openai", wished[1], f"OpenAI {wished[1]}")
    if wished is None or wished[0] == "local":
        model = await _local_model(settings, wished[1] if wished else None)
        if model is not None:
            return _local_rung(settings, model)
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


def _local_rung(settings: Settings, model: str) -> Rung:
    return Rung(
        "llm",
        "local",
        model,
        f"{model} at {settings.llm_base_url}",
        "slower, and weaker with tools",
        "export OPENAI_API_KEY=...",
    )


def _tts(settings: Settings, agent: Agent, wished: tuple[str, str] | None = None) -> Rung:
    wished = wished or _wish(settings, agent, "tts")
    if wished is None and agent.models.realtime is not None:
        wished = _DEFAULTS["tts"][-1]  # the same voice by name
    provider, model = wished or _best_voice(settings, agent)
    if provider != ON_DEVICE:
        names = {"openai": "OpenAI", "elevenlabs": "ElevenLabs", "cartesia": "Cartesia"}
        return Rung("tts", provider, model, f"{names[provider]} {model}")
    if importlib.util.find_spec("piper") is None:
        raise ConfigError("no key for a voice, and the on-device voice is not installed; run `make setup`")
    name = agent.voice.on_device
    sections = {f"languages.{code}.voice": section.voice for code, section in agent.languages.items()}
    named = {f"voices.{key}": voice for key, voice in agent.voices.items()}
    for where, voice in {"voice": agent.voice, **named, **sections}.items():
        if voice is not None:
            _need_voice(settings, agent, f"{where}.on_device", voice.on_device)
    return Rung(
        "tts",
        provider,
        name,
        f"{'espeak-ng' if espeak_language(name) else 'Piper'} {name} on this machine",
        "one plain voice",
        "export CARTESIA_API_KEY=... (or ELEVENLABS_API_KEY, OPENAI_API_KEY)",
    )


def _best_voice(settings: Settings, agent: Agent) -> tuple[str, str]:
    there = (wish for wish in _DEFAULTS["tts"] if getattr(settings, _KEYS[wish[0]][0]) is not None)
    return next(there, _own(settings, agent, "tts"))


def _wish(settings: Settings, agent: Agent, stage: Stage) -> tuple[str, str] | None:
    wishes = _wishes(settings, agent, stage)
    return wishes[0] if wishes else None


def _wishes(settings: Settings, agent: Agent, stage: Stage) -> list[tuple[str, str]]:
    """Return what the agent file asks for, in order.

    Raises:
        ConfigError: One of them cannot be.
    """
    value: str | tuple[str, ...] | None = getattr(agent.models, stage)
    names = [value] if isinstance(value, str) else list(value or ())
    wishes = []
    for number, name in enumerate(names):
        if name == ON_DEVICE and stage != "llm":
            wishes.append(_own(settings, agent, stage))
            continue
        provider, _, model = name.partition(":")
        if provider not in _STAGES[stage]:
            raise ConfigError(
                f"{agent.path}: models.{stage} cannot be '{provider}'; choose one of: {', '.join(_STAGES[stage])}"
            )
        if number and provider == "openai-realtime":
            raise ConfigError(
                f"{agent.path}: models.{stage} has '{name}' to stand by, but a stream cannot be replayed; write it "
                "first, or 'openai:' for the same model by the piece"
            )
        _need_key(settings, agent, f"models.{stage}", name)
        if (stage, provider) == ("stt", ON_DEVICE):
            _need_model(settings, agent, "models.stt", model, WHISPERS)
        wishes.append((provider, model))
    return wishes


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


def _need_voice(settings: Settings, agent: Agent, where: str, name: str) -> None:
    """See that a voice of this machine's own is here.

    Raises:
        ConfigError: It is not, or there is none of that name.
    """
    if espeak_language(name) is None:
        _need_model(settings, agent, where, name, VOICES)
    elif not has_espeak():
        raise ConfigError(
            f"{agent.path}: {where} is '{name}', which needs espeak-ng; install it, e.g. `apt install espeak-ng`, or "
            "name a voice of `repartee models`"
        )


def _need_model(settings: Settings, agent: Agent, where: str, name: str, known: Mapping[str, Model]) -> None:
    """See that a model of this machine's own is here.

    Raises:
        ConfigError: It is not, or there is none of that name.
    """
    if name not in known:
        raise ConfigError(
            f"{agent.path}: {where} asks for '{name}' on this machine{nearest(name, tuple(known))}"
        )
    try:
        known[name].locate(settings.models_dir)
    except ConfigError as error:
        raise ConfigError(f"{agent.path}: {where} asks for '{name}' on this machine, but {error}") from error


async def _local_model(settings: Settings, wanted: str | None) -> str | None:
    """Return a model of the local OpenAI-compatible server, None when nothing answers in time."""
    headers = (
        {"Authorization": f"Bearer {settings.llm_api_key.get_secret_value()}"} if settings.llm_api_key else {}
    )
    try:
        async with httpx.AsyncClient(timeout=PROBE_S, verify=tls()) as client:
            response = await client.get(f"{settings.llm_base_url.rstrip('/')}/models", headers=headers)
            response.raise_for_status()
            names = [str(item["id"]) for item in response.json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
    if wanted is not None:
        return wanted if wanted in names else None
    return next((name for name in names if not is_cloud_model(name)), None)
