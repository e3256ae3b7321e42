"""Goals over topic shifts: tables, every event in every state, and seeded random walks."""

from __future__ import annotations

import random
from itertools import product

import pytest

from repartee.conversation.intents import (
    MAX_GOALS,
    Dropped,
    GoalEvent,
    IntentRule,
    Refused,
    ReplyHeard,
    Returned,
    Shifted,
    Told,
    ToolDone,
    Tracker,
    Wanted,
    cue,
    intent_by_phrase,
    to_offer,
    track,
)

RULES = (
    IntentRule("book", ("book an appointment", "make an appointment"), ("name", "day"), "book_appointment"),
    IntentRule("cancel", ("cancel my appointment",), ("name",), "cancel_appointment"),
    IntentRule("hours", ("opening hours",)),
)
START = Tracker(RULES)


def after(*events: GoalEvent, start: Tracker = START) -> Tracker:
    tracker = start
    for event in events:
        tracker = track(tracker, event)
    return tracker


def standing(tracker: Tracker) -> list[tuple[str, str]]:
    return [(goal.intent, goal.status) for goal in tracker.goals.items]


BOOKING = after(Wanted(1, "book", {"name": "Ann"}))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((), []),
        ((Wanted(1, "book"),), [("book", "open")]),
        ((Wanted(1, "book"), Wanted(2, "book")), [("book", "open")]),
        ((Wanted(1, "nothing known"),), []),
        ((Wanted(1, "book"), Wanted(2, "cancel")), [("book", "waiting"), ("cancel", "open")]),
        ((Wanted(1, "book"), Shifted(2)), [("book", "waiting")]),
        ((Wanted(1, "book"), Shifted(2), Returned(3)), [("book", "open")]),
        ((Wanted(1, "book"), Shifted(2), Wanted(3, "book")), [("book", "open")]),
        ((Wanted(1, "book"), Shifted(2), Told(3, {"day": "friday"})), [("book", "open")]),
        ((Wanted(1, "book"), Shifted(2), Told(3, {"pet": "cat"})), [("book", "waiting")]),
        ((Wanted(1, "book"), Dropped(2)), [("book", "dropped")]),
        ((Wanted(1, "book"), Shifted(2), Dropped(3)), [("book", "waiting")]),
        ((Wanted(1, "book"), ToolDone("book_appointment")), [("book", "done")]),
        (
            (Wanted(1, "book"), ToolDone("book_appointment"), Wanted(2, "book")),
            [("book", "done"), ("book", "open")],
        ),
        ((Wanted(1, "book"), ToolDone("book_appointment"), Returned(2)), [("book", "done")]),
        ((Wanted(1, "hours"), ReplyHeard()), [("hours", "done")]),
        ((Wanted(1, "book"), ReplyHeard()), [("book", "open")]),
        ((Wanted(2, "book"), Dropped(1)), [("book", "open")]),
        ((ToolDone("book_appointment", {"name": "Ann"}),), [("book", "done")]),
        ((ToolDone("something"),), []),
        (
            (Wanted(1, "book"), Shifted(2), ReplyHeard(1), Returned(3)),
            [("book", "open")],
        ),
        ((Wanted(1, "book"), Shifted(2), ReplyHeard(1), Refused(3)), [("book", "dropped")]),
        ((Wanted(1, "book"), Shifted(2), ReplyHeard(1), Told(3), Refused(4)), [("book", "waiting")]),
        ((Wanted(1, "book"), Shifted(2), ReplyHeard(1), Dropped(3)), [("book", "dropped")]),
        ((Wanted(1, "book"), Refused(2)), [("book", "open")]),
        ((Wanted(1, "book"), Shifted(2), ReplyHeard(1, 2), Told(2), Refused(3)), [("book", "dropped")]),
    ],
)
def test_where_goals_stand(events: tuple[GoalEvent, ...], expected: list[tuple[str, str]]) -> None:
    assert standing(after(*events)) == expected


def test_slots_are_kept_over_a_shift_and_only_the_intent_s_own() -> None:
    tracker = after(Shifted(2), Told(3, {"day": "friday", "pet": "cat"}), start=BOOKING)
    goal = tracker.goals.open
    assert goal is not None
    assert goal.values == {"name": "Ann", "day": "friday"}
    assert goal.missing == ()


def test_a_return_is_offered_once_and_only_when_nothing_else_is_open() -> None:
    tracker = after(Wanted(2, "cancel"), start=BOOKING)
    assert to_offer(tracker) is None, "cancelling has the floor"
    tracker = track(tracker, ToolDone("cancel_appointment"))
    offered = to_offer(tracker)
    assert offered is not None
    assert offered.intent == "book"
    tracker = track(tracker, ReplyHeard(offered.goal_id))
    assert tracker.offering == offered.goal_id
    assert to_offer(tracker) is None
    tracker = after(Returned(3), Shifted(4), start=tracker)
    assert standing(tracker)[0] == ("book", "waiting")
    assert to_offer(tracker) is None, "once is enough"


def test_a_tool_that_is_done_twice_with_the_same_values_is_one_goal() -> None:
    tracker = after(
        ToolDone("cancel_appointment", {"name": "Ann"}), ToolDone("cancel_appointment", {"name": "Ann"})
    )
    assert standing(tracker) == [("cancel", "done")]
    assert len(track(tracker, ToolDone("cancel_appointment", {"name": "Bob"})).goals.items) == 2


EVENTS: list[GoalEvent] = [
    *(Wanted(9, rule.name, {"name": "Eve"}) for rule in RULES),
    Told(9),
    Told(9, {"day": "monday"}),
    Shifted(9),
    Returned(9),
    Returned(9, {"day": "monday"}),
    Refused(9),
    Dropped(9),
    *(ToolDone(tool, {"name": "Eve"}) for tool in ("book_appointment", "cancel_appointment", "other")),
    ReplyHeard(),
    ReplyHeard(1),
]


def check(before: Tracker, event: GoalEvent, now: Tracker) -> None:
    assert sum(goal.status == "open" for goal in now.goals.items) <= 1, "one goal at most has the floor"
    old = {goal.goal_id: goal for goal in before.goals.items}
    ids = [goal.goal_id for goal in now.goals.items]
    assert ids == sorted(set(ids))
    for goal in now.goals.items:
        rule = now.rule(goal.intent)
        assert rule is not None
        assert set(goal.values) | set(goal.missing) == set(rule.slots)
        assert not set(goal.values) & set(goal.missing)
        if (earlier := old.get(goal.goal_id)) is None:
            continue
        if earlier.status in ("done", "dropped"):
            assert goal.status == earlier.status, f"{event} reopened what was {earlier.status}"
        assert set(earlier.values) <= set(goal.values), f"{event} lost a slot"
        assert goal.offered or not earlier.offered
    lost = set(old) - set(ids)
    assert all(old[goal_id].status in ("done", "dropped") for goal_id in lost) or len(ids) >= MAX_GOALS


def test_every_pair_of_events_keeps_the_invariants() -> None:
    for pair in product(EVENTS, repeat=3):
        tracker = BOOKING
        for event in pair:
            now = track(tracker, event)
            check(tracker, event, now)
            tracker = now


@pytest.mark.parametrize("seed", range(40))
def test_random_walks_keep_the_invariants(seed: int) -> None:
    draw = random.Random(seed)
    tracker, turn, offered = START, 0, []
    for _ in range(400):
        event = draw.choice(EVENTS)
        if draw.random() < 0.3 and (goal := to_offer(tracker)):
            event = ReplyHeard(goal.goal_id)
            offered.append(goal.goal_id)
        if not isinstance(event, (ToolDone, ReplyHeard)):
            turn += draw.choice((0, 1, 1))
            event = type(event)(**{**{f: getattr(event, f) for f in event.__slots__}, "turn_id": turn})
        now = track(tracker, event)
        check(tracker, event, now)
        tracker = now
    assert len(offered) == len(set(offered)), "each return is offered once at most"
    assert len(tracker.goals.items) <= MAX_GOALS


@pytest.mark.parametrize(
    ("text", "language", "name"),
    [
        ("Wait, first tell me, is there parking?", "en", "shift"),
        ("Okay, back to the appointment", "en", "return"),
        ("Never mind", "en", "drop"),
        ("I would like to book an appointment", "en", None),
        ("Moment, vorher noch eine Frage", "de", "shift"),
        ("Zurück zum Termin", "de", "return"),
        ("Por cierto, ¿hay aparcamiento?", "es", "shift"),
    ],
)
def test_cues(text: str, language: str, name: str | None) -> None:
    assert cue(text, language) == name


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("I'd like to book an appointment, please.", "book"),
        ("Can I make an appointment?", "book"),
        ("I don't want to book an appointment", None),
        ("Please cancel my appointment", "cancel"),
        ("book an appointment and cancel my appointment", None),
        ("What are your opening hours?", "hours"),
        ("My name is Ann", None),
    ],
)
def test_phrases(text: str, intent: str | None) -> None:
    assert intent_by_phrase(text, RULES) == intent
