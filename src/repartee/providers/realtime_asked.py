"""One response of a model that speaks itself, from when it is wanted until all is known of it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pipecat.frames.frames import FunctionCallFromLLM

from repartee.providers.failover import Attempt
from repartee.providers.frames import ReplyContext
from repartee.providers.metering import Record
from repartee.telemetry.usage import Unit

BYTES_PER_S = 48_000
"""24 kHz, 16 bit, mono."""
HEARD_TOKENS_PER_S, SPOKEN_TOKENS_PER_S = 10, 20
CHARACTERS_PER_SECOND = 15.0
"""Usual pace of English voices."""


@dataclass
class RealtimeReply:
    """What of a reply came from the model; several responses where tools are called.

    Attributes:
        text: What it has said, in words.
        sounded: Sound of it was passed on.
        items: Parts of the vendor's conversation that belong to it, with the bytes of their sound.
        calls: Calls of tools: what the vendor calls them, by the part that makes them.
        cancelled: It is over before its end.
        heard_ms: What was heard of each part, when it was cancelled.
    """

    reply_id: int
    text: str = ""
    sounded: bool = False
    items: dict[str, int] = field(default_factory=dict)
    calls: dict[str, str] = field(default_factory=dict)
    cancelled: bool = False
    heard_ms: dict[str, float] = field(default_factory=dict)

    @property
    def sound_s(self) -> float:
        """Return how much sound of it has come."""
        return sum(self.items.values()) / BYTES_PER_S

    def spoken(self) -> int:
        """Return how many characters of its text the sound that has come speaks."""
        return min(len(self.text), int(self.sound_s * CHARACTERS_PER_SECOND))


@dataclass(eq=False)
class Asked:
    """A response that is wanted, or was asked for.

    Attributes:
        first: Something of it has come, or it is over.
        beat: Something of it has come since this was cleared.
        over: Nothing more comes.
    """

    reply: RealtimeReply
    context: ReplyContext
    response_id: str | None = None
    attempt: Attempt | None = None
    record: Record | None = None
    heard_s: float = 0.0
    """Of the caller's voice that was new in it."""
    items: list[str] = field(default_factory=list)
    calls: list[FunctionCallFromLLM] = field(default_factory=list)
    text: str = ""
    sound_bytes: int = 0
    first: asyncio.Event = field(default_factory=asyncio.Event)
    beat: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def came(self) -> None:
        """Something of it has come."""
        if self.attempt is not None:
            self.attempt.first()
        self.first.set()
        self.beat.set()

    def end(self) -> None:
        """Nothing more comes."""
        self.over.set()
        self.first.set()
        self.beat.set()


@dataclass
class Spent:
    """Tokens of the newest response that was counted: what one that was not is reckoned from."""

    tokens_in: int = 0
    audio_in: int = 0

    def take(self, usage: Any) -> dict[Unit, Decimal]:
        """Return the quantities of a response, as the vendor counts them."""
        heard, spoken = usage.input_token_details, usage.output_token_details
        kept = heard.cached_tokens_details if heard is not None else None
        self.tokens_in = usage.input_tokens or 0
        self.audio_in = (heard.audio_tokens or 0) if heard is not None else 0
        counted: dict[Unit, int] = {
            "tokens_in": self.tokens_in,
            "tokens_cached": (heard.cached_tokens or 0) if heard is not None else 0,
            "tokens_out": usage.output_tokens or 0,
            "audio_tokens_in": self.audio_in,
            "audio_tokens_cached": (kept.audio_tokens or 0) if kept is not None else 0,
            "audio_tokens_out": (spoken.audio_tokens or 0) if spoken is not None else 0,
        }
        return {unit: Decimal(count) for unit, count in counted.items() if count}

    def reckon(self, asked: Asked) -> dict[Unit, Decimal]:
        """Return what a response used that was never counted: the prompt of before, and what is known to be new."""
        heard = math.ceil(asked.heard_s * HEARD_TOKENS_PER_S)
        spoken = math.ceil(asked.sound_bytes / BYTES_PER_S * SPOKEN_TOKENS_PER_S)
        counted: dict[Unit, int] = {
            "tokens_in": self.tokens_in + heard,
            "tokens_out": spoken + len(asked.text.split()),
            "audio_tokens_in": self.audio_in + heard,
            "audio_tokens_out": spoken,
        }
        return {unit: Decimal(count) for unit, count in counted.items() if count}
