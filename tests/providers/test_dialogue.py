"""The talk without a language model: what is read out of sentences, and how a booking is held together."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import cast

import pytest

from repartee.agent import Answer, load_agent
from repartee.conversation.summaries import Summary
from repartee.providers.answers import AnswersLLM, Meaning
from repartee.providers.dialogue import Dialogue, Do, Say, after_failure, step
from repartee.providers.slots import read_date, read_name, read_time
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


RESUMES = {"book_appointment": "Shall we go on with your appointment?"}


def talk_on(*turns: tuple[str | None, str]) -> list[str]:
    """The same with the demo's offers; what is said, or the tool that is called and what is said after it."""
    state, said = Dialogue(), []
    for name, text in turns:
        rank = rank_as(name)
        state, action = step(
            state,
            text,
            rank,  # type: ignore[arg-type]
            NOW,
            "What?",
            lambda answer: RESUMES.get(answer.do or "", "Shall we go on?"),
        )
        said.append(action.text if isinstance(action, Say) else f"{action.answer.do}: {action.then}")
    return said


BOOKING = ("book", "I need an appointment tomorrow at ten")


def test_an_interrupted_booking_is_offered_once_when_the_other_thing_is_done() -> None:
    said = talk_on(
        BOOKING,
        ("find", "Wait, first tell me, when is my appointment?"),
        (None, "Jennifer Smith"),
        ("prices", "How much does a visit cost?"),
    )
    assert said[:2] == ["What is your full name, please?"] * 2, "the second asks for the other thing"
    assert said[2] == "find_appointment: Shall we go on with your appointment?"
    assert "sixty euros" in said[3]
    assert "Shall we go on" not in said[3], "once is enough"


def test_a_yes_takes_the_booking_up_with_all_that_was_known() -> None:
    said = talk_on(
        BOOKING,
        ("find", "Hold on, when is my appointment?"),
        (None, "Jennifer Smith"),
        (None, "Yes, please."),
    )
    assert said[3] == "What is your full name, please?"
    *_, read_back = talk_on(
        BOOKING,
        ("find", "Hold on, when is my appointment?"),
        (None, "Jennifer Smith"),
        (None, "Yes, please."),
        (None, "Bob Hill"),
    )
    assert "tomorrow, Wednesday, November 25 at 10 in the morning for Bob Hill" in read_back


def test_a_no_drops_it() -> None:
    said = talk_on(
        BOOKING,
        ("find", "Hold on, when is my appointment?"),
        (None, "Jennifer Smith"),
        (None, "No, thank you."),
        (None, "Jennifer Smith"),
    )
    assert said[3] == "All right. What else can I do for you?"
    assert said[4] == "What?"


def test_who_answers_the_open_question_has_come_back() -> None:
    *_, last = talk_on(
        BOOKING,
        ("find", "Hold on, when is my appointment?"),
        (None, "Jennifer Smith"),
        (None, "My name is Bob Hill"),
    )
    assert "at 10 in the morning for Bob Hill" in last


def test_a_question_while_yes_or_no_is_waited_for_is_answered_and_the_confirmation_read_again() -> None:
    *_, last = talk_on(
        ("book", "Book me for tomorrow at ten, my name is Ann Hill"), ("parking", "Wait, is there parking?")
    )
    assert last.startswith("Yes, parking is free")
    assert last.endswith("for Ann Hill. Shall I book it?")


def test_leaving_one_thing_offers_the_other() -> None:
    *_, last = talk_on(BOOKING, ("cancel", "Hold on, I want to cancel my appointment"), (None, "Never mind"))
    assert last == "All right, I leave it. Shall we go on with your appointment?"


def test_what_a_tool_refused_may_be_changed() -> None:
    state, done = step(
        Dialogue(ANSWERS["book"], {"name": "Ann Hill", "day": "2026-12-01", "at": "10:00"}, confirming=True),
        "Yes",
        rank_as(None),  # type: ignore[arg-type]
        NOW,
        "What?",
    )
    assert isinstance(done, Do)
    failed = after_failure(Dialogue(), done)
    state, again = step(failed, "Then at half past nine", rank_as(None), NOW, "What?")  # type: ignore[arg-type]
    assert isinstance(again, Say)
    assert "Tuesday, December 1 at 9:30 in the morning for Ann Hill" in again.text
    assert state.confirming


class Known:
    """Knows which answer each text is about."""

    def __init__(self, **topics: str) -> None:
        self.topics = topics

    def rank(self, text: str) -> tuple[Answer | None, float]:
        name = next((name for word, name in self.topics.items() if word in text.lower()), None)
        return (ANSWERS[name], 0.9) if name else (None, 0.0)


def test_the_talk_is_folded_from_the_conversation_with_what_tools_said() -> None:
    llm = AnswersLLM(
        load_agent(FRONT_DESK), cast("Meaning", Known(book="book", parking="parking")), lambda: NOW
    )
    call = {"role": "assistant", "tool_calls": []}
    messages: list[dict[str, object]] = [
        {"role": "user", "content": "Book me for Tuesday at ten, my name is Ann Hill"},
        {"role": "assistant", "content": "I have Tuesday at 10 for Ann Hill. Shall I book it?"},
        {"role": "user", "content": "Yes."},
    ]
    done = llm._fold(messages)
    assert isinstance(done, Do)
    assert done.arguments == {"name": "Ann Hill", "day": "2026-12-01", "at": "10:00"}
    taken = {"role": "tool", "content": '{"error": "that is taken. I could offer 9:40"}'}
    again = llm._fold([*messages, call, taken, {"role": "user", "content": "Then at 9:40"}])
    assert isinstance(again, Say)
    assert "at 9:40 in the morning for Ann Hill" in again.text, "nothing of what was said is lost"
    booked = {"role": "tool", "content": "Ann Hill is booked."}
    after = llm._fold([*messages, call, booked, {"role": "user", "content": "Is there parking?"}])
    assert after == Say(ANSWERS["parking"].say or "")


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
        self.service._resume = {}

    def rank(self, text: str) -> tuple[Answer | None, float]:
        self.reads += 1
        for name, word in (("book", "appointment"), ("parking", "parking"), ("hours", "open")):
            if word in text:
                return ANSWERS[name], 0.9
        return None, 0.0

    def ask(self, text: str) -> Say | Do:
        action = self.service._fold(self.history.messages(text))
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
    texts = ["I need an appointment", "My name is Ann", "My name is Ann Hill, tomorrow at ten in the morning"]
    messages = [{"role": "user", "content": text} for text in texts]
    asker.service._fold(messages[:2])
    action = asker.service._fold([messages[0], messages[2]])
    assert isinstance(action, Say)
    assert "for Ann Hill" in action.text
