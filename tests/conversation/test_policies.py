"""What the policies say to what is heard."""

from __future__ import annotations

import pytest

from repartee.conversation.policies import Endpointing, Interruption, Speculation, asked_for, same_words

ENDPOINTING, INTERRUPTION, SPECULATION = Endpointing(), Interruption(), Speculation()


@pytest.mark.parametrize(
    ("probability", "text", "least", "most"),
    [
        (0.98, "What's the weather like?", 300, 300),
        (0.5, "What's the weather like?", 600, 1300),
        (0.02, "I would like", 1500, 1600),
        (0.02, "What's the weather like?", 800, 900),
        (None, "What's the weather like?", 1600, 1600),
        (0.98, "I would like to book for Tuesday and", 1100, 1600),
        (0.98, "my number is five five five", 1500, 1500),
        (0.98, "five five five one two three four five six seven", 300, 300),
        (0.98, "a table for four", 300, 300),
        (0.98, "that is S M T", 1500, 1500),
        (0.98, "my name starts with T", 1500, 1500),
        (0.98, "sure", 1200, 1200),
    ],
)
def test_the_wait_is_graded_by_evidence(
    probability: float | None, text: str, least: float, most: float
) -> None:
    assert least <= ENDPOINTING.wait_ms(probability, text) <= most


def test_more_evidence_never_waits_longer() -> None:
    waits = [ENDPOINTING.wait_ms(step / 20, "book me in") for step in range(21)]
    assert waits == sorted(waits, reverse=True)


def test_a_number_that_was_asked_for_is_waited_for() -> None:
    assert ENDPOINTING.wait_ms(0.98, "it is four", "answer") == 300
    assert ENDPOINTING.wait_ms(0.98, "it is four", "digits") == 1500


def test_a_bare_yes_is_a_whole_answer_to_a_question_only() -> None:
    assert ENDPOINTING.wait_ms(0.98, "yes", "answer") == 300
    assert ENDPOINTING.wait_ms(0.98, "yes", "nothing") == 1200


def test_who_has_paused_and_gone_on_is_waited_for_longer() -> None:
    assert ENDPOINTING.wait_ms(0.98, "and then we went home", pauses=(90, 600)) == pytest.approx(930)
    assert ENDPOINTING.wait_ms(0.98, "and then we went home", pauses=(90, 200)) == 300, "gaps between words"
    assert ENDPOINTING.wait_ms(0.98, "and then we went home", pauses=(5000,)) == 1000, "within reason"


def test_the_groups_of_a_number_tell_how_long_its_gaps_are() -> None:
    number = "five five five one two three four"
    assert ENDPOINTING.wait_ms(0.98, number, pauses=(80, 400)) == 1500, "one gap says little"
    assert ENDPOINTING.wait_ms(0.98, number, pauses=(500, 80, 400)) == pytest.approx(800)
    assert ENDPOINTING.wait_ms(0.98, number, pauses=(1200, 1200)) == 1500


@pytest.mark.parametrize(
    ("reply", "asked"),
    [
        ("Sure. What is your phone number?", "digits"),
        ("Could you spell that for me?", "digits"),
        ("Your number is noted. Anything else?", "answer"),
        ("I have your number.", "nothing"),
        ("", "nothing"),
    ],
)
def test_what_a_reply_asks_for(reply: str, asked: str) -> None:
    assert asked_for(reply) == asked


@pytest.mark.parametrize(
    ("text", "takes"),
    [
        ("", False),
        ("Mm-hmm.", False),
        ("Okay.", False),
        ("yeah right okay", False),
        ("stop", True),
        ("no", True),
        ("right okay yeah sure", True),
        ("okay but wait", True),
    ],
)
def test_a_backchannel_does_not_take_the_floor(text: str, takes: bool) -> None:
    assert INTERRUPTION.takes_floor(text) is takes


def test_waste_asks_for_more_evidence() -> None:
    assert SPECULATION.may_start(None, "book me in", waste=0.1)
    assert not SPECULATION.may_start(None, "book me in", waste=0.4)
    assert SPECULATION.may_start(0.5, "book me in", waste=0.2)
    assert not SPECULATION.may_start(0.5, "book me in", waste=0.5)
    assert SPECULATION.may_start(0.97, "book me in", waste=1.0)
    assert not SPECULATION.may_start(0.99, "", waste=0.0)
    assert not SPECULATION.may_start(0.99, "I would like to", waste=0.0), "it goes on"


def test_audio_needs_more_evidence_than_text() -> None:
    assert SPECULATION.may_start(0.4, "book me in", waste=0.0)
    assert not SPECULATION.may_voice(0.4, "book me in", waste=0.0)
    assert not SPECULATION.may_voice(None, "book me in", waste=0.0)
    assert SPECULATION.may_voice(0.6, "book me in", waste=0.0)
    assert not SPECULATION.may_voice(0.6, "book me in", waste=0.5)
    assert SPECULATION.may_voice(0.1, "What's the weather like?", waste=0.0), "whole by its words"
    assert SPECULATION.may_start(0.1, "What's the weather like?", waste=0.0)
    assert not SPECULATION.may_voice(0.1, "What's the weather like?", waste=0.5), "not while much is wasted"


def test_a_long_silence_is_evidence_however_it_sounded() -> None:
    assert not SPECULATION.may_start(0.1, "book me in", 0.0, silent_ms=500)
    assert SPECULATION.may_start(0.1, "book me in", 0.0, silent_ms=860)
    assert not SPECULATION.may_voice(0.1, "book me in", 0.0, silent_ms=860)
    assert SPECULATION.may_voice(0.1, "book me in", 0.0, silent_ms=1300)


def test_signs_and_capitals_make_no_other_words() -> None:
    assert same_words("What's the time?", "what's the time")
    assert not same_words("what's the time", "what's the time now")
