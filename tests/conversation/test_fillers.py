"""Which words come before a late answer: by what was asked, by language, and never the same twice running."""

from __future__ import annotations

from itertools import pairwise

import pytest

from repartee.conversation.fillers import Chooser, apology_for, kind_of, texts_for
from repartee.events import FillerKind

TURNS: tuple[tuple[str, str, FillerKind], ...] = (
    ("en", "when are you open", "question"),
    ("en", "so what does it cost", "question"),
    ("en", "It's still not here, is it?", "question"),
    ("en", "can you send me the form", "request"),
    ("en", "hi, I'd like to talk to somebody", "request"),
    ("en", "my address please", "request"),
    ("en", "I'd like to book an appointment", "booking"),
    ("en", "is there anything free on friday", "booking"),
    ("en", "do you have a table for four", "booking"),
    ("en", "my parcel has not arrived", "other"),
    ("en", "is parking free?", "question"),
    ("de", "wann haben Sie geöffnet", "question"),
    ("de", "können Sie mir das Formular schicken", "request"),
    ("de", "ich brauche einen Termin", "booking"),
    ("de-AT", "mein Paket ist nicht da", "other"),
    ("es", "¿cuánto cuesta?", "question"),
    ("es", "quiero hablar con alguien", "request"),
    ("es", "necesito una cita", "booking"),
    ("fr", "à quelle heure?", "question"),
    ("fr", "bonjour", "other"),
)


@pytest.mark.parametrize(("language", "text", "kind"), TURNS)
def test_the_kind_of_a_turn(language: str, text: str, kind: FillerKind) -> None:
    assert kind_of(text, language) == kind


@pytest.mark.parametrize("language", ["en", "de", "es"])
def test_each_kind_has_words_of_its_own_and_enough_to_change(language: str) -> None:
    texts = texts_for(language)
    assert set(texts) == {"question", "request", "booking", "other"}
    everything = [text for options in texts.values() for text in options]
    assert len(everything) == len(set(everything))
    assert all(len(options) >= 2 for options in texts.values())
    assert apology_for(language)


def test_the_same_words_are_never_said_twice_running() -> None:
    chooser = Chooser(texts_for("en"), "en")
    said = [chooser.choose("when are you open") for _ in range(6)]
    assert None not in said
    assert all(one != other for one, other in pairwise(said))
    assert len(set(said)) == 2


def test_words_that_may_not_be_used_now_are_left_out_and_none_is_better_than_the_same_again() -> None:
    chooser = Chooser(texts_for("en"), "en")
    only = "Let me have a look."
    assert chooser.choose("when are you open", lambda text: text == only) == only
    assert chooser.choose("when are you open", lambda text: text == only) is None
    assert chooser.choose("when are you open", lambda _: False) is None


def test_a_language_without_words_says_nothing() -> None:
    assert texts_for("fr") == {}
    assert apology_for("fr") is None
    assert Chooser(texts_for("fr"), "fr").choose("à quelle heure?") is None
