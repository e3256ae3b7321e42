"""The goals of a call: `track(tracker, event)` keeps them over topic shifts. Pure and total.

A goal is open (it has the floor), waiting (something else came between), done or dropped. At most one is open. Done
and dropped are final: who wants the same again has a new goal. What is known of a goal's slots is only ever added to
or replaced. A waiting goal is offered once, when nothing else is open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, assert_never

from repartee.conversation.policies import words
from repartee.goals import NO_GOALS, Goal, Goals

MAX_GOALS = 64
"""Kept per call; beyond it the oldest that are over are forgotten."""
CueName = Literal["shift", "return", "drop"]


@dataclass(frozen=True, slots=True)
class IntentRule:
    """What the tracker must know of an intent.

    Attributes:
        name: Its name.
        phrases: Words that say it for sure.
        slots: The names of what must be known.
        tool: The tool that completes it; None for a question, which is done when it has been answered.
    """

    name: str
    phrases: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    tool: str | None = None


# --- events -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """The caller asked for an intent."""

    turn_id: int
    intent: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """A turn that names no intent; `values` are what it says of the slots."""

    turn_id: int
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shifted:
    """Something else comes first: "wait, before that ...", or a question about another thing."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class Returned:
    """Back to what was interrupted: by a cue, or by a yes to the offer."""

    turn_id: int
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """The offer to return was answered with no."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """ "Never mind." """

    turn_id: int


@dataclass(frozen=True, slots=True)
class ToolDone:
    """A tool has succeeded."""

    tool: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplyHeard:
    """The agent's reply to a turn was heard; `offered` is the goal whose return it offered."""

    offered: int | None = None
    turn_id: int = 0


GoalEvent: TypeAlias = Wanted | Told | Shifted | Returned | Refused | Dropped | ToolDone | ReplyHeard


# --- the tracker --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tracker:
    """The goals so far, and what intents there are."""

    rules: tuple[IntentRule, ...] = ()
    goals: Goals = NO_GOALS
    last_goal_id: int = 0
    turn_id: int = 0
    """The newest turn that was read; what is learned of an older one comes too late to move the floor."""
    offering: int | None = None
    """The goal whose return was offered last, until the caller has answered."""
    offered_turn: int = 0
    """The turn in whose reply that was: what is learned of that turn afterwards is no answer."""

    def rule(self, intent: str) -> IntentRule | None:
        """Return an intent's rule."""
        return next((rule for rule in self.rules if rule.name == intent), None)


def track(tracker: Tracker, event: GoalEvent) -> Tracker:  # noqa: PLR0911 - a line an event
    """Take one event and return what the goals become."""
    offering = None
    if not isinstance(event, (ToolDone, ReplyHeard)):
        if event.turn_id < tracker.turn_id:
            return tracker
        tracker, offering = _in_turn(tracker, event.turn_id)
    match event:
        case Wanted(_, intent, values):
            return _want(tracker, intent, values)
        case Told(_, values):
            return _tell(tracker, values)
        case Shifted():
            return _with(tracker, *_set_aside(tracker))
        case Returned(_, values):
            goal = _goal(tracker, offering) or next(iter(tracker.goals.waiting), None)
            if goal is None or goal.status != "waiting":
                return _tell(tracker, values)
            return _take_up(tracker, goal, values)
        case Refused():
            goal = _goal(tracker, offering)
            refused = goal is not None and goal.status == "waiting"
            return _with(tracker, replace(goal, status="dropped")) if goal and refused else tracker
        case Dropped():
            goal = tracker.goals.open or _goal(tracker, offering)
            over = goal is None or goal.status not in ("open", "waiting")
            return tracker if goal is None or over else _with(tracker, replace(goal, status="dropped"))
        case ToolDone(tool, values):
            return _tool_done(tracker, tool, values)
        case ReplyHeard(offered, turn_id):
            return _reply_heard(tracker, offered, turn_id)
        case _:
            assert_never(event)


def _in_turn(tracker: Tracker, turn_id: int) -> tuple[Tracker, int | None]:
    """Come to a turn; return the goal whose offer it answers. An offer stands for one turn."""
    tracker = replace(tracker, turn_id=turn_id)
    if turn_id <= tracker.offered_turn:
        return tracker, None
    return replace(tracker, offering=None), tracker.offering


def to_offer(tracker: Tracker) -> Goal | None:
    """Return the goal whose return may be offered now: nothing else is open, and it was not offered before."""
    if tracker.goals.open is not None:
        return None
    return next(
        (goal for goal in tracker.goals.waiting if not goal.offered and tracker.rule(goal.intent)), None
    )


def _want(tracker: Tracker, intent: str, values: Mapping[str, str]) -> Tracker:
    rule = tracker.rule(intent)
    if rule is None:
        return tracker
    goal = next((g for g in reversed(tracker.goals.unfinished) if g.intent == intent), None)
    if goal is None:
        goal, tracker = _new(tracker, rule, "waiting")
    return _take_up(tracker, goal, values)


def _tell(tracker: Tracker, values: Mapping[str, str]) -> Tracker:
    if goal := tracker.goals.open:
        return _with(tracker, _filled(tracker, goal, values))
    for goal in tracker.goals.waiting:
        # Who answers the question that was open has come back to it, without saying so.
        if any(name in goal.missing for name in values):
            return _take_up(tracker, goal, values)
    return tracker


def _take_up(tracker: Tracker, goal: Goal, values: Mapping[str, str]) -> Tracker:
    """Give a goal the floor; another that has it waits."""
    aside = [other for other in _set_aside(tracker) if other.goal_id != goal.goal_id]
    return _with(tracker, *aside, replace(_filled(tracker, goal, values), status="open"))


def _set_aside(tracker: Tracker) -> list[Goal]:
    return [replace(goal, status="waiting") for goal in tracker.goals.items if goal.status == "open"]


def _tool_done(tracker: Tracker, tool: str, values: Mapping[str, str]) -> Tracker:
    for goal in sorted(tracker.goals.unfinished, key=lambda g: (g.status == "open", g.goal_id), reverse=True):
        rule = tracker.rule(goal.intent)
        if rule is not None and rule.tool == tool:
            return _with(tracker, replace(_filled(tracker, goal, values), status="done"))
    rule = next((rule for rule in tracker.rules if rule.tool == tool), None)
    if rule is None:
        return tracker
    known = {name: value for name, value in values.items() if name in rule.slots}
    if any(g.intent == rule.name and g.status == "done" and g.values == known for g in tracker.goals.items):
        return tracker  # told twice
    goal, tracker = _new(tracker, rule, "done")
    return _with(tracker, _filled(tracker, goal, values))


def _reply_heard(tracker: Tracker, offered: int | None, turn_id: int) -> Tracker:
    goal = tracker.goals.open
    rule = tracker.rule(goal.intent) if goal is not None else None
    if goal is not None and rule is not None and rule.tool is None and not goal.missing:
        tracker = _with(tracker, replace(goal, status="done"))
    waiting = _goal(tracker, offered)
    if waiting is None or waiting.status != "waiting" or waiting.offered:
        return tracker
    tracker = _with(tracker, replace(waiting, offered=True))
    return replace(tracker, offering=waiting.goal_id, offered_turn=turn_id)


def _new(tracker: Tracker, rule: IntentRule, status: Literal["waiting", "done"]) -> tuple[Goal, Tracker]:
    goal = Goal(tracker.last_goal_id + 1, rule.name, status, missing=rule.slots)
    items = [*tracker.goals.items, goal]
    while len(items) > MAX_GOALS:
        over = next((g for g in items if g.status in ("done", "dropped")), items[0])
        items.remove(over)
    return goal, replace(tracker, goals=Goals(tuple(items)), last_goal_id=goal.goal_id)


def _filled(tracker: Tracker, goal: Goal, values: Mapping[str, str]) -> Goal:
    rule = tracker.rule(goal.intent)
    if rule is None:
        return goal  # another agent's: what it needs is theirs to know
    slots = rule.slots
    known = {**goal.values, **{name: value for name, value in values.items() if name in slots and value}}
    return replace(goal, values=known, missing=tuple(name for name in slots if name not in known))


def _goal(tracker: Tracker, goal_id: int | None) -> Goal | None:
    return next((goal for goal in tracker.goals.items if goal.goal_id == goal_id), None)


def _with(tracker: Tracker, *changed: Goal) -> Tracker:
    by_id = {goal.goal_id: goal for goal in changed}
    items = tuple(by_id.get(goal.goal_id, goal) for goal in tracker.goals.items)
    return replace(tracker, goals=Goals(items))


# --- reading by rules ---------------------------------------------------------------------------------------

_CUES: dict[str, dict[CueName, re.Pattern[str]]] = {
    "en": {
        "drop": re.compile(
            r"\b(never ?mind|forget (?:it|about it|that)|leave it|drop it|cancel that|start over)\b"
        ),
        "return": re.compile(
            r"\b(back to|where were we|as i was saying|let'?s (?:continue|go on)|go on with|continue with"
            r"|carry on with)\b"
        ),
        "shift": re.compile(
            r"\b(wait|hold on|hang on|first tell me|before that|before we|by the way"
            r"|one (?:more|other|quick) question|quick question|another question|something else)\b"
        ),
    },
    "de": {
        "drop": re.compile(r"\b(vergessen sie(?: es| das)?|egal|lassen wir das|lassen sie es|von vorne)\b"),
        "return": re.compile(r"\b(zurück zu\w*|wo waren wir|machen wir weiter|weiter mit)\b"),
        "shift": re.compile(
            r"\b(warten sie|moment(?: mal)?|vorher noch|zuerst|übrigens|noch eine frage|andere frage|etwas anderes)\b"
        ),
    },
    "es": {
        "drop": re.compile(r"\b(olvídelo|déjelo|no importa|da igual)\b"),
        "return": re.compile(r"\b(volvamos a|volviendo a|dónde estábamos|sigamos con|continuemos)\b"),
        "shift": re.compile(
            r"\b(espere?|un momento|antes de eso|primero|por cierto|una pregunta(?: más)?|otra cosa|otra pregunta)\b"
        ),
    },
}
_NEGATION = frozenset(
    [
        "not",
        "no",
        "don't",
        "dont",
        "never",
        "without",
        "nicht",
        "kein",
        "keine",
        "keinen",
        "no",
        "nunca",
        "sin",
    ]
)
NEGATION_REACH = 4
"""Words before a phrase in which a "not" turns it round."""


def cue(text: str, language: str = "en") -> CueName | None:
    """Return what the words say about the topic itself: another first, back, or none of it."""
    cues = _CUES.get(language.split("-", maxsplit=1)[0].lower(), _CUES["en"])
    low = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return next((name for name, pattern in cues.items() if pattern.search(low)), None)


def intent_by_phrase(text: str, rules: tuple[IntentRule, ...]) -> str | None:
    """Return the intent one of whose phrases is said; None where none is, where two are, or where it is denied."""
    said = words(text)
    best: dict[str, int] = {}
    for rule in rules:
        for phrase in rule.phrases:
            wanted = words(phrase)
            at = _find(said, wanted)
            if at is None or _NEGATION.intersection(said[max(0, at - NEGATION_REACH) : at]):
                continue
            best[rule.name] = max(best.get(rule.name, 0), len(wanted))
    if not best:
        return None
    longest = max(best.values())
    named = [name for name, length in best.items() if length == longest]
    return named[0] if len(named) == 1 else None


def _find(said: list[str], wanted: list[str]) -> int | None:
    if not wanted:
        return None
    length = len(wanted)
    return next((at for at in range(len(said) - length + 1) if said[at : at + length] == wanted), None)
