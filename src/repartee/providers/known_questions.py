"""Finds an answer that is known already: by the words of the question, then by its meaning.

A hit by meaning needs three agreements: the sentence vectors are near, nothing tells the questions apart by rule
(`conversation.likeness`), and every word that only one of them has is near to one that only the other has. And of all
questions that are known, those answered by a tool included, the nearest must be one of the answer that is given.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from repartee.conversation.likeness import Likeness, compare
from repartee.conversation.questions import Question, normalised, read
from repartee.providers.embedding import Embed, Vectors

How = Literal["exact", "meaning"]
Source = Literal["file", "learned"]

SUBSTITUTED = 0.1
"""Added to the likeness that is asked for where the questions have different words at all."""
WORD_LIKENESS = 0.75
"""How near the differing words themselves must be."""
MAX_DIFFERING_WORDS = 3
NEAREST = 8
"""Of the known questions the nearest so many are compared."""


@dataclass(frozen=True, slots=True)
class Known:
    """A question whose answer is known; `answer` is None where a tool answers it, so that nothing else does."""

    question: str
    answer: str | None
    answer_id: str
    source: Source = "file"


@dataclass(frozen=True, slots=True)
class Hit:
    """An answer, and how it was found."""

    known: Known
    how: How
    likeness: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a search gave.

    Attributes:
        hit: None for a miss.
        why_not: What spoke against the nearest, where there was one.
        vector: The question's vector, where it was made; others may want it.
    """

    hit: Hit | None = None
    why_not: str = ""
    vector: Vectors | None = None


class KnownQuestions:
    """The questions that are known, ready to be compared.

    Args:
        known: Questions with their answers.
        own_words: Lower-case words that name the place itself.
        likeness: Least cosine of two questions with the same words of content.
        word_likeness: Least cosine of a word and its counterpart.
        substituted: Added to `likeness` where words differ.
    """

    def __init__(
        self,
        known: Iterable[Known] = (),
        own_words: frozenset[str] = frozenset(),
        *,
        likeness: float,
        word_likeness: float = WORD_LIKENESS,
        substituted: float = SUBSTITUTED,
    ) -> None:
        self._own_words = own_words
        self._likeness = likeness
        self._word_likeness = word_likeness
        self._substituted = substituted
        self._known: list[Known] = []
        self._read: list[Question] = []
        self._exact: dict[str, Known] = {}
        self._table: Vectors | None = None
        self._given: dict[int, Vectors] = {}
        for one in known:
            self.add(one)

    def __len__(self) -> int:
        return len(self._known)

    def add(self, known: Known, vector: Vectors | None = None) -> None:
        """Take one more; the first of the same words counts. A missing vector comes with the next `embed_known`."""
        key = normalised(known.question)
        if key in self._exact:
            return
        if vector is not None:
            self._given[len(self._known)] = vector
        self._exact[key] = known
        self._known.append(known)
        self._read.append(read(known.question, self._own_words))

    async def embed_known(self, embed: Embed) -> None:
        """Make the vectors that are missing."""
        done = 0 if self._table is None else len(self._table)
        count = len(self._read)
        missing = [at for at in range(done, count) if at not in self._given]
        made = await embed([self._read[at].key for at in missing]) if missing else ()
        rows = {**self._given, **dict(zip(missing, made, strict=True))}
        if count == done:
            return
        new = np.stack([rows[at] for at in range(done, count)])
        self._given = {at: row for at, row in self._given.items() if at >= count}
        self._table = new if self._table is None else np.concatenate([self._table, new])

    def exact(self, text: str) -> Hit | None:
        """Return the answer to the same words, greetings and fillers apart."""
        known = self._exact.get(normalised(text))
        return Hit(known, "exact", 1.0) if known is not None and known.answer is not None else None

    def is_known(self, text: str) -> bool:
        """Say whether these words are known, with an answer or a tool."""
        return normalised(text) in self._exact

    def answers(self) -> list[str]:
        """Return every answer that may be given."""
        return [known.answer for known in self._known if known.answer is not None]

    async def by_meaning(self, text: str, embed: Embed) -> Found:
        """Return the answer to a question that means the same.

        Raises:
            Exception: What `embed` raises.
        """
        asked = read(text, self._own_words)
        vector = (await embed([asked.key]))[0]
        if self._table is None or not len(self._table):
            return Found(None, "nothing known", vector)
        scores = self._table @ vector
        order = np.argsort(-scores)[:NEAREST]
        nearest = self._known[int(order[0])]
        if nearest.answer is None:
            return Found(None, "a tool answers it", vector)
        why = "far"
        for index in order:
            known, score = self._known[int(index)], float(scores[index])
            if score < self._likeness:
                break
            if known.answer_id != nearest.answer_id:
                continue
            verdict = compare(asked, self._read[int(index)])
            if isinstance(verdict, str):
                why = verdict
            elif await self._alike(verdict, score, embed):
                return Found(Hit(known, "meaning", score), "", vector)
            else:
                why = "words"
        return Found(None, why, vector)

    async def _alike(self, left: Likeness, score: float, embed: Embed) -> bool:
        """Say whether the words that only one side has mean the same as those only the other has."""
        if not left.extra and not left.missing:
            return True
        if score < self._likeness + self._substituted:
            return False
        if max(len(left.extra), len(left.missing)) > MAX_DIFFERING_WORDS:
            return False
        extra, missing = sorted(left.extra), sorted(left.missing)
        vectors = await embed([*extra, *missing])
        likeness = vectors[: len(extra)] @ vectors[len(extra) :].T
        return bool(
            likeness.max(axis=1).min() >= self._word_likeness
            and likeness.max(axis=0).min() >= self._word_likeness
        )
