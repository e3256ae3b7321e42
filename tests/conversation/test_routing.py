"""Which model a turn goes to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from repartee.conversation.routing import Turn, route


@pytest.mark.parametrize(
    ("turn", "tier"),
    [
        (Turn("Hello, good morning!"), "small"),
        (Turn("Thank you very much, bye."), "small"),
        (Turn("Is there parking?"), "small"),
        (Turn("Is there parking?", has_tools=True), "small"),
        (Turn("Okay.", "Shall I book it?"), "large"),
        (Turn("Okay.", "It is done. Is there anything else?"), "small"),
        (Turn("I would like to book a table.", has_tools=True), "large"),
        (Turn("Could you cancel my order?", has_tools=True), "large"),
        (Turn("I would like to book a table."), "small"),
        (Turn("At half past seven on Friday.", has_tools=True), "large"),
        (Turn("Anna Miller", "What is your name?", has_tools=True), "large"),
        (Turn("Why is the plan better than the other one?"), "large"),
        (Turn("Is it open? And how much is it?"), "large"),
        (Turn("Tell me about " + "the rooms and " * 12), "large"),
        (Turn("Is there parking?", open_goal=True), "large"),
        (
            Turn("Tell me everything there is to say about the rooms and the garden of the house please"),
            "large",
        ),
    ],
)
def test_rules(turn: Turn, tier: str) -> None:
    assert route(turn).tier == tier, route(turn)


def test_a_vector_that_is_there_decides_between_what_rules_leave_open() -> None:
    turn = Turn("What is the matter with the plan")
    assert route(replace(turn, simple=0.3, hard=0.7)).tier == "large"
    assert route(replace(turn, simple=0.7, hard=0.3)).tier == "small"
    assert route(replace(turn, simple=0.2, hard=0.3)).tier == "small", "too far from both: the rule"


def test_money_moves_the_line_but_not_what_is_being_arranged() -> None:
    hard = Turn("Why is the plan better than the other one?", has_tools=True)
    assert [route(replace(hard, budget=b)).tier for b in ("normal", "saving", "last")] == [
        "large",
        "small",
        "small",
    ]
    acting = Turn("I would like to book a table.", has_tools=True)
    assert [route(replace(acting, budget=b)).tier for b in ("normal", "saving", "last")] == [
        "large",
        "large",
        "small",
    ]
    assert route(Turn("Yes.", open_goal=True, budget="saving")).tier == "large"


def test_every_choice_says_why() -> None:
    for text in ("", "Hello", "Is there parking?", "x " * 100):
        assert route(Turn(text)).why
