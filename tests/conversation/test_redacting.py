"""What is taken out of a transcript, and what stays."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.conversation.redacting import iban, luhn, redacted


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("It's ann.hill+x@mail.example.org, thanks.", "It's [e-mail], thanks."),
        ("ann dot hill at example dot com", "[e-mail]"),
        ("Call me on +44 20 7946 0958 after five.", "Call me on [phone] after five."),
        ("It's (030) 901820 99.", "It's [phone]."),
        ("My number is five five five oh one nine nine.", "My number is [phone]."),
        ("The card is 4242 4242 4242 4242.", "The card is [card]."),
        ("4111-1111-1111-1111 it says", "[card] it says"),
        ("my visa is 4242 4242 4242 4243", "my visa is [card]"),
        ("four two four two four two four two four two four two four two four two", "[card]"),
        ("The CVV is 123 and the pin: 9876.", "The CVV is [code] and the pin: [code]."),
        ("my password is hunter2", "my password is [code]"),
        ("It's DE89 3704 0044 0532 0130 00.", "It's [IBAN]."),
        ("gb82west12345698765432", "[IBAN]"),
        ("My social security number is 078-05-1120.", "My social security number is [id]."),
        ("passport number C01X00T47", "passport number [id]"),
        ("I was born on the 3rd of March 1984.", "I was born on [date of birth]."),
        ("geboren am 3.3.1984", "geboren am [date of birth]"),
        ("My name is Jennifer Smith and I need a cut.", "My name is [name] and I need a cut."),
        ("Ich heiße Jörg Müller.", "Ich heiße [name]."),
        ("I live at 12 Baker Street.", "I live at [address]."),
        ("Ich wohne in der Goethestraße 7a.", "Ich wohne in der [address]."),
        ("the reference is 123456789012345678901234567890", "the reference is [number]"),
    ],
)
def test_what_is_taken_out(said: str, kept: str) -> None:
    assert redacted(said) == kept


@pytest.mark.parametrize(
    "said",
    [
        "I'd like to come on Tuesday, March 3 at 10:30, please.",
        "It costs 1,250 euros for 4 people.",
        "Are you open on 2031-03-03 or 3.3.2031?",
        "The order has 12 items, number 48213.",
        "Is there a workshop about Gemini 2.5?",
        "May I speak to Ann Hill?",
        "The pin is on the board.",
        "Two for the three o'clock show.",
        "",
    ],
)
def test_what_stays(said: str) -> None:
    assert redacted(said) == said


@pytest.mark.parametrize(
    ("digits", "right"),
    [("4242424242424242", True), ("4242424242424243", False), ("378282246310005", True), ("0" * 12, False)],
)
def test_check_digits_of_cards(digits: str, right: bool) -> None:
    assert luhn(digits) is right


def test_check_digits_of_accounts() -> None:
    assert iban("DE89 3704 0044 0532 0130 00")
    assert not iban("DE89 3704 0044 0532 0130 01")
    assert not iban("²²²²²²²²²²²²²²²")


@given(st.text(max_size=400))
def test_twice_is_as_once_and_nothing_breaks(text: str) -> None:
    once = redacted(text)
    assert redacted(once) == once


@given(st.sampled_from([" ", "-", ""]), st.text("0123456789", min_size=15, max_size=15))
def test_no_card_gets_through(between: str, fifteen: str) -> None:
    digits = next(fifteen + last for last in "0123456789" if luhn(fifteen + last))
    said = f"it is {between.join(digits[at : at + 4] for at in range(0, 16, 4))}, yes"
    assert redacted(said) == "it is [card], yes"


@pytest.mark.parametrize(
    "text", ["1 " * 4000, "a-" * 4000 + "@", "A1" * 4000, "my name is " * 800, "born " * 1500]
)
def test_long_texts_take_no_time(text: str) -> None:
    began = time.process_time()
    redacted(text[:8000])
    assert time.process_time() - began < 2.0
