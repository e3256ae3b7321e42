"""Where an answer goes on after a cut: every word once, whatever the next model says again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.providers.joint import Joint, Passed
from repartee.providers.voices import unspoken

WORDS = st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), min_size=1, max_size=12, unique=True)


def joined(said: str, more: str, pieces: int = 3) -> str:
    joint = Joint(said)
    cut = max(1, len(more) // pieces)
    return said + "".join(joint.add(more[at : at + cut]) for at in range(0, len(more), cut)) + joint.finish()


@pytest.mark.parametrize(
    ("said", "more", "expected"),
    [
        ("We open at ", "nine on Friday.", "We open at nine on Friday."),
        ("We open at", "nine on Friday.", "We open at nine on Friday."),
        ("We open at ", "We open at nine on Friday.", "We open at nine on Friday."),
        ("We open at ", "open at nine.", "We open at nine."),
        ("We open at ", "We are closed.", "We open at We are closed."),
        ("It was very ", "very good.", "It was very very good."),
        ("Yes, of course. ", "yes of course! At nine.", "Yes, of course. At nine."),
        ("Hello. ", "Hello. How are you?", "Hello. How are you?"),
        ("", "Good morning.", "Good morning."),
    ],
)
def test_the_joint(said: str, more: str, expected: str) -> None:
    for pieces in (1, 3, len(more)):
        assert joined(said, more, pieces) == expected


@given(words=WORDS, split=st.integers(0, 12), again=st.integers(0, 12), pieces=st.integers(1, 9))
def test_nothing_is_said_twice_and_nothing_is_lost(
    words: list[str], split: int, again: int, pieces: int
) -> None:
    """However much of what was said the continuation repeats, two words or more, or all of it."""
    split = min(split, len(words))
    repeated = min(again, split)
    if repeated == 1 and split > 1:
        repeated = 0  # a single word may follow itself
    said = "".join(f"{word} " for word in words[:split])
    more = " ".join(words[split - repeated :])
    assert joined(said, more, pieces).split() == words


@given(text=st.text(alphabet="ab .,\n", max_size=80), cuts=st.lists(st.integers(0, 80), max_size=6))
def test_what_passes_is_the_text_and_only_whole_words_before_the_end(text: str, cuts: list[int]) -> None:
    passed, out, at = Passed(), "", 0
    for cut in sorted(cuts):
        out += passed.add(text[at:cut] if cut > at else "")
        at = max(at, cut)
        assert text.startswith(out)
        assert out == passed.text
        assert not out or out[-1].isspace()
    out += passed.add(text[at:]) + passed.finish()
    assert out == text


def test_a_language_without_blanks_is_not_held_back() -> None:
    passed = Passed()
    assert passed.add("语" * 60) == "语" * 60


@pytest.mark.parametrize(
    ("spoken_s", "expected"),
    [
        (0.0, "We are open from nine to five."),
        (0.1, "We are open from nine to five."),
        (0.25, "are open from nine to five."),
        (1.0, "from nine to five."),  # 15 letters: "We are open fro"; the word that was cut is spoken whole
        (1.9, ""),
        (60.0, ""),
    ],
)
def test_what_was_not_spoken(spoken_s: float, expected: str) -> None:
    assert unspoken("We are open from nine to five.", spoken_s, 15.0) == expected


@given(words=WORDS, spoken_s=st.floats(0, 10), pace=st.floats(5, 30))
def test_the_rest_is_the_end_of_the_text(words: list[str], spoken_s: float, pace: float) -> None:
    text = " ".join(words)
    rest = unspoken(text, spoken_s, pace)
    assert text.endswith(rest)
    assert not rest or text == rest or text[-len(rest) - 1] == " "
