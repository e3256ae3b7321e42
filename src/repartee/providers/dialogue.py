"""What the agent says when no language model is there: answers by meaning, and slots filled one question at a time.

Pure. The state is not kept between replies but folded from what the user said, turn by turn, so a speculative
reply that is thrown away leaves no trace. What something else comes between waits, and the return to it is offered
once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from repartee.agent import Answer
from repartee.conversation.consent import verdict
from repartee.conversation.intents import cue
from repartee.providers.slots import read_slot, say_slot

Rank = Callable[[str], tuple[Answer | None, float]]
"""The answer nearest in meaning to a text, and how near: 0 to 1."""

MATCH = 0.48
TOPIC_SHIFT = 0.72
YES = re.compile(
    r"\b(yes|yeah|yep|sure|correct|right|please do|go ahead|ok|okay|of course|that's fine|absolutely|book it)\b",
    re.IGNORECASE,
)
NO = re.compile(r"\b(no|nope|not|don't|wrong|incorrect|wait)\b", re.IGNORECASE)
STOP = re.compile(r"\b(never ?mind|forget it|cancel that|stop|leave it|start over)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Say:
    """Say a text."""

    text: str


@dataclass(frozen=True, slots=True)
class Do:
    """Call a tool; the answer's `say` tells the result."""

    answer: Answer
    arguments: Mapping[str, str]
    then: str = ""
    """Said after the result: the offer to return to what waits."""


Action = Say | Do


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What is being arranged: the answer with a tool, the slots known, the one last asked for.

    Attributes:
        answer: What is arranged; None for nothing.
        values: The slots that are known.
        asked: The slot that was asked for last.
        confirming: The confirmation was read, and yes or no is waited for.
        failed: Its tool was called and failed: one slot may be changed, and it is tried again.
        waiting: What something else came between, newest first.
        offering: The return to the first of them has just been offered.
        offered: The return to this one has been offered.
    """

    answer: Answer | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    asked: str | None = None
    confirming: bool = False
    failed: bool = False
    waiting: tuple[Dialogue, ...] = ()
    offering: bool = False
    offered: bool = False


Resume = Callable[[Answer], str]
"""What is said to offer the return to something."""


def default_resume(answer: Answer) -> str:
    """Offer the return to anything."""
    del answer
    return "Shall we go on where we were?"


def step(
    state: Dialogue,
    text: str,
    rank: Rank,
    today: datetime,
    fallback: str,
    resume: Resume = default_resume,
) -> tuple[Dialogue, Action]:
    """Take one turn of the user; return the new state and what to do."""
    found, nearness = rank(text)
    answer = found if nearness >= MATCH else None
    shift_at = MATCH if cue(text) == "shift" else TOPIC_SHIFT
    turn = _Turn(text, answer, answer if nearness >= shift_at else None, today, fallback, resume)
    if state.failed:
        changed = _fill(replace(state, values={}), text, today, strict=True)
        if changed:
            return _advance(replace(state, values={**state.values, **changed}, failed=False), turn)
        state = Dialogue(waiting=state.waiting)
    if state.answer is None:
        return _nothing_open(state, turn)
    if STOP.search(text):
        return _offering(
            Dialogue(waiting=state.waiting), "All right, I leave it.", turn, " What else can I do for you?"
        )
    if state.confirming:
        return _confirmed(state, turn)
    shifts = cue(text) == "shift"
    if shifts and (other := _another(state, turn)) is not None:
        return other
    values = _fill(state, text, today, strict=shifts)  # "Wait" is no name
    if values != dict(state.values):
        return _advance(replace(state, values=values), turn)
    if (other := _another(state, turn)) is not None:
        return other
    return state, Say(f"Sorry, I did not get that. {_question(state, today)}")


def after_failure(before: Dialogue, done: Do) -> Dialogue:
    """Return the state when a tool has failed: nothing that was said is lost, and a slot may be changed."""
    return Dialogue(done.answer, dict(done.arguments), failed=True, waiting=before.waiting)


@dataclass(frozen=True, slots=True)
class _Turn:
    text: str
    answer: Answer | None
    """The answer the text is about."""
    shift: Answer | None
    """The same, if it is sure enough to leave what is being arranged for it."""
    today: datetime
    fallback: str
    resume: Resume


def _nothing_open(state: Dialogue, turn: _Turn) -> tuple[Dialogue, Action]:
    waiting = state.waiting
    if waiting:
        said = verdict(turn.text) if state.offering else "unclear"
        if said == "no":
            return _offering(
                Dialogue(waiting=waiting[1:]), "All right.", turn, " What else can I do for you?"
            )
        values = _fill(waiting[0], turn.text, turn.today)
        told = values != dict(waiting[0].values) and (turn.answer is None or turn.answer is waiting[0].answer)
        if said == "yes" or told or cue(turn.text) == "return":
            return _advance(replace(waiting[0], values=values, waiting=waiting[1:], confirming=False), turn)
    state = replace(state, offering=False)
    answer = turn.answer
    if answer is None:
        return state, Say(turn.fallback)
    if answer.do is None:
        return _offering(state, answer.say or turn.fallback, turn)
    same = next((held for held in waiting if held.answer is answer), None)
    if same is not None:
        left = tuple(held for held in waiting if held is not same)
        return _advance(replace(same, values=_fill(same, turn.text, turn.today), waiting=left), turn)
    fresh = Dialogue(answer, waiting=waiting)
    return _advance(replace(fresh, values=_fill(fresh, turn.text, turn.today)), turn)


def _another(state: Dialogue, turn: _Turn) -> tuple[Dialogue, Action] | None:
    """Something else comes between: a question is answered at once, another arrangement has the floor first."""
    answer = turn.shift
    if answer is None or state.answer is None or answer.id == state.answer.id:
        return None
    if answer.do is None:
        # A question in between is answered, and the question that was open is asked again.
        return state, Say(f"{answer.say} {_question(state, turn.today)}")
    aside = replace(state, waiting=(), offering=False)
    return _nothing_open(Dialogue(waiting=(aside, *state.waiting)), replace(turn, answer=answer))


def _offering(state: Dialogue, text: str, turn: _Turn, otherwise: str = "") -> tuple[Dialogue, Action]:
    """Say a text, and with it offer the return to what waits, if it was not offered before."""
    state, offer = _offer(state, turn)
    return state, Say(f"{text} {offer}".strip() if offer else f"{text}{otherwise}")


def _offer(state: Dialogue, turn: _Turn) -> tuple[Dialogue, str]:
    waiting = state.waiting
    if not waiting or waiting[0].offered or waiting[0].answer is None:
        return state, ""
    marked = (replace(waiting[0], offered=True), *waiting[1:])
    return replace(state, waiting=marked, offering=True), turn.resume(waiting[0].answer)


def _advance(state: Dialogue, turn: _Turn) -> tuple[Dialogue, Action]:
    """Ask for the first thing still missing, then for the confirmation, then act."""
    answer = state.answer
    assert answer is not None  # noqa: S101 - callers hold one
    for name, slot in answer.slots.items():
        if name not in state.values:
            return replace(state, asked=name, confirming=False), Say(slot.ask)
    if answer.confirm and not state.confirming:
        asking = replace(state, asked=None, confirming=True)
        return asking, Say(_question(asking, turn.today))
    return _done(state, turn)


def _done(state: Dialogue, turn: _Turn) -> tuple[Dialogue, Action]:
    assert state.answer is not None  # noqa: S101 - callers hold one
    after, offer = _offer(Dialogue(waiting=state.waiting), turn)
    return after, Do(state.answer, dict(state.values), offer)


def _confirmed(state: Dialogue, turn: _Turn) -> tuple[Dialogue, Action]:
    changed = _fill(replace(state, values={}), turn.text, turn.today, strict=True)
    if changed:
        return _advance(replace(state, values={**state.values, **changed}, confirming=False), turn)
    if (other := _another(state, turn)) is not None:
        return other
    if NO.search(turn.text):
        left = Dialogue(waiting=state.waiting)
        return _offering(left, "Then I won't.", turn, " What would you like instead?")
    if YES.search(turn.text):
        return _done(state, turn)
    return state, Say("Sorry, was that a yes or a no?")


def _question(state: Dialogue, today: datetime) -> str:
    """The question that is open."""
    answer = state.answer
    assert answer is not None  # noqa: S101 - callers hold one
    if state.confirming and answer.confirm:
        spoken = {name: say_slot(answer.slots[name], value, today) for name, value in state.values.items()}
        return answer.confirm.format(**spoken)
    return answer.slots[state.asked].ask if state.asked else ""


def _fill(state: Dialogue, text: str, today: datetime, *, strict: bool = False) -> dict[str, str]:
    """Find values for the missing slots; the slot that was asked for may be answered bare."""
    assert state.answer is not None  # noqa: S101 - callers hold one
    values = dict(state.values)
    for name, slot in state.answer.slots.items():
        if name in values:
            continue
        value = read_slot(slot, text, today, asked=name == state.asked and not strict)
        if value is not None:
            values[name] = value
    return values


def user_texts(messages: Sequence[Mapping[str, object]]) -> list[str]:
    """The user's turns of a chat context, in order."""
    return [
        str(m["content"]) for m in messages if m.get("role") == "user" and isinstance(m.get("content"), str)
    ]
