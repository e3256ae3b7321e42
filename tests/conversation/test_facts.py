"""Facts by rule: the many ways a thing is said, corrections, open questions, and what is not a fact."""

from __future__ import annotations

import pytest

from repartee.conversation.extraction import Words, learn
from repartee.conversation.facts import Facts, open_goals, render
from repartee.goals import Goal, Goals


def told(*turns: str | tuple[str, str]) -> Facts:
    """What is pinned of turns: what the user says, or that and the agent's answer."""
    facts: Facts = ()
    asked = ""
    for number, turn in enumerate(turns, 1):
        user, agent = turn if isinstance(turn, tuple) else (turn, "")
        facts, _ = learn(facts, Words(number, asked, user, agent))
        asked = agent or asked
    return facts


def shown(*turns: str | tuple[str, str]) -> list[str]:
    return [f"{fact.kind} {fact.shown}" for fact in told(*turns)]


@pytest.mark.parametrize(
    ("said", "pinned"),
    [
        ("My name is Jennifer Smith.", "name caller: Jennifer Smith"),
        ("Hi, I'm Klaus from Berlin.", "name caller: Klaus"),
        ("It's under Kowalski.", "name caller: Kowalski"),
        ("Mein Name ist Jürgen Öztürk.", "name caller: Jürgen Öztürk"),
        ("Me llamo Ana García.", "name caller: Ana García"),
        ("My wife's name is Anna Keller.", "name wife: Anna Keller"),
        ("our landlord is Mr Brown", "name landlord: Mr Brown"),
        ("My sister Laura will pick it up.", "name sister: Laura"),
        ("Ask for Tom Reilly.", "name Ask for Tom Reilly."),
        ("My last name is spelled K-O-W-A-L-S-K-I.", "name spelled: Kowalski"),
        ("You can reach me on 0171 555 2233.", "phone caller: 0171 555 2233"),
        ("five five five, one two three, double eight nine four", "phone caller: 5551238894"),
        ("My wife's mobile is 0171 555 1234", "phone wife mobile: 0171 555 1234"),
        ("Write to jane dot doe at example dot com.", "email caller: jane.doe@example.com"),
        ("It is bob@acme.io.", "email caller: bob@acme.io"),
        ("My order number is 48213.", "number order number: 48213"),
        ("my policy number is KX 7741", "number policy number: KX 7741"),
        ("The alarm code's 7 7 3 1.", "number alarm code: 7 7 3 1"),
        ("The card ending in 4421.", "number The card ending in 4421."),
        ("It's flat 4b, 19 Elm Road.", "number It's flat 4b, 19 Elm Road."),
        ("Our budget is 1200 euros.", "amount budget: 1200 euros"),
        ("We will be thirty-four guests.", "amount We will be thirty-four guests."),
        ("The move is on the 4th of May.", "date The move is on the 4th of May."),
        ("The train leaves at quarter past eight.", "time The train leaves at quarter past eight."),
        ("Let's take Friday at ten.", "decision Let's take Friday at ten."),
        ("We settled on the larger van.", "decision We settled on the larger van."),
        ("Put us down for Thursday evening.", "decision Put us down for Thursday evening."),
        ("I have an allergy to peanuts.", "detail I have an allergy to peanuts."),
        ("Remind me to ask about the garage.", "question Remind me to ask about the garage."),
    ],
)
def test_a_fact_is_pinned_however_it_is_said(said: str, pinned: str) -> None:
    assert pinned in shown(said)


@pytest.mark.parametrize(
    "said", ["Okay.", "I'm looking for a doctor.", "Yes, that's right.", "How are you?", ""]
)
def test_what_is_no_fact_is_none(said: str) -> None:
    assert shown((said, "Of course.")) == []


@pytest.mark.parametrize(
    ("turns", "holds", "gone"),
    [
        (["My name is Jennifer Smith.", "No, it's Smyth."], "caller: Jennifer Smyth", "Smith"),
        (["My name is Jennifer Smith.", "It's Smyth, not Smith."], "caller: Jennifer Smyth", "Smith"),
        (["My name is Jennifer Smith.", "No. That's S M Y T H."], "caller: Jennifer Smyth", "Smith"),
        (["It's under Kowalsky.", "Sorry, it's spelled K-O-W-A-L-S-K-I."], "caller: Kowalski", "Kowalsky"),
        (["My number is 555 1234 889.", "No, it's 555 1234 880."], "caller: 555 1234 880", "889"),
        (["Let's take Friday at ten in the morning.", "No, at eleven."], "eleven in the morning", "at ten"),
        (
            ["Let's take Friday at ten.", "Actually, let's make it Saturday instead."],
            "Saturday at ten",
            "Friday",
        ),
        (["Meet me on Thursday at 4 pm.", "Sorry, not Thursday, Friday."], "on Friday at 4 pm", "Thursday"),
        (["I want fifty chairs.", "No no no, I said fifteen not fifty."], "fifteen chairs", "fifty"),
        (["My order number is 48213.", "My order number is 48231."], "order number: 48231", "48213"),
        (
            [
                "Friday would suit me.",
                ("Okay.", "I have booked Friday at nine for you."),
                "No, it's Saturday.",
            ],
            "booked Saturday at nine",
            "booked Friday",
        ),
    ],
)
def test_a_correction_replaces_and_does_not_pile_up(
    turns: list[str | tuple[str, str]], holds: str, gone: str
) -> None:
    text = render(told(*turns))
    assert holds in text
    assert gone not in text


def test_a_no_that_answers_corrects_nothing() -> None:
    facts = told("Let's take Friday at ten.", "No, at twelve I have a meeting, so that is not possible.")
    assert "Friday at ten" in render(facts)


def test_what_was_asked_for_may_be_answered_bare() -> None:
    assert shown(("Hello.", "Who is calling? What is your name?"), "Bob Hill.") == ["name caller: Bob Hill"]
    assert shown(("Hello.", "What is your daughter's name?"), "It's Emma.") == ["name daughter: Emma"]


class TestOpenQuestions:
    def test_a_question_that_is_put_off_stays_open_until_it_is_answered(self) -> None:
        asked = ("Can I bring my dog to the appointment?", "I'm not sure, I'll check that.")
        assert shown(asked) == ["question Can I bring my dog to the appointment?"]
        later = told(asked, ("Fine.", "Yes, you can bring your dog to the appointment."))
        assert [fact.kind for fact in later] == ["detail"]
        assert "you can bring your dog" in later[0].text

    def test_one_that_is_answered_at_once_is_not_kept(self) -> None:
        assert shown(("Do you have parking there?", "Yes, parking is free.")) == []

    def test_one_whose_answer_was_cut_off_is_open(self) -> None:
        assert shown(("How much is the larger van?", "The larger…")) == [
            "question How much is the larger van?"
        ]

    def test_never_mind_closes_it(self) -> None:
        assert shown(("How much is the larger van?", ""), "Never mind.") == []


class TestTheAgent:
    def test_what_the_agent_did_and_named_is_kept(self) -> None:
        assert shown(("When?", "I have booked Tuesday at nine.")) == [
            "decision I have booked Tuesday at nine."
        ]
        assert shown(("How much?", "That would be 60 euros.")) == ["amount That would be 60 euros."]

    def test_but_never_in_place_of_the_user_s_words(self) -> None:
        facts = told(("My order number is 48213.", "So your order number is 48212, is that right?"))
        assert render(facts) == "Numbers: order number: 48213"
        facts = told(("My order number is 48213.", "Your order number is 48212."))
        assert render(facts) == "Numbers: order number: 48213"


def test_goals_that_are_not_finished_are_open_questions() -> None:
    goals = Goals(
        (
            Goal(1, "book", "waiting", {"day": "2026-12-01"}),
            Goal(2, "cancel", "done"),
            Goal(3, "ask", "open"),
        )
    )
    assert (
        render(open_goals(goals, 7))
        == "Open questions: book: not finished, day: 2026-12-01; ask: not finished"
    )
