"""Where a call stands: one frozen dataclass per state, never one class with optional fields."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from repartee.events import Asked, EndReason, Line


@dataclass(frozen=True, slots=True)
class Turn:
    """What is known of the user's turn so far."""

    turn_id: int
    pieces: tuple[tuple[int, str], ...] = ()
    """Transcribed words by piece, in order."""
    guess: str = ""
    """Words after the pieces that speech-to-text is not yet sure of."""
    guess_id: int = 0
    """The stretch of voice the guess is of, or was told in."""
    voice: bool = False
    """Voice is sounding now."""
    segment_id: int = 0
    """The newest stretch of voice."""
    known_id: int = 0
    """The newest stretch of voice whose words are known."""
    silent_since_ms: float = 0.0
    spoken_ms: float = 0.0
    probability: float | None = None
    """End-of-turn probability of the present pause."""
    pauses: tuple[float, ...] = ()
    """How long the user was silent, in ms, each time they went on in this turn."""
    failed: bool = False
    """A held reply failed in the present pause; the next attempt waits for the end of the turn."""

    @property
    def text(self) -> str:
        """The words that are sure."""
        return " ".join(text for _, text in self.pieces)

    @property
    def best_text(self) -> str:
        """The words, with those that are guessed."""
        return f"{self.text} {self.guess}".strip()

    @property
    def words_known(self) -> bool:
        """Whether every stretch of voice has been transcribed."""
        return self.known_id >= self.segment_id

    @property
    def words_likely(self) -> bool:
        """Whether the words are known, or guessed with the newest stretch of voice in them."""
        return self.words_known or bool(self.guess and self.guess_id == self.segment_id)

    def with_guess(self, text: str) -> Turn:
        """Take what the words since the last transcript are taken for."""
        return replace(self, guess=text.strip(), guess_id=self.segment_id)

    def with_words(self, piece_id: int, text: str, segment_id: int) -> Turn:
        """Take the transcript of one piece; one that found nothing takes nothing back."""
        pieces = self.pieces
        if words := text.strip():
            pieces = tuple(sorted((*(p for p in pieces if p[0] != piece_id), (piece_id, words))))
        return replace(self, pieces=pieces, guess="", known_id=max(self.known_id, segment_id))

    def without_transcript(self) -> Turn:
        """Take the guess for the words, where the transcript does not come."""
        pieces = self.pieces
        if self.guess:
            pieces = (*pieces, (max((piece_id for piece_id, _ in pieces), default=0) + 1, self.guess))
        return replace(self, pieces=pieces, guess="", known_id=self.segment_id)


@dataclass(frozen=True, slots=True)
class Idle:
    """Nobody speaks."""


@dataclass(frozen=True, slots=True)
class UserTurn:
    """The user holds the floor, speaking or in a pause."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Speculating:
    """The user is silent, a held reply to `text` is being produced, the wait is not over."""

    turn: Turn
    reply_id: int
    text: str
    voiced: bool = False
    """Its audio is being made too."""
    worded: bool = False
    """Its first words are there."""
    busy_until_ms: float = 0.0
    """A tool may run for it until then."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """A reply may be heard as soon as it has audio. `turn` is what it answers; None for a line of our own."""

    reply_id: int
    turn: Turn | None
    is_line: bool = False
    asides: int = 0
    """How often something was said meanwhile."""
    aside_at_ms: float = 0.0
    """When something is to be said next."""
    busy_until_ms: float = 0.0
    line: Line | None = None
    """The fixed sentence it is."""
    recorded: bool = False
    """Which comes from a recording."""


@dataclass(frozen=True, slots=True)
class Speaking:
    """The agent is heard. `noise` is what sounds over it and was found to be no words."""

    reply_id: int
    noise: Turn | None = None


@dataclass(frozen=True, slots=True)
class Yielding:
    """Voice over the agent: its reply is lowered and held until it is clear who has the floor."""

    reply_id: int
    turn: Turn
    asked: bool = False
    """Speech-to-text was asked for the words of a voice that still sounds."""
    waiting: Thinking | None = None
    """What it was before, where nothing of the reply had been heard when it was lowered."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over; nothing leaves this state."""

    reason: EndReason


Farewell = Literal["none", "due", "said"]
"""Whether the call is to end: the goodbye comes when nobody speaks, the end after it."""

Leaving = Literal["budget", "trouble", "hung_up"]
"""Why it is to end: its money is spent, or no answer can be made."""

Opening = Literal["none", "greeting", "again"]
"""What the agent still has to say first, as soon as nobody speaks. `again`: it has taken the call over while the
caller was speaking; nobody has heard the beginning, so they are asked to say it again."""

Away = Literal["here", "away", "cut"]
"""Whether the caller's connection stands; `cut`: it broke in the middle of what they were saying."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether the caller is there, and whether they say anything.

    Attributes:
        away: Whether their connection stands.
        lost_at_ms: Since when it does not.
        held_id: The reply that is held until they are back.
        awaited: The deadline `silence` is armed.
        asks: How often they were asked in vain whether they are there.
        leaving: They are being let go: the call ends with the goodbye, unless they say something.
        unheard: They are to be told that no sound comes from them.
    """

    away: Away = "here"
    lost_at_ms: float = 0.0
    held_id: int = 0
    awaited: bool = False
    asks: int = 0
    leaving: bool = False
    unheard: bool = False


State: TypeAlias = Idle | UserTurn | Speculating | Thinking | Speaking | Yielding | Ended


@dataclass(frozen=True, slots=True)
class Conversation:
    """The whole of what `advance` remembers."""

    state: State = Idle()
    last_turn_id: int = 0
    last_reply_id: int = 0
    joined: bool = False
    asked: Asked = "nothing"
    """What the agent's last reply asked for."""
    waste: float = 0.0
    """Share of the latest held replies that were thrown away, newest counting most."""
    used_piece_id: int = 0
    """The newest piece of speech whose words belong to a turn that is over."""
    farewell: Farewell = "none"
    leaving: Leaving = "budget"
    """Why the farewell is due."""
    troubles: int = 0
    """Answers in a row that could not be made."""
    presence: Presence = Presence()
    takes_over: bool = False
    """Another agent had the call before, and left no question open."""
    opening: Opening = "none"
    came_at_ms: float = float("-inf")
    """When an agent that takes over began to say that it is there."""
