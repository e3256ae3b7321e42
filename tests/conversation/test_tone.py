"""How turns sound against a caller's own: what is told, and above all what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.conversation.tone import UNKNOWN, Prosody, ToneReader, compare, semitones

USUAL = Prosody(voiced_s=2.0, loudness_db=-30.0, pitch_hz=120.0, letters_per_s=14.0, pauses=0.3)
HURRIED = replace(USUAL, letters_per_s=14.0 * 1.6)
UPSET = replace(USUAL, loudness_db=-21.0, pitch_hz=120.0 * 2 ** (4 / 12))


def after(*turns: Prosody) -> ToneReader:
    reader = ToneReader()
    for said in (USUAL, USUAL, *turns):
        reader.turn(said)
    return reader


def test_nothing_is_said_before_there_is_something_to_compare_with() -> None:
    reader = ToneReader()
    assert reader.turn(UPSET) == UNKNOWN
    assert reader.turn(UPSET) == UNKNOWN


@pytest.mark.parametrize(("said", "mood"), [(HURRIED, "hurried"), (UPSET, "upset"), (USUAL, "calm")])
def test_two_turns_in_a_row_make_a_signal_and_one_does_not(said: Prosody, mood: str) -> None:
    assert after(said).tone == UNKNOWN
    tone = after(said, said).tone
    assert tone.mood == mood
    assert tone.confidence >= 0.6


def test_a_turn_as_usual_takes_it_back() -> None:
    assert after(UPSET, UPSET, USUAL).tone == UNKNOWN
    assert after(UPSET, UPSET, USUAL, USUAL).tone.mood == "calm"


def test_louder_alone_is_a_step_nearer_to_the_microphone() -> None:
    louder = replace(USUAL, loudness_db=-18.0)
    assert after(louder, louder).tone.mood == "unknown"


def test_higher_alone_is_a_question() -> None:
    higher = replace(USUAL, pitch_hz=200.0)
    assert after(higher, higher).tone.mood != "upset"


def test_who_always_speaks_fast_and_loud_is_calm() -> None:
    reader = ToneReader()
    loud = replace(UPSET, letters_per_s=25.0)
    for _ in range(6):
        reader.turn(loud)
    assert reader.tone.mood == "calm"


def test_what_is_unusual_does_not_become_the_usual_while_it_lasts() -> None:
    assert after(*[UPSET] * 12).tone.mood == "upset"


def test_a_word_says_nothing() -> None:
    assert after(*[replace(UPSET, voiced_s=0.4)] * 5).tone == UNKNOWN


def test_without_a_pitch_nobody_is_upset() -> None:
    assert after(*[replace(UPSET, pitch_hz=None)] * 3).tone.mood == "unknown"


def test_what_is_just_enough_is_not_sure_enough_to_act_upon() -> None:
    rules = ToneReader().rules
    barely = replace(USUAL, letters_per_s=14.0 * rules.faster)
    assert compare(barely, (USUAL, USUAL), rules).mood == "hurried"
    assert compare(barely, (USUAL, USUAL), rules).confidence < rules.sure


def test_semitones() -> None:
    assert semitones(240, 120) == pytest.approx(12)


prosodies = st.builds(
    Prosody,
    voiced_s=st.floats(0, 30),
    loudness_db=st.floats(-90, 0),
    pitch_hz=st.none() | st.floats(60, 500),
    letters_per_s=st.floats(0, 60),
    pauses=st.floats(0, 1),
)


@given(st.lists(prosodies, max_size=12))
def test_whatever_is_measured_it_is_a_signal_with_a_confidence(turns: list[Prosody]) -> None:
    reader = ToneReader()
    for said in turns:
        tone = reader.turn(said)
        assert 0 <= tone.confidence <= 1
        assert tone.mood != "unknown" or tone.confidence <= 1
