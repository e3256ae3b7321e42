"""One reply's audio and the text that belongs to it, so that "what was heard" has an answer at any moment.

Voices with word times mark each word. For the others a sentence's words are placed in its audio by their share
of its letters, which is right to about a word.
"""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from repartee.conversation.clauses import clause_starts

_WORD = re.compile(r"\S+\s*")
_LETTERS_PER_SECOND = 15.0
"""Usual pace of English voices; only used for a sentence whose audio is still being made."""
LOG_CHUNKS = 1500
"""Half a minute of what was played when."""
AHEAD_STEP_MS, AHEAD_STEPS = 100.0, 13
"""When the next words will have been heard is reckoned in such steps, and so many of them."""
LONGEST_REPEAT_S, SHORTEST_REPEAT_S = 8.0, 1.5
"""Of a clause that was lost on its way so much is said again at most; so much where no clause begins near."""
PAUSE_WITHIN_S, LEVEL_S = 0.2, 0.02
"""A pause is looked for so near to where a clause is reckoned to begin, in steps of so much."""


@dataclass
class Sentence:
    """A stretch of text and the audio it takes, in samples from the start of the reply."""

    text: str
    start: int
    end: int | None = None
    aside: bool = False
    """Said while something takes long; heard by the caller, and no part of the conversation."""

    def heard(self, position: int, sample_rate_hz: int) -> str:
        """Return the words whose audio was played when playout stands at `position`."""
        if position <= self.start:
            return ""
        end = self._reckoned_end(position, sample_rate_hz)
        if position >= end:
            return self.text
        share = (position - self.start) / max(1, end - self.start)
        letters = share * len(self.text)
        kept = 0
        for match in _WORD.finditer(self.text):
            # A word counts once most of it has sounded.
            if match.start() + 0.6 * len(match.group().strip()) > letters:
                break
            kept = match.end()
        return self.text[:kept].rstrip()

    def starts(self, position: int, sample_rate_hz: int) -> list[int]:
        """Return where its clauses are reckoned to begin, in samples, when playout stands at `position`."""
        length = self._reckoned_end(position, sample_rate_hz) - self.start
        return [self.start + length * at // max(1, len(self.text)) for at in clause_starts(self.text)]

    def _reckoned_end(self, position: int, sample_rate_hz: int) -> int:
        guess = self.start + int(len(self.text) / _LETTERS_PER_SECOND * sample_rate_hz)
        return self.end if self.end is not None else max(guess, position)


@dataclass
class SpokenReply:
    """Audio (16-bit mono PCM) and text of one reply, and how far it was played."""

    reply_id: int
    sample_rate_hz: int
    released: bool = False
    lowered: bool = False
    is_line: bool = False
    """A fixed sentence of our own."""
    other_voice: bool = False
    """Some of it is not of the agent's own voice."""
    lost: bool = False
    """No voice goes on with it."""
    arrived: bool = False
    """Audio of it has come."""
    trimmed: int = 0
    """Samples of silence cut off its beginning."""
    ended: bool = False
    audible: bool = False
    """Something of it was heard, be it only what was said while it took long."""
    own_start: int | None = None
    """Where its own audio begins; None before it has come."""
    told: bool = False
    """The core knows that it is heard."""
    finished: bool = False
    """It was played to its end."""
    position: int = 0
    """Samples handed to the player so far."""
    pcm: bytearray = field(default_factory=bytearray)
    sentences: list[Sentence] = field(default_factory=list)
    words: list[Sentence] = field(default_factory=list)
    in_aside: bool = False
    """What arrives now is an aside."""
    short_since_ms: float | None = None
    """Since when what there is to be played is not enough to begin with, on the call's clock."""
    aside_start: int | None = 0
    """Where the newest aside's audio begins; None where something else was put into it."""
    heard_to: int = 0
    """Samples that are known to have been heard, though the player stands before them."""
    played_log: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=LOG_CHUNKS))
    """When so many samples had been played, on the call's clock."""
    items: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Where each part of the vendor's conversation begins in the audio, and how much of its beginning was cut off."""
    context_start: int = 0
    context_started_ns: int | None = None

    @property
    def samples(self) -> int:
        """Samples received so far."""
        return len(self.pcm) // 2

    @property
    def drained(self) -> bool:
        """Nothing is left to play and nothing more will come."""
        return self.ended and self.position >= self.samples

    def take(self, samples: int) -> bytes:
        """Return up to `samples` samples and move the position past them."""
        chunk = bytes(self.pcm[self.position * 2 : (self.position + samples) * 2])
        self.position += len(chunk) // 2
        return chunk

    def lose(self, spoken: int) -> None:
        """No voice goes on: of the newest text so many characters were spoken, and nothing follows."""
        self.lost = True
        if self.sentences and self.sentences[-1].end is None:
            self.sentences[-1].text = self.sentences[-1].text[:spoken]
            self.end_sentence()

    def begin_sentence(self, text: str) -> None:
        """The audio that follows speaks this text."""
        if self.lost:
            return
        self.end_sentence()
        self.sentences.append(Sentence(text, self.samples, aside=self.in_aside))

    def end_sentence(self) -> None:
        """The present sentence's audio is complete."""
        if self.sentences and self.sentences[-1].end is None:
            self.sentences[-1].end = self.samples

    def add_word(self, text: str, at: int) -> None:
        """A word whose audio starts `at` samples into the reply."""
        if self.words:
            self.words[-1].end = at
        self.words.append(Sentence(text, at, aside=self.in_aside))

    def say(self, text: str) -> None:
        """The next words of audio that comes beside them, in whatever order."""
        if self.sentences and self.sentences[-1].end is None:
            self.sentences[-1].text += text
        elif not self.lost:
            self.sentences.append(Sentence(text, self.samples, aside=self.in_aside))

    def heard_of_items(self, played: int) -> dict[str, float]:
        """Return how much of each part of the vendor's conversation was heard, in ms, when `played` samples were."""
        ends = [*[start for start, _ in self.items.values()][1:], self.samples]
        heard: dict[str, float] = {}
        for (item_id, (start, trimmed)), end in zip(self.items.items(), ends, strict=False):
            samples = min(max(self.heard_to, played), end) - start
            heard[item_id] = (samples + trimmed) / self.sample_rate_hz * 1000 if samples > 0 else 0.0
        return heard

    def place_words(self, text: str, start: int) -> None:
        """Place a text's words in the audio from `start` on by their share of its letters."""
        length = self.samples - start
        for match in _WORD.finditer(text):
            self.add_word(match.group(), start + length * match.start() // max(1, len(text)))

    # --- what was lost on its way ------------------------------------------------------------------------------

    def played_at(self, at_ms: float) -> int:
        """Return how many samples had been played at a time; the latest that is known of, where it is later."""
        return next((played for when_ms, played in reversed(self.played_log) if when_ms <= at_ms), 0)

    def repeat(self) -> None:
        """Go back to the beginning of the clause the player stands in, and no further: the rest was heard."""
        self.heard_to = max(self.heard_to, self.position)
        longest, shortest = (int(s * self.sample_rate_hz) for s in (LONGEST_REPEAT_S, SHORTEST_REPEAT_S))
        starts = self._clause_starts()
        near = [start for start in starts if self.position - longest <= start <= self.position]
        if not near:
            words = [w.start for w in self.words if w.start <= self.position - shortest]
            near = [max(words, default=max(0, self.position - shortest))]
        self.position = max(near)

    def _clause_starts(self) -> list[int]:
        """Return where clauses begin, in samples: by the words' times, or reckoned where the voice tells none."""
        starts = [part.start for part in self.sentences]
        if not self.words:
            reckoned = (part.starts(self.position, self.sample_rate_hz)[1:] for part in self.sentences)
            return starts + [self._pause_near(at) for part in reckoned for at in part]
        text, begins = "", {}
        for word in self.words:
            begins[len(text)] = word.start
            text += f"{word.text.strip()} "
        return starts + [begins[at] for at in clause_starts(text) if at in begins]

    def _pause_near(self, at: int) -> int:
        """Return the quietest moment near to one that is only reckoned: none may begin in the middle of a word."""
        step, reach = (int(s * self.sample_rate_hz) for s in (LEVEL_S, PAUSE_WITHIN_S))
        first = max(0, at - reach)
        near = np.frombuffer(self.pcm[first * 2 : (at + reach) * 2], dtype=np.int16).astype(np.int32)
        if len(near) < step:
            return at
        levels = np.abs(near[: len(near) // step * step]).reshape(-1, step).mean(axis=1).round()
        moments = first + step * np.arange(len(levels))
        return int(moments[np.lexsort((np.abs(moments - at), levels))[0]])

    def insert_aside(self, text: str, pcm: bytes) -> None:
        """Say something that is no part of the conversation before what comes next."""
        at, length = self.position, len(pcm) // 2
        self.pcm[at * 2 : at * 2] = pcm
        for part in (*self.sentences, *self.words):
            if part.start >= at:
                part.start += length
            if part.end is not None and part.end > at:
                part.end += length
        self.items = {
            name: (start + length if start >= at else start, trimmed)
            for name, (start, trimmed) in self.items.items()
        }
        if self.context_start >= at:
            self.context_start += length
        if self.heard_to > at:
            self.heard_to += length
        if self.in_aside:
            self.aside_start = None
        aside = Sentence(text, at, at + length, aside=True)
        parts = self.words or self.sentences
        parts.insert(sum(part.start < at for part in parts), aside)

    @property
    def has_aside(self) -> bool:
        """Whether something was said that is no part of the conversation: the audio is not the text's alone."""
        return any(part.aside for part in (*self.sentences, *self.words))

    def heard_text(self, played: int, *, asides: bool = False) -> str:
        """Return the text whose audio was played when `played` samples have reached the caller."""
        played = max(played, self.heard_to)
        if self.words:
            # A word counts once a fifth of a second of it has sounded, or it has ended.
            grace = self.sample_rate_hz // 5
            heard = [
                word.text.strip()
                for word in self.words
                if (asides or not word.aside)
                and played >= min(word.start + grace, word.end if word.end is not None else self.samples)
            ]
            return " ".join(part for part in heard if part)
        sentences = (sentence for sentence in self.sentences if asides or not sentence.aside)
        parts = (sentence.heard(played, self.sample_rate_hz) for sentence in sentences)
        return " ".join(part.strip() for part in parts if part.strip())

    def known_ms(self, played: int) -> float:
        """Return how much is known of what will be heard next: all of it where no more audio comes."""
        left_ms = (self.samples - played) / self.sample_rate_hz * 1000
        return math.inf if self.ended else left_ms

    def words_ahead_ms(self, played: int) -> list[float]:
        """Return in how many ms each of the next words will be heard, as far as there is audio, and not far."""
        step = int(self.sample_rate_hz * AHEAD_STEP_MS / 1000)
        before, ahead = len(self.heard_text(played).split()), list[float]()
        for count in range(1, min(AHEAD_STEPS, (self.samples - played) // step) + 1):
            words = len(self.heard_text(played + count * step).split()) - before
            ahead += [count * AHEAD_STEP_MS] * (words - len(ahead))
        return ahead

    def rest_text(self, played: int) -> str:
        """Return what was to be said and not heard then, by counting words."""
        heard = self.heard_text(played, asides=True)
        return " ".join(self.full_text(asides=True).split()[len(heard.split()) :])

    def full_text(self, *, asides: bool = False) -> str:
        """Return everything that was to be said."""
        source = [part for part in self.sentences or self.words if asides or not part.aside]
        return " ".join(part.text.strip() for part in source if part.text.strip())
