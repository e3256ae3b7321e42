"""Forms with a scripted model: the functions of each step, checked values, branches, and the tool at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from repartee.agent.forms import FormSlot
from repartee.conversation import Idle, Policies, Speaking, Speculating, UserTurn
from repartee.events import SpeechStarted
from repartee.session.forms import read_value
from tests.session.desk import Does, call_with, write
from tests.session.test_call import said
from tests.session.test_tools import of, turn

TOOLS = '''
from datetime import date
acted = []

@tool(side_effect=True, confirm="{name}, born on {born}. Shall I register you?")
def register(name: str, born: date, kind: str, card: str = "") -> str:
    """Register.

    Args:
        name: Who.
    """
    acted.append((name, born, kind, card))
    return f"{name} is registered."
'''
FORM = """forms:
  - name: register
    description: A new patient registers.
    tool: register
    resume: Shall we finish your registration?
    steps:
      - name: person
        ask: Your name and day of birth, please.
        slots:
          name: {type: name, ask: Your name}
          born: {type: date, ask: Your day of birth, error: That is no date}
      - name: insurance
        slots:
          kind: {type: choice, choices: [public, private], ask: Public or private}
        next: {slot: kind, cases: {private: card}, otherwise: end}
      - name: card
        slots:
          card: {type: text, ask: The number of your card, pattern: '[A-Z]\\d{3}'}
"""
START = Does(calls=[("start_register", {})])
PERSON = Does(calls=[("register_person", {"name": "Ann Hill", "born": "1980-05-03"})])
PUBLIC = Does(calls=[("register_insurance", {"kind": "Public"})])
SUBMIT = Does(calls=[("submit_register", {})])


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    return write(tmp_path, TOOLS, FORM)


async def test_a_form_is_filled_step_by_step_asked_about_and_done(agent: Path) -> None:
    ask = [Does("Your name and birthday?"), Does("Public or private?"), Does("Welcome.")]
    call, model, _ = call_with(agent, START, ask[0], PERSON, ask[1], PUBLIC, SUBMIT, ask[2])
    async with call:
        await turn(call, "I want to register", 1)
        await turn(call, "Ann Hill, third of May 1980", 2)
        await turn(call, "Public", 3)
        assert " ".join(call.voice.spoken).endswith(
            "Ann Hill, born on Saturday, May 3. Shall I register you?"
        )
        assert of(call).acted == []
        await turn(call, "Yes, please.", 4)
    assert [(name, str(born), kind) for name, born, kind, _ in of(call).acted] == [
        ("Ann Hill", "1980-05-03", "public")
    ]
    # What is offered changes with the step, also between the rounds of one reply.
    base = {"correct_register", "leave_register"}
    assert model.offered[0] == {"start_register"}
    assert model.offered[1] == {"register_person", "leave_register"}
    assert model.offered[3] == {"register_insurance", *base}
    assert model.offered[5] == {"submit_register", *base}
    assert model.offered[6] == {"start_register"}, "the form is over"
    assert "Ask now: Your name and day of birth, please." in str(model.asked[2][-1]["content"])
    assert call.agenda is not None
    assert [(goal.intent, goal.status) for goal in call.agenda.goals.items] == [("register", "done")]


async def test_a_branch_leads_another_way_and_what_is_not_valid_is_asked_again(agent: Path) -> None:
    call, model, _ = call_with(
        agent,
        START,
        Does(calls=[("register_person", {"name": "Ann Hill", "born": "the third"})]),
        Does("That is no date."),
        Does(calls=[("register_person", {"born": "1980-05-03"})]),
        Does(calls=[("register_insurance", {"kind": "private"})]),
        Does(calls=[("register_card", {"card": "77"})]),
        Does("That number is not right."),
        Does(calls=[("register_card", {"card": "A123"})]),
    )
    async with call:
        await turn(call, "I want to register, Ann Hill, born the third", 1)
        await turn(call, "Third of May 1980, private, card 77", 2)
        await turn(call, "A one two three", 3)
    told = [str(message["content"]) for message in model.asked[2] if message["role"] == "tool"]
    assert '"born": "That is no date"' in told[-1]
    assert any(
        "does not have the right form" in str(m["content"]) for m in model.asked[6] if m["role"] == "tool"
    )
    assert "Shall I register you?" in call.voice.spoken[-1]


async def test_a_correction_is_taken_and_confirmed_anew(agent: Path) -> None:
    correct = Does(calls=[("correct_register", {"name": "Anna Hill"})])
    call, _, _ = call_with(agent, START, PERSON, PUBLIC, correct, SUBMIT, Does("Welcome."))
    async with call:
        await turn(call, "Register Ann Hill, third of May 1980, public", 1)
        await turn(call, "Yes, but it is Anna", 2)
        assert of(call).acted == []
        assert any(text.startswith("Anna Hill, born on") for text in call.voice.spoken)
        await turn(call, "Yes.", 3)
    assert of(call).acted[0][0] == "Anna Hill"


async def test_what_a_held_reply_filled_is_forgotten_with_it(agent: Path) -> None:
    call, model, _ = call_with(
        agent, START, PERSON, Does("Public or private?"), Does("Sorry?"), policies=Policies()
    )
    async with call:
        said(call, "Register Ann", probability=0.8)
        await call.until(lambda: isinstance(call.state, Speculating))
        await call.until(lambda: call.gate.has_audio(1))
        call.happen(SpeechStarted(0, 2))
        await call.until(lambda: isinstance(call.state, UserTurn))
        said(call, "no, forget it", segment=2)
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert model.offered[2] == {"register_insurance", "correct_register", "leave_register"}
    assert model.offered[3] == {"start_register"}, "nothing was begun"
    assert "Form 'register'" not in str(model.asked[3])


async def test_leaving_keeps_what_is_known_for_the_return(agent: Path) -> None:
    leave = Does(calls=[("leave_register", {})])
    call, model, _ = call_with(agent, START, PERSON, leave, Does("Fine."), START, Does("Public or private?"))
    async with call:
        await turn(call, "Register Ann Hill, third of May 1980, no, leave that", 1)
        await turn(call, "Now go on with it", 2)
    assert model.offered[4] == {"start_register"}
    told = str([m for m in model.asked[5] if m["role"] == "tool"][-1]["content"])
    assert "Ann Hill" in told
    assert "Public or private" in told


async def test_a_function_of_another_step_is_refused(agent: Path) -> None:
    call, model, _ = call_with(agent, PUBLIC, START, PUBLIC, Does("Your name?"))
    async with call:
        await turn(call, "Public", 1)
    results = [str(m["content"]) for m in model.asked[3] if m["role"] == "tool"]
    assert "start_register begins it" in results[0]
    assert "the form stands at another step" in results[2]


@pytest.mark.parametrize(
    ("slot", "value", "read"),
    [
        ({"type": "date"}, "2031-03-04", "2031-03-04"),
        ({"type": "date"}, "2031-02-30", None),
        ({"type": "time"}, "9:30", None),
        ({"type": "time"}, "09:30:00", "09:30"),
        ({"type": "number", "minimum": 1, "maximum": 8}, 3, "3"),
        ({"type": "number", "minimum": 1, "maximum": 8}, "9", None),
        ({"type": "number"}, "many", None),
        ({"type": "phone"}, "+49 (30) 12 34 56", "+4930123456"),
        ({"type": "phone"}, "12", None),
        ({"type": "choice", "choices": ("red", "blue")}, "Red", "red"),
        ({"type": "choice", "choices": ("red", "blue")}, "green", None),
        ({"type": "text"}, "  two   words ", "two words"),
        ({"type": "text", "pattern": r"\d+"}, "12a", None),
    ],
)
def test_values(slot: dict[str, Any], value: Any, read: str | None) -> None:
    made = FormSlot(ask="What?", **slot)
    if read is None:
        with pytest.raises(ValueError, match=r"that is|it is|right form"):
            read_value(made, value)
    else:
        assert read_value(made, value) == read
