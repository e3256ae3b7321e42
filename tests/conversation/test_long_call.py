"""An hour's call: the budget holds, pinned facts are answered to the end, whoever writes the notes."""

from __future__ import annotations

import json

import pytest

from tests.conversation import long_call

WRITERS = {"at once": None, "picked": long_call.by_picking, "model": long_call.by_simulated_model}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("writer", WRITERS)
def test_an_hour_is_remembered_within_the_budget(
    writer: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = long_call.run(WRITERS[writer], seed=seed)
    with capsys.disabled():
        print(f"\nnotes {writer}, seed {seed}: {json.dumps(figures.told())}")  # noqa: T201
    assert figures.turns > 280
    assert figures.largest_prompt_tokens <= figures.budget_tokens
    assert figures.share("pinned") == 1.0, "\n".join(figures.lost)
    assert figures.share("details") >= 0.5, "\n".join(figures.lost)
    assert figures.whole_call_tokens > 2 * figures.largest_prompt_tokens, (
        "without a memory it would be far more"
    )


def test_without_notes_the_judge_finds_out() -> None:
    """The test can fail: a call of which only the newest turns are known answers next to nothing."""
    figures = long_call.run(long_call.by_picking, notes=False)
    assert figures.share("pinned") < 0.2


def test_a_tight_budget_holds_too() -> None:
    figures = long_call.run(long_call.by_simulated_model, tokens=1100, turns=4)
    assert figures.largest_prompt_tokens <= 1100
    assert figures.share("pinned") > 0.5


def test_the_same_seed_is_the_same_call() -> None:
    first, again = (long_call.run(long_call.by_simulated_model, seed=7) for _ in range(2))
    assert first == again
