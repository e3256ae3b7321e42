"""Measures the answer cache on labelled pairs of questions: how often it hits, and how often wrongly.

A pair is a question that is known and one that is asked; `same` says whether the answer to the one answers the other.
All pairs of a known question lie in one half, chosen by a hash. Thresholds are chosen on the tuning half alone; what
is claimed is read off the held-out one.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from repartee.agent.cache import LIKENESS
from repartee.conversation.likeness import why_not_alone
from repartee.providers.embedding import Embed
from repartee.providers.known_questions import Known, KnownQuestions

Half = Literal["tuning", "held-out"]
HALVES: tuple[Half, ...] = ("tuning", "held-out")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions.

    Attributes:
        domain: Whose caller asks; its words name the place itself.
        known: The question whose answer is known.
        asked: The question that is asked.
        same: The answer fits both.
        kind: "paraphrase", or in what the near miss differs.
    """

    domain: str
    known: str
    asked: str
    same: bool
    kind: str

    @property
    def half(self) -> Half:
        """Which half it belongs to."""
        digest = hashlib.sha256(f"{self.domain}/{self.known}".encode()).hexdigest()
        return HALVES[int(digest, 16) % 2]


def load_pairs(path: Path) -> list[Pair]:
    """Read a file of pairs, one JSON object a line."""
    return [Pair(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


async def measure(pairs: Sequence[Pair], embed: Embed) -> dict[str, Any]:
    """Return precision, recall and wrong hits of both halves, by domain and by kind, and the time of a decision.

    Args:
        pairs: All of them.
        embed: Makes vectors anew each time; the time it takes is part of a decision's.
    """
    halves: dict[str, Any] = {}
    times_ms: list[float] = []
    for half in HALVES:
        mine = [pair for pair in pairs if pair.half == half]
        hits = {pair: await _pair_hit(pair, embed, times_ms) for pair in mine}
        halves[half] = {
            **_figures(mine, hits),
            "by_domain": {
                domain: _figures([pair for pair in mine if pair.domain == domain], hits)
                for domain in sorted({pair.domain for pair in mine})
            },
            "wrong_by_kind": dict(Counter(p.kind for p in mine if hits[p] and not p.same)),
            "among_all": await _among_all(mine, embed),
        }
    ordered = sorted(times_ms)
    return {
        "pairs": len(pairs),
        "same": sum(pair.same for pair in pairs),
        "likeness": LIKENESS,
        "halves": halves,
        "decision_ms": {
            "p50": round(statistics.median(ordered), 2),
            "p95": round(ordered[int(0.95 * len(ordered))], 2),
        },
    }


async def _pair_hit(pair: Pair, embed: Embed, times_ms: list[float]) -> bool:
    questions = await _known([pair], embed)
    began = time.perf_counter()
    hit = await _hit(questions, pair.asked, embed)
    times_ms.append((time.perf_counter() - began) * 1000)
    return hit is not None


async def _known(pairs: Iterable[Pair], embed: Embed) -> KnownQuestions:
    pairs = list(pairs)
    known = [Known(question, question, question) for question in dict.fromkeys(p.known for p in pairs)]
    questions = KnownQuestions(known, frozenset(pairs[0].domain.split()), likeness=LIKENESS)
    await questions.embed_known(embed)
    return questions


async def _hit(questions: KnownQuestions, asked: str, embed: Embed) -> str | None:
    """Return the known question whose answer would be given, as `AnswerCache.find` finds it."""
    if hit := questions.exact(asked):
        return hit.known.question
    if why_not_alone(asked) is not None:
        return None
    found = (await questions.by_meaning(asked, embed)).hit
    return found.known.question if found is not None else None


async def _among_all(pairs: Sequence[Pair], embed: Embed) -> dict[str, int]:
    """Ask every question of a domain with all of the domain's known questions there: does the right one answer?"""
    outcome: Counter[str] = Counter(right=0, wrong=0, missed=0)
    domains: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        domains[pair.domain].append(pair)
    for members in domains.values():
        questions = await _known(members, embed)
        for pair in members:
            answered = await _hit(questions, pair.asked, embed)
            if pair.same:
                outcome["missed" if answered is None else "right" if answered == pair.known else "wrong"] += 1
            elif answered == pair.known:
                outcome["wrong"] += 1
    return dict(outcome)


def _figures(pairs: Sequence[Pair], hits: dict[Pair, bool]) -> dict[str, Any]:
    right = sum(hits[pair] and pair.same for pair in pairs)
    wrong = sum(hits[pair] and not pair.same for pair in pairs)
    same = sum(pair.same for pair in pairs)
    return {
        "same": same,
        "different": len(pairs) - same,
        "right": right,
        "wrong": wrong,
        "precision": round(right / (right + wrong), 4) if right + wrong else 1.0,
        "recall": round(right / same, 4) if same else 0.0,
        "wrong_hit_rate": round(wrong / (len(pairs) - same), 4) if len(pairs) > same else 0.0,
    }
