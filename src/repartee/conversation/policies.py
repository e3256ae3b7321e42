"""The questions `advance` asks: how long to wait, whether to speculate, whether words take the floor.

Each policy is a small frozen dataclass with one pure method or two, so that a better one can replace it alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from repartee.events import Asked

Sensitivity = Literal["low", "medium", "high"]
_WORD = re.compile(r"[\w']+")
_OPEN_END = re.compile(
    r"(?:\b(?:and|or|but|so|because|the|a|an|to|of|for|with|my|your|is|are|was|at|from|um|uh|er|if|that"
    r"|und|oder|aber|weil|dass|wenn|ob|der|die|das|dem|den|des|ein|eine|einen|einem|einer|mit|für|von|zum|zur|bei"
    r"|nach|mein|meine|meinen|ihr|ihre|äh|ähm"
    r"|y|o|pero|porque|que|el|la|los|las|un|una|unos|unas|de|del|con|para|por|al|mi|mis|su|sus|eh|este)"
    r"|[,:;-]|\.\.\.)$",
    re.IGNORECASE,
)
_DIGIT = re.compile(
    r"\d+|zero|one|two|three|four|five|six|seven|eight|nine|oh|double|null|eins|zwei|zwo|drei|vier|fünf|sechs|sieben"
    r"|acht|neun|doppel|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|doble",
    re.IGNORECASE,
)
_ASKS_DIGITS = re.compile(
    r"\b(?:numbers?|phone|digits?|code|pin|zip|postcode|post code|spell|account|card|\w*nummer"
    r"|telefon\w*|buchstabier\w*|postleitzahl|geheimzahl|número|teléfono|código(?: postal)?|tarjeta|deletre\w*)\b",
    re.IGNORECASE,
)

BACKCHANNELS = frozenset(
    """
    mm mmm mhm mmhm uh huh uhhuh hm hmm yeah yep yes right okay ok sure i see got it ah oh aha alright all
    cool great good nice true exactly wow really um er
    ja jaja genau gut achso ach stimmt klar verstehe richtig super schön eben äh ähm mhmm hmhm
    sí ya claro vale bueno bien exacto entiendo ajá ah eh cierto perfecto
    """.split()  # noqa: SIM905 - a word list reads better as words
)
"""Words that, alone and few, acknowledge without asking for the floor: English, German, Spanish. All at once, as a
caller's "okay" is no language's own and none of these asks for the floor in another."""


def words(text: str) -> list[str]:
    """Split text into lower-case words."""
    return [word.lower() for word in _WORD.findall(text)]


def same_words(one: str, other: str) -> bool:
    """Say whether two texts differ in nothing but signs and capitals."""
    return one == other or words(one) == words(other)


def asked_for(reply: str) -> Asked:
    """Return what a reply asks for, by its last question."""
    question = next((part for part in reversed(re.split(r"(?<=[.!?])\s", reply)) if part.strip()), "")
    if not question.rstrip().endswith("?"):
        return "nothing"
    return "digits" if _ASKS_DIGITS.search(question) else "answer"


@dataclass(frozen=True, slots=True)
class Endpointing:
    """How long a silence must be before the user's turn is over, graded by evidence."""

    min_silence_ms: float = 300.0
    max_silence_ms: float = 1600.0
    sure: float = 0.9
    """End-of-turn probability from which the shortest silence is enough."""
    unsure: float = 0.1
    """And at which the longest is waited for."""
    question_doubt: float = 0.45
    """A question that is whole by its words is never waited for longer than this share of the range."""
    digits_ms: float = 1500.0
    """Numbers and spelled words come in groups: one that may go on is waited for this long."""
    prelude_ms: float = 1200.0
    """And so long what is only "sure" or "okay" and answers no question: more usually follows."""
    digits_full: int = 10
    """A number of so many digits is taken for whole."""
    pause_ms: float = 250.0
    """A silence from which it counts as a pause of the speaker's, not as a gap between words."""
    habit: float = 1.3
    """Who has paused and gone on in a turn is waited for so many times their longest pause, and a little."""
    habit_more_ms: float = 150.0
    habit_max_ms: float = 1000.0
    unscored_ms: float | None = None
    """Where no end-of-turn model is asked, this silence is enough, for a sentence that is not left open."""

    def wait_ms(
        self,
        probability: float | None,
        text: str,
        asked: Asked = "nothing",
        pauses: Sequence[float] = (),
    ) -> float:
        """Return the silence to wait for, counted from the end of the sound.

        Args:
            probability: The end-of-turn model's, None while unknown.
            text: What was understood so far.
            asked: What the agent asked for.
            pauses: The silences in this turn after which the user went on, in ms.
        """
        if probability is None and self.unscored_ms is None:
            return self.max_silence_ms
        paused = [pause for pause in pauses if pause >= self.pause_ms]
        habit_ms = self.habit * max(paused, default=0.0) + self.habit_more_ms if paused else 0.0
        wait = self._graded_ms(probability, text)
        spoken = words(text)
        if self.number_may_go_on(text, asked):
            # The gaps between groups are alike: after two of them it is known how long they are.
            groups_ms = max(habit_ms, self.pause_ms * 3) if len(paused) >= 2 else self.digits_ms
            return max(wait, min(self.digits_ms, groups_ms))
        wait = max(wait, min(habit_ms, self.habit_max_ms, self.max_silence_ms))
        if asked == "nothing" and spoken and all(word in BACKCHANNELS for word in spoken):
            return max(wait, self.prelude_ms)
        return wait

    def _graded_ms(self, probability: float | None, text: str) -> float:
        """Return the wait by how the pause sounds, or by silence alone, and by how whole the words are."""
        span_ms = self.max_silence_ms - self.min_silence_ms
        if probability is not None:
            doubt = min(1.0, max(0.0, (self.sure - probability) / (self.sure - self.unsure)))
        else:
            unscored_ms = self.max_silence_ms if self.unscored_ms is None else self.unscored_ms
            doubt = (unscored_ms - self.min_silence_ms) / span_ms if span_ms > 0 else 0.0
        if _OPEN_END.search(text.strip()):
            doubt = max(doubt, 0.75)
        elif text.rstrip().endswith("?"):
            # A recogniser writes a question mark where the words make a whole question, however it sounded.
            doubt = min(doubt, self.question_doubt)
        return self.min_silence_ms + doubt * span_ms

    def number_may_go_on(self, text: str, asked: Asked = "nothing") -> bool:
        """Say whether a text ends in a number, or a spelled word, that is not whole."""
        spoken = words(text)
        if _spelling(spoken):
            return True
        digits = 0
        for word in reversed(spoken):
            if not _DIGIT.fullmatch(word):
                break
            digits += len(word) if word.isdigit() else 1
        if digits >= self.digits_full:
            return False
        # One digit at the end of a sentence is a count ("a table for four"), unless a number was asked for.
        return digits >= 2 or (digits == 1 and (asked == "digits" or len(spoken) == 1))


def _spelling(spoken: list[str]) -> bool:
    """Say whether the words end in a letter that is no word: a name or a code is being spelled."""
    return (
        bool(spoken) and len(spoken[-1]) == 1 and spoken[-1].isalpha() and spoken[-1] not in {"a", "i", "o"}
    )


@dataclass(frozen=True, slots=True)
class Interruption:
    """When voice over the agent takes the floor."""

    enabled: bool = True
    take_floor_ms: float = 450.0
    """Continuous voice this long over the agent is asked for its words."""
    words_ms: float = 1200.0
    """And without an answer for this long it has the floor."""
    noise_ms: float = 1500.0
    """A voice that had no words is asked again this often."""
    backchannel_max_words: int = 3

    def takes_floor(self, text: str) -> bool:
        """Say whether these words, spoken over the agent, ask for the floor."""
        spoken = words(text)
        if not spoken:
            return False
        return len(spoken) > self.backchannel_max_words or any(word not in BACKCHANNELS for word in spoken)


SENSITIVITY: dict[Sensitivity, Interruption] = {
    "low": Interruption(take_floor_ms=800.0, words_ms=2000.0, backchannel_max_words=5),
    "medium": Interruption(),
    "high": Interruption(take_floor_ms=250.0, words_ms=600.0, backchannel_max_words=1),
}
"""How easily the agent gives way, in one word."""


@dataclass(frozen=True, slots=True)
class Speculation:
    """Whether a reply may be produced while the user might still go on, and whether its audio may."""

    enabled: bool = True
    min_probability: float = 0.3
    """Below this end-of-turn probability a false start is likelier than a gain."""
    voice_probability: float = 0.5
    """Model text is cheap, synthesis is dear: it needs better evidence."""
    voiced: bool = True
    """Synthesis may be begun at all before the turn is over."""
    question_evidence: float = 0.55
    """What a question that is whole by its words is worth, however it sounded."""
    silence_ms: float = 2400.0
    """Silence is evidence too, however the voice sounded: certain after so long, and the less the shorter."""
    lead_ms: float = 700.0
    """A reply is begun this long before it may be heard; where the wait is long, beginning at once is for nothing."""
    waste_budget: float = 0.25
    """Share of held replies that may be thrown away before more evidence is asked for."""
    by_sound: bool = False
    """The model hears the sound itself: a reply may be begun before its words are known, and no words that are told
    later make another of it."""

    def may_start(self, probability: float | None, text: str, waste: float, silent_ms: float = 0.0) -> bool:
        """Say whether to start a held reply now.

        Args:
            probability: End-of-turn probability, None while unknown.
            text: The words it would answer.
            waste: Share of the latest held replies that were thrown away.
            silent_ms: How long the user has been silent.
        """
        if not self.enabled or not text or _OPEN_END.search(text.strip()):
            return False
        over = max(0.0, waste - self.waste_budget)
        if probability is None:
            return over <= 0.0
        evidence = self._evidence(probability, text, silent_ms)
        return evidence >= min(0.95, self.min_probability + 2.0 * over)

    def may_voice(self, probability: float | None, text: str, waste: float, silent_ms: float = 0.0) -> bool:
        """Say whether a held reply's audio may be made."""
        over = max(0.0, waste - self.waste_budget)
        needed = min(0.95, self.voice_probability + 2.0 * over)
        known = self.voiced and probability is not None
        return known and self._evidence(probability or 0.0, text, silent_ms) >= needed

    def may_hear(self, probability: float | None, waste: float, silent_ms: float = 0.0) -> bool:
        """Say whether to start a held reply now though its words are not known; its audio is made at once."""
        return self.enabled and self.by_sound and self.may_voice(probability, "", waste, silent_ms)

    def _evidence(self, probability: float, text: str, silent_ms: float) -> float:
        """Return how likely the turn is over: by its sound, its words (a whole question is all), or the silence."""
        words = self.question_evidence if text.rstrip().endswith("?") else 0.0
        return max(probability, words, min(1.0, silent_ms / self.silence_ms))


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the core waits for others before it acts without them."""

    transcript_ms: float = 4000.0
    reply_ms: float = 8000.0
    call_ms: float = 3_600_000.0
    absent_ms: float = 30_000.0
    """A caller whose connection broke may come back for this long."""
    explain_ms: float = 3000.0
    """And is told of it when they were away for this long."""
    silence_ms: float = 20_000.0
    """When nobody has spoken for this long the caller is asked whether they are there; infinite: never."""
    silence_asks: int = 2
    """So often; then they are let go."""
    line_ms: float = 3000.0
    """A fixed sentence that the voice has not begun by then is played from its recording."""
    after_tool_ms: float = 4000.0
    """An answer has this long after its last tool."""
    not_heard_min_ms: float = 500.0
    """Voice at least this long that gave no words is answered with "sorry?"; shorter is a noise."""
    troubles_max: int = 3
    """The answer in a row that cannot be made and with which the call is ended; before it, the user is asked to say
    it again, and then that, or to hang up."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is said while an answer takes long, and when."""

    fillers: bool = True
    filler_ms: float = 1000.0
    """Of silence, after which something is said that fits what was asked."""
    least_ms: float = 400.0
    """But not sooner than this after the turn was over: the answer may have been begun in its last pause."""
    coming_ms: float = 800.0
    """An answer whose words are there is expected to be heard within this; nothing is said into it."""
    apology_ms: float = 4000.0
    """Of silence, after which it is said that this takes longer than it should."""
    asides_max: int = 2
    """So much is said in one turn, a tool's own lines included."""

    def first_ms(self, silent_since_ms: float, over_at_ms: float, *, worded: bool) -> float:
        """Return when the first thing is to be said.

        Args:
            silent_since_ms: When the user's last sound ended.
            over_at_ms: When the turn was over.
            worded: The answer's words are there.
        """
        least_ms = self.coming_ms if worded else self.least_ms
        return max(silent_since_ms + self.filler_ms, over_at_ms + least_ms)


@dataclass(frozen=True, slots=True)
class Policies:
    """Everything `advance` may ask."""

    endpointing: Endpointing = field(default_factory=Endpointing)
    interruption: Interruption = field(default_factory=Interruption)
    speculation: Speculation = field(default_factory=Speculation)
    patience: Patience = field(default_factory=Patience)
    waiting: Waiting = field(default_factory=Waiting)
