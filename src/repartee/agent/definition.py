"""What an agent file may say. Strict: an unknown key is an error, every value has a type and a bound."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from repartee.agent.budget import Budget
from repartee.agent.cache import Cache, Routing
from repartee.agent.forms import Forms
from repartee.agent.intents import Intents
from repartee.agent.keep import Keep
from repartee.agent.mcp import McpServers
from repartee.agent.memory import MemorySection
from repartee.agent.privacy import Privacy
from repartee.agent.realtime import check_realtime
from repartee.agent.slots import Slot, SlotType, Text, nearest
from repartee.agent.slots import Strict as _Strict
from repartee.agent.team import TeamSection
from repartee.agent.telephony import Telephony
from repartee.agent.tone import ToneSection
from repartee.agent.vision import Vision
from repartee.agent.voice import Code, Languages, Voice, Voices
from repartee.agent.waiting import Waiting

__all__ = [
    "AgentFile",
    "Answer",
    "Limits",
    "Models",
    "Slot",
    "SlotType",
    "Text",
    "TurnTaking",
    "Voice",
    "nearest",
]

PROVIDERS = ("openai", "openai-realtime", "elevenlabs", "cartesia", "on-device", "local")
"""First part of a model name, `provider:model`. `local` is any OpenAI-compatible server at LLM_BASE_URL."""

_MODEL = re.compile(r"^[a-z][a-z-]*:[\w./:-]+$")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


ON_DEVICE = "on-device"
Rungs = Annotated[tuple[str, ...], Field(min_length=1, max_length=6)]


class Models(_Strict):
    """Which model does what, as `provider:model`; left out, the provider ladder decides.

    A list is an order: the next one is asked when those before it fail, and no other.
    """

    stt: str | Rungs | None = Field(
        default=None, description="Speech to text, e.g. openai:gpt-4o-mini-transcribe, or a list in order"
    )
    llm: str | Rungs | None = Field(
        default=None, description="Language model, e.g. openai:gpt-4.1-mini, or a list in order"
    )
    tts: str | Rungs | None = Field(
        default=None, description="Voice, e.g. cartesia:sonic-3.6, or a list in order"
    )
    realtime: str | None = Field(
        default=None,
        description="A model that hears the caller and speaks itself, e.g. openai:gpt-realtime; llm and tts stand by",
    )

    @field_validator("stt", "llm", "tts")
    @classmethod
    def _known_providers(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        names = (value,) if isinstance(value, str) else value or ()
        for name in names:
            _check_model(name)
        if len(set(names)) < len(names):
            raise ValueError("a model is in the list twice; write each one once")
        return value

    @field_validator("realtime")
    @classmethod
    def _speaks(cls, value: str | None) -> str | None:
        if value is not None:
            check_realtime(value)
        return value


def _check_model(name: str) -> None:
    if name == ON_DEVICE:
        return
    if not _MODEL.match(name):
        raise ValueError(f"'{name}' is not of the form provider:model, e.g. openai:gpt-4.1-mini")
    provider = name.split(":", 1)[0]
    if provider not in PROVIDERS:
        raise ValueError(f"unknown provider '{provider}'{nearest(provider, PROVIDERS)}")


class Answer(_Strict):
    """An answer known in advance: used when no language model is there, and as the cheapest tier when one is."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]
    ask: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Example phrasings of the question; others are matched by meaning."""
    say: str | None = None
    do: str | None = None
    """A tool to call, once its slots are known."""
    slots: dict[str, Slot] = Field(default_factory=dict)
    confirm: str | None = None
    """Asked before the tool is called; `{slot}` stands for a value."""

    @model_validator(mode="after")
    def _says_or_does(self) -> Answer:
        if self.say is None and self.do is None:
            raise ValueError(f"answer '{self.id}' needs 'say' (a text) or 'do' (a tool)")
        if self.do is None and (self.slots or self.confirm):
            raise ValueError(f"answer '{self.id}' has slots or confirm but no tool in 'do'")
        allowed = {*self.slots, *(("result",) if self.do else ())}
        for text in (self.say, self.confirm):
            for name in _PLACEHOLDER.findall(text or ""):
                if name not in allowed:
                    raise ValueError(
                        f"answer '{self.id}' uses {{{name}}}, which is no slot of it{nearest(name, allowed)}"
                    )
        return self


class TurnTaking(_Strict):
    """When the agent speaks and when it gives way."""

    sensitivity: Literal["low", "medium", "high"] = "medium"
    min_silence_ms: int = Field(default=300, ge=100, le=3000)
    max_silence_ms: int = Field(default=1600, ge=200, le=10_000)
    digits_silence_ms: int = Field(default=1500, ge=200, le=10_000)
    speculate: bool = True
    barge_in: bool = True
    take_floor_ms: int | None = Field(default=None, ge=100, le=5000)
    backchannel_max_words: int | None = Field(default=None, ge=0, le=20)

    @model_validator(mode="after")
    def _ordered(self) -> TurnTaking:
        if self.min_silence_ms > self.max_silence_ms:
            raise ValueError("min_silence_ms is above max_silence_ms")
        return self


class Limits(_Strict):
    """What one call may take."""

    max_call_s: int = Field(default=3600, ge=10, le=86_400)
    reconnect_s: int = Field(default=30, ge=0, le=600)
    """How long a caller whose connection broke may come back to the call."""
    silence_s: int = Field(default=20, ge=0, le=3600)
    """When nobody has spoken for so long the caller is asked whether they are there; 0: never."""
    silence_asks: int = Field(default=2, ge=0, le=20)
    """How often they are asked before they are let go."""
    tool_calls: int = Field(default=200, ge=1, le=10_000)
    """Calls of tools in one call of a caller."""
    turn_tool_calls: int = Field(default=12, ge=1, le=1000)
    """Calls of tools in one turn of it."""
    confirm: Literal["written", "all"] = "written"
    """Which tools that change something ask first: those with a question of their own, or all."""
    tool_s: int = Field(default=600, ge=1, le=86_400)
    """Seconds all of them together may run."""


class AgentFile(_Strict):
    """An agent file as it is written."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    language: Code = "en"
    persona: Text
    greeting: Text
    privacy: Privacy = Field(
        default="vendors",
        description="on-device: nothing that is said leaves this machine, and whatever would is refused",
    )
    voice: Voice = Voice()
    voices: Voices = Field(default={}, description="Others that a call may change to, by name")
    languages: Languages = Field(
        default={}, description="Others that it speaks when the caller does, by code"
    )
    models: Models = Models()
    answers: tuple[Answer, ...] = ()
    fallback: Text = "I'm sorry, I can't help with that. Is there anything else?"
    tools: str | None = Field(default=None, description="A Python file beside this one with @tool functions")
    intents: Intents = ()
    forms: Forms = ()
    mcp: McpServers = ()
    team: TeamSection = TeamSection()
    record: bool = Field(default=False, description="Record calls, both sides, for the page of the call")
    turn_taking: TurnTaking = TurnTaking()
    limits: Limits = Limits()
    memory: MemorySection = MemorySection()
    keep: Keep = Keep()
    cache: Cache = Cache()
    routing: Routing = Routing()
    budget: Budget = Budget()
    waiting: Waiting = Waiting()
    telephony: Telephony = Telephony()
    vision: Vision = Vision()
    tone: ToneSection = ToneSection()

    @model_validator(mode="after")
    def _unique_answers(self) -> AgentFile:
        seen: set[str] = set()
        for answer in self.answers:
            if answer.id in seen:
                raise ValueError(f"two answers have the id '{answer.id}'")
            seen.add(answer.id)
        return self
