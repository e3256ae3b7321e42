"""The questions `advance` asks: how long to wait, whether to speculate, whether words take the floor.

Each policy is a small frozen dataclass with one pure method, so that a better one can replace it alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_WORD = re.compile(r"[\w']+")
_TRAILING_OPEN = re.compile(
    r"(?:\b(?:and|or|but|so|because|the|a|an|to|of|for|with|my|is|at|on|in|um|uh|er|like|und|oder|aber|weil|y|o|pero)|[,:;-]|\.\.\.)$",
    re.IGNORECASE,
)
_DIGITS_ASKED = re.compile(r"\d|\b(?:zero|one|two|three|four|five|six|seven|eight|nine|oh)\b", re.IGNORECASE)

BACKCHANNELS = frozenset(
    """
    mm mmm mhm mmhm uh huh uhhuh hm hmm yeah yep yes right okay ok sure i see got it ah oh aha alright all
    cool great good nice true exactly wow really
    """.split()  # noqa: SIM905 - a word list reads better as words
)
"""Words that, alone and few, acknowledge without asking for the floor (English)."""


def words(text: str) -> list[str]:
    """Split text into lower-case words."""
    return [word.lower() for word in _WORD.findall(text)]


@dataclass(frozen=True, slots=True)
class Endpointing:
    """How long a silence must be before the user's turn is over, graded by evidence."""

    min_silence_ms: float = 300.0
    max_silence_ms: float = 1600.0
    digits_extra_ms: float = 400.0
    """Numbers are read out in groups: a turn that ends in a digit waits this much longer."""

    def wait_ms(self, probability: float | None, text: str) -> float:
        """Return the silence to wait for, counted from the end of the sound.

        `probability` is the end-of-turn model's, None while unknown; `text` is what was understood so far.
        """
        if probability is None:
            return self.max_silence_ms
        doubt = min(1.0, max(0.0, (0.9 - probability) / 0.8))
        if _TRAILING_OPEN.search(text.strip()):
            doubt = max(doubt, 0.75)
        wait = self.min_silence_ms + doubt * (self.max_silence_ms - self.min_silence_ms)
        spoken = words(text)
        if spoken and _DIGITS_ASKED.fullmatch(spoken[-1]):
            wait += self.digits_extra_ms
        return min(wait, self.max_silence_ms + self.digits_extra_ms)


@dataclass(frozen=True, slots=True)
class Interruption:
    """When voice over the agent takes the floor."""

    enabled: bool = True
    take_floor_ms: float = 700.0
    """Continuous voice this long is an interruption even before its words are known."""
    backchannel_max_words: int = 3

    def takes_floor(self, text: str) -> bool:
        """Say whether these words, spoken over the agent, ask for the floor."""
        spoken = words(text)
        if not spoken:
            return False
        return len(spoken) > self.backchannel_max_words or any(word not in BACKCHANNELS for word in spoken)


@dataclass(frozen=True, slots=True)
class Speculation:
    """Whether a reply may be produced while the user might still go on."""

    enabled: bool = True
    min_probability: float = 0.35
    """Below this end-of-turn probability a false start is likelier than a gain."""

    def may_start(self, probability: float | None, text: str) -> bool:
        """Say whether to start a held reply now."""
        return self.enabled and bool(text) and probability is not None and probability >= self.min_probability


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the core waits for others before it acts without them."""

    transcript_ms: float = 4000.0
    reply_ms: float = 8000.0
    call_ms: float = 3_600_000.0
    not_heard_min_ms: float = 500.0
    """Voice at least this long that gave no words is answered with "sorry?"; shorter is a noise."""


@dataclass(frozen=True, slots=True)
class Policies:
    """Everything `advance` may ask."""

    endpointing: Endpointing = field(default_factory=Endpointing)
    interruption: Interruption = field(default_factory=Interruption)
    speculation: Speculation = field(default_factory=Speculation)
    patience: Patience = field(default_factory=Patience)
