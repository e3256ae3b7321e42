"""What makes two questions the same, and what must never be taken for it."""

from __future__ import annotations

import pytest

from repartee.conversation.likeness import (
    Likeness,
    awaits_answer,
    compare,
    why_not_alone,
    why_not_learned,
)
from repartee.conversation.questions import normalised, read, stem


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Um, hi, could you tell me when you're open, please?", "when you are open"),
        ("When are you open?", "when are you open"),
        ("WHEN ARE YOU OPEN", "when are you open"),
        ("I was wondering if there's parking", "there is parking"),
        ("Can\u2019t I pay by card?", "can not i pay by card"),
        ("Good morning", "good morning"),
        ("Thanks.", "thanks"),
        ("", ""),
    ],
)
def test_what_only_opens_or_closes_politely_does_not_count(said: str, words: str) -> None:
    assert normalised(said) == words


@pytest.mark.parametrize(
    "forms", [("change", "changes", "changed", "changing"), ("try", "tries"), ("stop", "stopped")]
)
def test_forms_of_a_word_have_one_stem(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("How much is it?", "price"),
        ("What does a visit cost?", "price"),
        ("How long does it take?", "duration"),
        ("How many days does it take?", "duration"),
        ("How many seats are there?", "count"),
        ("What time do you open?", "time"),
        ("Which day is free?", "time"),
        ("What's your address?", "place"),
        ("Who owns it?", "person"),
        ("Why not?", "reason"),
        ("How do I cancel?", "manner"),
        ("What do I have to do?", "manner"),
        ("How big is the room?", "extent"),
        ("What classes do you offer?", "choice"),
        ("Do you have parking?", "polar"),
        ("I'd like to book.", "polar"),
        ("Parking.", "statement"),
    ],
)
def test_what_is_asked_for(text: str, kind: str) -> None:
    assert read(text).kind == kind


@pytest.mark.parametrize(
    ("asked", "known", "why"),
    [
        ("Is parking not free?", "Is parking free?", "negation"),
        ("A room without a view?", "A room with a view?", "negation"),
        ("A table for six?", "A table for four?", "number"),
        ("Do you have 4G?", "Do you have 5G?", "number"),
        ("Are you open on Sunday?", "Are you open on Saturday?", "time"),
        ("Are you open at night?", "Are you open?", "time"),
        ("Where is breakfast?", "When is breakfast?", "kind"),
        ("How do I get to Leeds?", "How do I get to Bristol?", "name"),
        ("When do you close?", "When do you open?", "opposite"),
        ("How do I cancel my order?", "How do I change my order?", "opposite"),
        ("Is there a bus from Rome to Pisa?", "Is there a bus from Pisa to Rome?", "route"),
        ("Is there parking for trucks?", "Is there parking?", "constraint"),
        ("Is there parking?", "Is there parking for trucks?", "constraint"),
    ],
)
def test_near_misses_are_told_apart(asked: str, known: str, why: str) -> None:
    assert compare(read(asked), read(known)) == why
    assert isinstance(compare(read(known), read(asked)), str), "in both directions"


def test_what_is_left_is_told() -> None:
    left = compare(read("Do you have a garage?"), read("Is there a workshop?"))
    assert left == Likeness(frozenset({"garag"}), frozenset({"workshop"}))
    assert compare(read("Do you have parking?"), read("Is there parking?")) == Likeness(
        frozenset(), frozenset()
    )


def test_the_place_s_own_name_does_not_count() -> None:
    own = frozenset({"clinic"})
    asked, known = read("Do you have parking?", own), read("Is there parking at the clinic?", own)
    assert compare(asked, known) == Likeness(frozenset(), frozenset())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("And on Sunday?", "link"),
        ("What about dogs?", "link"),
        ("How much is it?", "reference"),
        ("Is that free?", "reference"),
        ("Can I bring them?", "reference"),
        ("Is there another one?", "reference"),
        (" ".join(["word"] * 30), "long"),
        ("...", "empty"),
    ],
)
def test_what_points_back_does_not_stand_alone(text: str, why: str) -> None:
    assert why_not_alone(text) == why


@pytest.mark.parametrize(
    "text",
    [
        "Is it possible to pay by card?",
        "Is there parking?",
        "Are there rooms that have a balcony?",
        "Is it far to the sea?",
    ],
)
def test_words_that_only_look_like_pointing_back(text: str) -> None:
    assert why_not_alone(text) is None


def test_what_was_asked_or_arranged_before_matters() -> None:
    assert why_not_alone("When are you open?", "On which day would you like to come?") == "pending question"
    assert why_not_alone("When are you open?", "Done. Is there anything else?") is None
    assert why_not_alone("When are you open?", open_goal=True) == "open goal"
    assert not awaits_answer("")


@pytest.mark.parametrize(
    ("text", "answer", "why"),
    [
        ("Is there parking?", "Yes, behind the house.", None),
        ("Parking space.", "Yes, behind the house.", "no question"),
        ("Is there parking for six cars?", "Yes.", "number, time or name"),
        ("Is there parking on Monday?", "Yes.", "number, time or name"),
        ("Does Doctor Miller take children?", "Yes.", "number, time or name"),
        ("Where is my parcel?", "It is on its way.", "about the caller"),
        ("Can I come if I am pregnant?", "Yes.", "about the caller"),
        ("Are you open now?", "Yes.", "about now"),
        ("Is there parking?", "Not today.", "about now"),
        ("Is there parking?", "Yes. Which car do you have?", "asks back"),
        ("Is there parking?", "I'm sorry, I don't know.", "no answer for everybody"),
        ("Is there parking?", "Yes, as you said, behind the house.", "no answer for everybody"),
        ("Is there parking?", "Yes, for your appointment.", "no answer for everybody"),
        ("Is there parking?", "Yes, Jennifer, behind the house.", "uses what the caller said"),
        ("Is there parking?", "Yes, for up to three hours.", "uses what the caller said"),
        ("Is there parking?", "x" * 500, "length"),
        ("Is there parking?", "", "length"),
    ],
)
def test_what_may_be_learned(text: str, answer: str, why: str | None) -> None:
    before = "My name is Jennifer and I will come for three hours."
    assert why_not_learned(read(text), answer, before) == why
