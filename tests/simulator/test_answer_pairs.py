"""The answer cache as it is configured by default, on pairs it was not tuned on."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from repartee.providers.embedding import Embed
from repartee.simulator.answer_pairs import load_pairs, measure
from tests.conftest import ROOT

PAIRS = load_pairs(ROOT / "benchmarks" / "data" / "answer_pairs.jsonl")


def test_the_pairs_are_many_different_and_split_by_the_known_question() -> None:
    assert len({(pair.known, pair.asked) for pair in PAIRS}) == len(PAIRS) >= 200
    assert len({pair.domain for pair in PAIRS}) >= 6
    halves = Counter((pair.half, pair.same) for pair in PAIRS)
    assert min(halves.values()) >= 100
    assert len({(pair.domain, pair.known) for pair in PAIRS}) == len(
        {(p.domain, p.known, p.half) for p in PAIRS}
    )


async def test_a_hit_is_right(embed: Embed, capsys: pytest.CaptureFixture[str]) -> None:
    result = await measure(PAIRS, embed)
    held_out = result["halves"]["held-out"]
    with capsys.disabled():
        for half, figures in result["halves"].items():
            sys.stdout.write(
                f"\nanswer cache, {half}: precision {figures['precision']:.3f}, recall {figures['recall']:.3f}, "
                f"{figures['wrong']} wrong of {figures['different']} near misses\n"
            )
    assert held_out["precision"] >= 0.98, held_out["wrong_by_kind"]
    assert held_out["wrong_hit_rate"] <= 0.01
    assert held_out["recall"] >= 0.5, "a cache that never hits is never wrong"
    assert held_out["among_all"]["wrong"] == 0
