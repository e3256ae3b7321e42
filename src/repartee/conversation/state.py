"""Where a call stands: one frozen dataclass per state, never one class with optional fields."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from repartee.events import EndReason


@dataclass(frozen=True, slots=True)
class Turn:
    """What is known of the user's turn so far."""

    turn_id: int
    text: str = ""
    voice: bool = False
    """Voice is sounding now."""
    open_segments: int = 0
    """Stretches of voice whose transcript has not come yet."""
    segment_id: int = 0
    """The newest stretch of voice."""
    silent_since_ms: float = 0.0
    spoken_ms: float = 0.0
    probability: float | None = None
    """End-of-turn probability of the present pause."""

    def with_words(self, text: str) -> Turn:
        """Take the transcript of one segment."""
        joined = f"{self.text} {text.strip()}".strip() if text.strip() else self.text
        return replace(self, text=joined, open_segments=max(0, self.open_segments - 1))


@dataclass(frozen=True, slots=True)
class Idle:
    """Nobody speaks."""


@dataclass(frozen=True, slots=True)
class UserTurn:
    """The user holds the floor, speaking or in a pause."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Speculating:
    """The user is silent, a held reply is being produced, the wait is not over."""

    turn: Turn
    reply_id: int


@dataclass(frozen=True, slots=True)
class Thinking:
    """A reply may be heard as soon as it has audio. `turn` is what it answers; None for a line of our own."""

    reply_id: int
    turn: Turn | None
    is_line: bool = False


@dataclass(frozen=True, slots=True)
class Speaking:
    """The agent is heard."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class Yielding:
    """Voice over the agent: its reply is lowered and held until it is clear who has the floor."""

    reply_id: int
    turn: Turn


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over; nothing leaves this state."""

    reason: EndReason


State: TypeAlias = Idle | UserTurn | Speculating | Thinking | Speaking | Yielding | Ended


@dataclass(frozen=True, slots=True)
class Conversation:
    """The whole of what `advance` remembers."""

    state: State = Idle()
    last_turn_id: int = 0
    last_reply_id: int = 0
    joined: bool = False
