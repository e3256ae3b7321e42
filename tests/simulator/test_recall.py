"""The simulated model's memory is its prompt: what is not in it is not known."""

from __future__ import annotations

import json

import pytest

from repartee.conversation.summaries import summary_request
from repartee.simulator.providers.recall import UNKNOWN, notes
from repartee.simulator.providers.replies import Replies

QUESTION = "Do you remember my order number?"


def ask(*said: str, question: str = QUESTION) -> str:
    messages = [{"role": "user", "content": text} for text in said]
    return Replies(None).answer([*messages, {"role": "user", "content": question}]).text


def test_a_fact_in_the_prompt_is_told_and_one_that_is_not_is_not() -> None:
    assert "48213" in ask("My order number is 48213.", "The boiler rattles.")
    assert ask("The boiler rattles.") == UNKNOWN


def test_the_newer_of_two_counts_and_a_question_is_no_answer() -> None:
    told = ask("My order number is 48213.", "My order number is 48231.", "What was my order number again?")
    assert "48231" in told


def test_it_finds_what_notes_hold() -> None:
    assert "48213" in ask("[Notes]\nNumbers: customer number: 77; order number: 48213")


def test_every_other_question_is_answered_as_ever() -> None:
    assert "You said" in ask(question="When are you open?")


@pytest.mark.parametrize("limit", [20, 40, 400])
def test_notes_are_made_of_what_is_given_within_their_limit(limit: int) -> None:
    lines = [f"User: The number {n} pump of the boiler drips again." for n in range(30)]
    lines.append("User: The neighbour complains about the scaffolding.")
    request = summary_request("It began well.", (), lines, limit * 3 // 2)
    answer = json.loads(notes(request))
    assert answer == json.loads(notes(request)), "the same text, the same notes"
    assert len(answer["summary"].split()) <= limit
    assert "scaffolding" in answer["summary"], "what is like nothing else stays"
    assert all(
        sentence in "\n".join(lines) + "It began well." for sentence in answer["summary"].split(". ")[:-1]
    )
