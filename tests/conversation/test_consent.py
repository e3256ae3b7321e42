"""What counts as a yes."""

from __future__ import annotations

import pytest

from repartee.conversation.consent import verdict


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes.", "yes"),
        ("Yes, please book it.", "yes"),
        ("yeah that's fine", "yes"),
        ("Sure, go ahead.", "yes"),
        ("No problem, do it.", "yes"),
        ("Why not", "yes"),
        ("Yes, Tuesday at ten is right.", "yes"),
        ("No.", "no"),
        ("No, that's wrong.", "no"),
        ("Please don't.", "no"),
        ("Forget it.", "no"),
        ("Yes, but at eleven.", "unclear"),
        ("Yes, make it eleven instead", "unclear"),
        ("I'm not sure", "unclear"),
        ("Wait, yes, is that in the morning?", "unclear"),
        ("Is there parking?", "unclear"),
        ("Eleven would suit me.", "unclear"),
        ("", "unclear"),
        ("yes well you know my wife was there last year and she said it was all fine with them", "unclear"),
    ],
)
def test_english(text: str, said: str) -> None:
    assert verdict(text) == said


@pytest.mark.parametrize(
    ("text", "language", "said"),
    [
        ("Ja, gerne.", "de", "yes"),
        ("Nein danke", "de-AT", "no"),
        ("Ja, aber um elf", "de", "unclear"),
        ("Sí, claro", "es", "yes"),
        ("No", "es", "no"),
        ("Yes", "fr", "yes"),
    ],
)
def test_other_languages(text: str, language: str, said: str) -> None:
    assert verdict(text, language) == said
