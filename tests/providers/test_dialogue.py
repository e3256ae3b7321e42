"""The talk without a language model: what is read out of sentences, and how a booking is held together."""

from __future__ import annotations

from datetime import date, datetime, time

import pytest

from repartee.agent import Answer, load_agent
from repartee.providers.dialogue import Dialogue, Do, Say, read_date, read_name, read_time, step
from tests.conftest import FRONT_DESK

NOW = datetime(2026, 11, 24, 9, 0)  # noqa: DTZ001 - a Tuesday, on the wall clock
ANSWERS = {answer.id: answer for answer in load_agent(FRONT_DESK).answers}


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("next Tuesday at ten", date(2026, 12, 1)),
        ("tomorrow morning", date(2026, 11, 25)),
        ("the day after tomorrow", date(2026, 11, 26)),
        ("on Friday, please", date(2026, 11, 27)),
        ("on June 4th", date(2027, 6, 4)),
        ("I have a cold", None),
        ("at ten in the morning", None),
    ],
)
def test_days(text: str, day: date | None) -> None:
    assert read_date(text, NOW) == day


@pytest.mark.parametrize(
    ("text", "bare", "at"),
    [
        ("at 10 in the morning", False, time(10)),
        ("at half past three", False, time(15, 30)),
        ("quarter to nine in the morning", False, time(8, 45)),
        ("2:20 p.m.", False, time(14, 20)),
        ("ten", True, time(10)),
        ("ten", False, None),
        ("at noon", False, time(12)),
        ("I have two children", False, None),
    ],
)
def test_times(text: str, bare: bool, at: time | None) -> None:
    assert read_time(text, bare=bare) == at


@pytest.mark.parametrize(
    ("text", "bare", "name"),
    [
        ("My name is Jennifer Smith.", False, "Jennifer Smith"),
        ("It's for Bob Hill, please", False, "Bob Hill"),
        ("Jennifer Smith", True, "Jennifer Smith"),
        ("I'm looking for a doctor", False, None),
        ("yes", True, None),
    ],
)
def test_names(text: str, bare: bool, name: str | None) -> None:
    assert read_name(text, bare=bare) == name


def rank_as(name: str | None, nearness: float = 0.9) -> object:
    def rank(_: str) -> tuple[Answer | None, float]:
        return (ANSWERS[name], nearness) if name else (None, 0.0)

    return rank


def talk(*turns: tuple[str | None, str]) -> list[Say | Do]:
    state, actions = Dialogue(), []
    for name, text in turns:
        state, action = step(state, text, rank_as(name), NOW, "What?")  # type: ignore[arg-type]
        actions.append(action)
    return actions


def test_a_booking_is_asked_for_read_back_and_done() -> None:
    *_, asked, read_back, done = talk(
        ("book", "I would like to book an appointment for next Tuesday at ten in the morning"),
        (None, "My name is Jennifer Smith."),
        (None, "Yes, please book it."),
    )
    assert asked == Say("What is your full name, please?")
    assert isinstance(read_back, Say)
    assert "Tuesday, December 1 at 10 in the morning for Jennifer Smith" in read_back.text
    assert isinstance(done, Do)
    assert done.arguments == {"name": "Jennifer Smith", "day": "2026-12-01", "at": "10:00"}


def test_a_no_books_nothing() -> None:
    *_, last = talk(
        ("book", "Book me for tomorrow at ten, my name is Ann Hill"),
        (None, "No, that's wrong."),
    )
    assert isinstance(last, Say)


def test_a_change_of_mind_is_read_back_again() -> None:
    *_, last = talk(
        ("book", "Book me for tomorrow at ten, my name is Ann Hill"), (None, "Friday at eleven instead")
    )
    assert isinstance(last, Say)
    assert "Friday, November 27 at 11 in the morning" in last.text


def test_a_question_in_between_is_answered_and_the_open_one_asked_again() -> None:
    *_, last = talk(("book", "I need an appointment tomorrow at ten"), ("parking", "Is there parking?"))
    assert isinstance(last, Say)
    assert last.text.startswith("Yes, parking is free")
    assert last.text.endswith("What is your full name, please?")


def test_what_is_not_known_is_said_so() -> None:
    assert talk((None, "What's the weather like?")) == [Say("What?")]
