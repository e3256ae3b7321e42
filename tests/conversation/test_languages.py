"""In which language a caller speaks: what counts, what does not, and when the agent changes its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.conversation import Endpointing, Interruption
from repartee.conversation.languages import Evidence, Spoken, after, asked_for, guess, weigh

ALL = frozenset({"en", "de", "es"})
ENGLISH = Spoken("en", ALL)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I would like an appointment on Tuesday, please.", "en"),
        ("Could you tell me when you are open?", "en"),
        ("Ich hätte gerne einen Termin am Dienstag.", "de"),
        ("Wann haben Sie denn morgen auf?", "de"),
        ("Das ist für meine Tochter, sie hat Fieber.", "de"),
        ("Quisiera una cita para el martes, por favor.", "es"),
        ("¿A qué hora abren ustedes mañana?", "es"),
        ("Es para mi hija, que tiene fiebre.", "es"),
    ],
)
def test_whole_sentences_are_told_apart_for_sure(text: str, language: str) -> None:
    found = guess(text)
    assert found.language == language
    assert found.confidence >= 0.9
    assert after(ENGLISH, weigh(text, ALL)).language == language


@pytest.mark.parametrize(
    "text",
    ["", "Danke!", "Gracias.", "No.", "Okay", "Schnitzel", "Müller", "Jennifer Smith", "ja", "sí", "12345"],
)
def test_courtesy_names_and_numbers_say_nothing(text: str) -> None:
    spoken = ENGLISH
    for _ in range(5):
        spoken = after(spoken, weigh(text, ALL))
    assert spoken == ENGLISH


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Do you speak German?", "de"),
        ("Sprechen Sie Spanisch?", "es"),
        ("Could we speak Spanish, please?", "es"),
        ("In German, please.", "de"),
        ("¿Habla inglés?", "en"),
        ("Ich möchte lieber auf Deutsch reden.", "de"),
        ("Is there a tour in German?", None),
        ("I don\N{RIGHT SINGLE QUOTATION MARK}t speak German.", None),
        ("My wife is Spanish.", None),
        ("Do you speak French?", None),
    ],
)
def test_a_language_may_be_asked_for_by_its_name(text: str, language: str | None) -> None:
    assert asked_for(text, ALL) == language


def test_one_short_turn_is_not_enough_and_two_in_a_row_are() -> None:
    short = Evidence("de", 0.75, 3)
    once = after(ENGLISH, short)
    assert once.language == "en"
    assert after(once, short).language == "de"


def test_a_turn_in_the_language_that_is_spoken_starts_the_count_anew() -> None:
    short = Evidence("de", 0.75, 3)
    spoken = after(after(ENGLISH, short), Evidence("en", 0.9, 5))
    assert after(spoken, short).language == "en"


def test_a_turn_that_says_nothing_is_passed_over() -> None:
    short = Evidence("de", 0.75, 3)
    spoken = after(after(ENGLISH, short), weigh("Okay.", ALL))
    assert after(spoken, short).language == "de"


def test_two_other_languages_do_not_add_up() -> None:
    spoken = after(after(ENGLISH, Evidence("de", 0.75, 3)), Evidence("es", 0.75, 3))
    assert spoken.language == "en"
    assert (spoken.towards, spoken.turns) == ("es", 1)


def test_a_language_the_agent_does_not_speak_changes_nothing() -> None:
    spoken = Spoken("en", frozenset({"en", "de"}))
    assert after(spoken, weigh("Quisiera una cita para el martes, por favor.", {"en", "de"})) == spoken


def test_a_recogniser_and_the_words_must_agree() -> None:
    german = "Ich hätte gerne einen Termin am Dienstag."
    assert weigh(german, ALL, Evidence("es", 0.99)).language is None
    assert weigh(german, ALL, Evidence("de", 0.7)) == Evidence("de", 1.0, 7)
    # Of a language whose words are not known here the recogniser's word is taken, with the length of the turn.
    french = "Je voudrais un rendez-vous mardi matin"
    heard = weigh(french, {"en", "fr"}, Evidence("fr", 0.95))
    assert after(Spoken("en", frozenset({"en", "fr"})), heard).language == "fr"


def test_a_recogniser_that_is_wrong_about_a_short_word_changes_nothing() -> None:
    assert after(ENGLISH, weigh("Yes.", ALL, Evidence("de", 0.98))) == ENGLISH


@given(st.text(max_size=200), st.floats(0, 1), st.sampled_from(["en", "de", "es", "fr", None]))
def test_whatever_is_said_the_agent_speaks_what_it_can(text: str, sure: float, language: str | None) -> None:
    spoken = after(ENGLISH, weigh(text, ALL, Evidence(language, sure)))
    assert spoken.language in ALL
    assert 0 <= guess(text).confidence <= 1


@pytest.mark.parametrize("text", ["ja genau", "ach so", "sí claro", "vale", "mhm, verstehe", "ajá"])
def test_acknowledgements_of_all_three_languages_do_not_take_the_floor(text: str) -> None:
    assert Interruption().takes_floor(text) == (text == "ach so")


@pytest.mark.parametrize(
    "text", ["Ich möchte einen Termin für meine", "Quisiera una cita para el", "I need it for the"]
)
def test_a_sentence_that_is_left_open_is_waited_for(text: str) -> None:
    waits = Endpointing()
    assert waits.wait_ms(0.9, text) > waits.wait_ms(0.9, f"{text} Tochter.")


@pytest.mark.parametrize(
    "text", ["Meine Nummer ist null eins sieben", "Mi número es seis cinco", "My number is five five"]
)
def test_numbers_may_go_on_in_all_three_languages(text: str) -> None:
    assert Endpointing().number_may_go_on(text)
