"""The talk without a language model: what is read out of sentences, and how a booking is held together."""

from __future__ import annotations

from datetime import date, datetime, time

import pytest

from repartee.agent import Answer, load_agent
from repartee.conversation.summaries import Summary
from repartee.providers.answers import AnswersLLM
from repartee.providers.dialogue import Dialogue, Do, Say, read_date, read_name, read_time, step, user_texts
from repartee.session.prompt_budget import history_for
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


class Asker:
    """The answers' service over the history of a long call, without a pipeline."""

    def __init__(self) -> None:
        self.reads = 0
        self.history = history_for(load_agent(FRONT_DESK), None, by_answers=True)
        self.service = AnswersLLM.__new__(AnswersLLM)
        self.service._agent = load_agent(FRONT_DESK)
        self.service._meaning = self  # type: ignore[assignment]
        self.service._now = lambda: NOW
        self.service._folded = []

    def rank(self, text: str) -> tuple[Answer | None, float]:
        self.reads += 1
        for name, word in (("book", "appointment"), ("parking", "parking"), ("hours", "open")):
            if word in text:
                return ANSWERS[name], 0.9
        return None, 0.0

    def ask(self, text: str) -> Say | Do:
        action = self.service._fold(user_texts(self.history.messages(text)))
        self.history.remember_user(text)
        self.history.remember_heard(action.text if isinstance(action, Say) else "Done.")
        if (job := self.history.begin_fold()) is not None:
            self.history.fold_done(job.number, Summary("Much was asked."), by_model=False)
        return action


def test_a_booking_is_held_together_over_a_long_call_that_folds() -> None:
    asker = Asker()
    asker.ask("I need an appointment tomorrow at ten in the morning")
    for number in range(60):
        asker.ask(f"Is there parking, {'or ' * (number % 3)}are you open?")
    assert len(asker.history.memory.turns) < 25, "the call was folded"
    read_back = asker.ask("My name is Ann Hill.")
    assert isinstance(read_back, Say)
    assert "for Ann Hill" in read_back.text
    done = asker.ask("Yes, please book it.")
    assert isinstance(done, Do)
    assert done.arguments == {"name": "Ann Hill", "day": "2026-11-25", "at": "10:00"}
    assert asker.reads == 63, "each turn is read once"


def test_a_turn_that_goes_on_is_read_anew() -> None:
    asker = Asker()
    texts = ["I need an appointment", "My name is Ann"]
    asker.service._fold(texts)
    action = asker.service._fold([texts[0], "My name is Ann Hill, tomorrow at ten in the morning"])
    assert isinstance(action, Say)
    assert "for Ann Hill" in action.text
