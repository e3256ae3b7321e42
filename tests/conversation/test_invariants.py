"""Whatever happens, in whatever order: every state takes every event, and the invariants hold."""

from __future__ import annotations

import itertools
import random
import time
from typing import get_args

import pytest

from repartee.conversation import (
    Conversation,
    Ended,
    Idle,
    Patience,
    Policies,
    Speaking,
    Speculating,
    Speculation,
    Thinking,
    Turn,
    UserTurn,
    Yielding,
    advance,
)
from repartee.conversation.state import Farewell, Leaving
from repartee.events import (
    AsideSaid,
    BudgetSpent,
    CallEnded,
    CallerJoined,
    CallerLost,
    CallerReturned,
    CallerUnheard,
    DeadlineName,
    DeadlinePassed,
    Event,
    HangUpWanted,
    HelpLost,
    ReplyAudible,
    ReplyFailed,
    ReplyFinished,
    ReplyWorded,
    SpeakLine,
    SpeechStarted,
    SpeechStopped,
    StartReply,
    TextTyped,
    ToolStarted,
    TranscriptReceived,
    TurnScored,
    WordsGuessed,
)
from tests.conversation.model import Invariants

POLICIES = Policies(patience=Patience(silence_asks=1_000_000))
"""A caller who is never let go: a walk that ends early finds nothing."""
NEVER_GIVES_UP = Policies(patience=Patience(silence_asks=1_000_000, troubles_max=1_000_000))
HEARS_ITSELF = Policies(patience=Patience(silence_asks=1_000_000), speculation=Speculation(by_sound=True))
"""The model hears the sound: replies are begun before words are known."""
HELLO = ((1, "hello"),)
SPEAKING = Turn(1, HELLO, voice=True, segment_id=3, known_id=2)
PAUSED = Turn(1, HELLO, segment_id=3, known_id=3, silent_since_ms=900, probability=0.9)
WAITING = Turn(1, segment_id=3, known_id=2, silent_since_ms=900)
GUESSED = Turn(1, guess="hello", guess_id=3, segment_id=3, known_id=2, silent_since_ms=900, probability=0.9)
STATES = (
    Idle(),
    UserTurn(SPEAKING),
    UserTurn(PAUSED),
    UserTurn(WAITING),
    Speculating(PAUSED, 5, "hello"),
    Speculating(GUESSED, 5, "hello", voiced=True),
    Thinking(5, PAUSED),
    Thinking(5, PAUSED, asides=1, aside_at_ms=900),
    Thinking(5, PAUSED, asides=2),
    Thinking(5, None, is_line=True),
    Thinking(5, PAUSED, is_line=True),
    Thinking(5, PAUSED, is_line=True, line="trouble"),
    Thinking(5, None, is_line=True, line="hang_up", recorded=True),
    Speaking(5),
    Speaking(5, noise=SPEAKING),
    Yielding(5, SPEAKING),
    Yielding(5, SPEAKING, asked=True),
    Yielding(5, Turn(1, voice=True, segment_id=3), waiting=Thinking(5, None, is_line=True)),
    Yielding(5, SPEAKING, waiting=Thinking(5, PAUSED, asides=1)),
    Yielding(5, WAITING, waiting=Thinking(5, PAUSED, asides=2)),
    Yielding(5, WAITING),
    Ended("caller_left"),
)
EVENTS: tuple[Event, ...] = (
    CallerJoined(1000),
    SpeechStarted(1000, 4),
    SpeechStopped(1000, 3, 800, 500),
    SpeechStopped(1000, 2, 800, 500),
    TurnScored(1000, 3, 0.95),
    TurnScored(1000, 3, 0.05),
    TurnScored(1000, 2, 0.95),
    TranscriptReceived(1000, "book me in for tuesday", 2, 3),
    TranscriptReceived(1000, "hello", 1, 3),
    TranscriptReceived(1000, "mm-hm", 2, 3),
    TranscriptReceived(1000, "mm-hm", 2, 2),
    TranscriptReceived(1000, "", 2, 3),
    WordsGuessed(1000, "hello"),
    WordsGuessed(1000, "and then"),
    WordsGuessed(1000, ""),
    TextTyped(1000, "hello"),
    TextTyped(1000, "  "),
    ReplyWorded(1000, 5),
    ReplyWorded(1000, 4),
    ToolStarted(1000, 5, 9000),
    ToolStarted(1000, 4, 9000),
    AsideSaid(1000, 5),
    AsideSaid(1000, 4),
    ReplyAudible(1000, 5),
    ReplyAudible(1000, 4),
    ReplyFinished(1000, 5),
    ReplyFinished(1000, 4),
    ReplyFailed(1000, 5),
    ReplyFailed(1000, 4),
    *(DeadlinePassed(1000, name) for name in get_args(DeadlineName)),
    BudgetSpent(1000),
    HelpLost(1000),
    HangUpWanted(1000),
    CallerLost(1000, 900),
    CallerLost(1000, 100, revived_id=5),
    CallerReturned(1000),
    CallerUnheard(1000),
    CallEnded(1000, "caller_left"),
)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(STATES, EVENTS)))
@pytest.mark.parametrize("farewell", get_args(Farewell))
@pytest.mark.parametrize("leaving", get_args(Leaving))
def test_every_state_takes_every_event(
    state: object, event: Event, farewell: Farewell, leaving: Leaving
) -> None:
    for opening, takes_over in (("none", False), ("greeting", False), ("none", True), ("again", True)):
        before = Conversation(
            state,  # type: ignore[arg-type]
            last_turn_id=1,
            last_reply_id=5,
            joined=True,
            farewell=farewell,
            leaving=leaving,
            troubles=2 if leaving == "trouble" else 0,
            takes_over=takes_over,
            opening=opening,  # type: ignore[arg-type]
            came_at_ms=500.0 if takes_over else float("-inf"),
        )
        after, commands = advance(before, event, POLICIES)
        again = advance(before, event, POLICIES)
        assert again == (after, commands), "advance must be a function"
        if isinstance(state, Ended):
            assert (after, commands) == (before, ())
        if isinstance(after.state, Idle) and farewell == after.farewell == "none":
            assert after.opening == "none", "nobody speaks: what is to be said first is said"


TEXTS = ("", "yes", "mm-hm okay", "please book me in", "no and", "five five")


def _random_event(
    rng: random.Random,
    now: float,
    conversation: Conversation,
    armed: dict[str, float],
    index: int = 0,
    *,
    hangs_up: bool = False,
) -> Event:
    reply_id = max(0, conversation.last_reply_id - rng.choice((0, 0, 0, 0, 1, 2)))
    segment = rng.randint(1, 6)
    options: list[Event] = [
        SpeechStarted(now, segment),
        SpeechStopped(now, segment, now - 200, rng.choice((100.0, 900.0))),
        TurnScored(now, segment, rng.random()),
        TranscriptReceived(now, rng.choice(TEXTS), rng.randint(1, 4) + index // 40, segment),
        WordsGuessed(now, rng.choice(TEXTS)),
        TextTyped(now, rng.choice(("", "typed words"))),
        ReplyWorded(now, reply_id),
        ToolStarted(now, reply_id, now + rng.choice((500.0, 20_000.0))),
        AsideSaid(now, reply_id),
        ReplyAudible(now, reply_id),
        ReplyFinished(now, reply_id, rng.choice(("nothing", "digits"))),
        ReplyFailed(now, reply_id),
        CallerJoined(now),
        CallerUnheard(now),
        CallerReturned(now),
        CallerReturned(now),
        *([HangUpWanted(now)] if hangs_up else []),
        CallerLost(
            now, now - rng.choice((100, 2500)), rng.choice((None, conversation.last_reply_id or None))
        ),
    ]
    # These two end the call.
    due = [name for name in armed if name not in {"call", "absent"}]
    if due:
        options += [DeadlinePassed(now, rng.choice(due))] * 4  # type: ignore[arg-type]
    return rng.choice(options)


ENDINGS: dict[str, tuple[type[BudgetSpent] | type[HelpLost], str]] = {
    "budget": (BudgetSpent, "budget"),
    "trouble": (HelpLost, "hang_up"),
}


@pytest.mark.parametrize("why", ENDINGS)
@pytest.mark.parametrize("seed", range(30))
def test_a_call_that_must_end_does_whatever_happens(seed: int, why: str) -> None:
    """From anywhere: the goodbye is said at most once, no reply is begun after it, and deadlines lead to the end."""
    happened, line = ENDINGS[why]
    rng = random.Random(2000 + seed)
    conversation, checker, now = Conversation(joined=True), Invariants(), 0.0
    lines = 0
    for index in range(600):
        now += rng.random() * 400
        event: Event = happened(now) if index == 200 else _random_event(rng, now, conversation, checker.armed)
        if isinstance(event, DeadlinePassed):
            checker.deadline_passed(event.name)
        before = conversation
        conversation, commands = advance(before, event, NEVER_GIVES_UP)
        checker.step(before, event, conversation, commands)
        said = [c for c in commands if isinstance(c, SpeakLine) and c.line == line]
        lines += sum(not c.recorded for c in said)
        if before.farewell == "said":
            assert not any(isinstance(c, StartReply) for c in commands)
            assert all(c.recorded for c in said), "only its recording may follow a goodbye that failed"
    assert isinstance(conversation.state, Ended)
    assert conversation.state.reason == why
    assert lines == 1


@pytest.mark.parametrize("seed", range(8))
def test_random_walks_keep_every_invariant(seed: int) -> None:
    rng = random.Random(seed)
    policies = (POLICIES, NEVER_GIVES_UP, HEARS_ITSELF)[seed % 3]
    steps = 0
    while steps < 25_000:
        conversation, checker, now = Conversation(takes_over=seed % 2 == 1), Invariants(), 0.0
        length = rng.randint(50, 3000)
        for index in range(length):
            now += rng.random() * 400
            event: Event = (
                CallEnded(now, "caller_left")
                if index == length - 2
                else _random_event(rng, now, conversation, checker.armed, index)
            )
            if isinstance(event, DeadlinePassed):
                checker.deadline_passed(event.name)
            before = conversation
            conversation, commands = advance(before, event, policies)
            try:
                checker.step(before, event, conversation, commands)
            except AssertionError as broken:
                raise AssertionError(f"{broken}\n{before}\n{event}\n{commands}\n{conversation}") from broken
        assert isinstance(conversation.state, Ended)
        steps += length


@pytest.mark.parametrize("seed", range(20))
def test_no_call_is_ever_wedged(seed: int) -> None:
    """From anywhere, if the user falls silent and providers answer nothing, deadlines alone lead back to idle."""
    rng = random.Random(1000 + seed)
    conversation, checker, now = Conversation(takes_over=seed % 2 == 1), Invariants(), 0.0
    for _ in range(500):
        now += rng.random() * 400
        event = _random_event(rng, now, conversation, checker.armed)
        if isinstance(event, DeadlinePassed):
            checker.deadline_passed(event.name)
        checker.revive(conversation, event)
        conversation, commands = advance(conversation, event, NEVER_GIVES_UP)
        if isinstance(event, ReplyFinished) and checker.live == event.reply_id and not checker.held:
            checker.live = None
        for command in commands:
            checker._command(command)
    state = conversation.state
    if isinstance(state, (UserTurn, Yielding)) and state.turn.voice:
        conversation, commands = advance(
            conversation, SpeechStopped(now, state.turn.segment_id, now, 500), POLICIES
        )
        for command in commands:
            checker._command(command)
    for _ in range(20):
        due = {name: at for name, at in checker.armed.items() if name not in {"call", "silence"}}
        if not due:
            break
        name = min(due, key=lambda key: due[key])
        now = max(now, due[name])
        checker.deadline_passed(name)
        conversation, commands = advance(conversation, DeadlinePassed(now, name), NEVER_GIVES_UP)  # type: ignore[arg-type]
        for command in commands:
            checker._command(command)
    assert isinstance(conversation.state, (Idle, Speaking, Ended)), conversation.state


def test_advance_takes_microseconds() -> None:
    """Not a timing test of the machine: an order of magnitude above what it needs, to catch an accident."""
    rng = random.Random(7)
    conversation = Conversation()
    events = [_random_event(rng, float(i), Conversation(last_reply_id=i // 50), {}) for i in range(20_000)]
    started = time.perf_counter()
    for event in events:
        conversation, _ = advance(conversation, event, POLICIES)
    assert (time.perf_counter() - started) / len(events) < 200e-6
