"""How a turn was said, against how this caller usually says theirs: a cautious signal, never a finding. Pure.

Loudness, pace and pitch are compared with the caller's own earlier turns, as microphones, rooms and voices differ by
more than moods do. Until there is something to compare with, and wherever the signs do not agree, it is `unknown`. A
signal lasts as long as the turns that gave it, and nothing of it is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log2
from statistics import median
from typing import Literal

Mood = Literal["calm", "hurried", "upset", "unknown"]


@dataclass(frozen=True, slots=True)
class Prosody:
    """What can be measured of a turn.

    Attributes:
        voiced_s: Seconds of voice in it.
        loudness_db: Of the voiced parts, in dB below full scale.
        pitch_hz: Their median pitch; None where none was found.
        letters_per_s: Letters of its words in a second of voice.
        pauses: Share of the turn that was silent.
    """

    voiced_s: float
    loudness_db: float
    pitch_hz: float | None
    letters_per_s: float
    pauses: float


@dataclass(frozen=True, slots=True)
class Tone:
    """A signal.

    Attributes:
        mood: What the turns sound like.
        confidence: 0..1; under `ToneRules.sure` nothing is done about it.
    """

    mood: Mood = "unknown"
    confidence: float = 0.0


UNKNOWN = Tone()


@dataclass(frozen=True, slots=True)
class ToneRules:
    """What counts as unusual, against the caller's own turns."""

    least_s: float = 1.0
    """A turn with less voice says nothing."""
    baseline_turns: int = 2
    """So many turns make what is usual."""
    memory: int = 6
    """Of the latest this many."""
    faster: float = 1.3
    """Times the usual pace, from which it is hurried."""
    louder_db: float = 5.0
    """And this much louder..."""
    higher_semitones: float = 2.0
    """...and this much higher: upset. One without the other is a step nearer to the microphone, or a question."""
    full: float = 1.8
    """Confidence is 1 where a sign is this many times what is needed."""
    turns: int = 2
    """A signal needs this many turns in a row."""
    sure: float = 0.6
    """Confidence from which anything is done about it."""


@dataclass
class ToneReader:
    """Reads the turns of one caller.

    Attributes:
        rules: What counts.
    """

    rules: ToneRules = field(default_factory=ToneRules)
    _usual: deque[Prosody] = field(default_factory=deque)
    _latest: tuple[Tone, ...] = ()

    def turn(self, said: Prosody) -> Tone:
        """Take a turn; return what the latest turns sound like."""
        rules = self.rules
        if said.voiced_s < rules.least_s:
            return self.tone
        if len(self._usual) < rules.baseline_turns:
            self._usual.append(said)
            return UNKNOWN
        found = compare(said, tuple(self._usual), rules)
        self._latest = (*self._latest, found)[-rules.turns :]
        if found.mood in {"calm", "unknown"}:
            # What is unusual must not become the usual while it lasts.
            self._usual.append(said)
            while len(self._usual) > rules.memory:
                self._usual.popleft()
        return self.tone

    @property
    def tone(self) -> Tone:
        """What the latest turns sound like; `unknown` unless all of them sound alike."""
        moods = {tone.mood for tone in self._latest}
        if len(self._latest) < self.rules.turns or len(moods) != 1:
            return UNKNOWN
        (mood,) = moods
        return Tone(mood, round(min(tone.confidence for tone in self._latest), 3))


def compare(said: Prosody, usual: Sequence[Prosody], rules: ToneRules) -> Tone:
    """Return what one turn sounds like against others of the same caller."""
    louder_db = said.loudness_db - median(other.loudness_db for other in usual)
    pace = said.letters_per_s / max(0.1, median(other.letters_per_s for other in usual))
    pitches = [other.pitch_hz for other in usual if other.pitch_hz is not None]
    higher = semitones(said.pitch_hz, median(pitches)) if said.pitch_hz is not None and pitches else None
    upset = min(louder_db / rules.louder_db, higher / rules.higher_semitones) if higher is not None else 0.0
    hurried = (pace - 1) / (rules.faster - 1)
    if upset >= 1:
        return Tone("upset", _confidence(upset, rules))
    if hurried >= 1:
        return Tone("hurried", _confidence(hurried, rules))
    strongest = max(upset, hurried, abs(louder_db) / rules.louder_db)
    return Tone("calm", round(1 - strongest, 3)) if strongest < 0.5 else UNKNOWN


def _confidence(sign: float, rules: ToneRules) -> float:
    """Return 0.5 where a sign is just enough, 1 where it is `full` times that."""
    return round(min(1.0, 0.5 + 0.5 * (sign - 1) / (rules.full - 1)), 3)


def semitones(pitch_hz: float, usual_hz: float) -> float:
    """Return how much higher one pitch is than another."""
    return 12 * log2(pitch_hz / usual_hz)
