"""The agent hangs up: after its goodbye, and not on a caller who has something more to say."""

from __future__ import annotations

import random

import pytest

from repartee.conversation import Conversation, Ended, Idle, Policies, Speaking, Thinking, advance
from repartee.events import (
    BudgetSpent,
    Command,
    DeadlinePassed,
    EndCall,
    Event,
    HangUpWanted,
    ReplyAudible,
    ReplyFailed,
    ReplyFinished,
    SpeakLine,
    SpeechStarted,
    SpeechStopped,
    StartReply,
    TextTyped,
    TranscriptReceived,
)
from tests.conversation.model import Invariants
from tests.conversation.test_invariants import NEVER_GIVES_UP, _random_event


class Talk:
    """A call in which the agent says its goodbye, in reply 1."""

    def __init__(self) -> None:
        self.conversation = Conversation(joined=True)
        self.happen(TextTyped(0, "That was all, bye."), HangUpWanted(10), ReplyAudible(20, 1))

    def happen(self, *events: Event) -> list[Command]:
        new: list[Command] = []
        for event in events:
            self.conversation, commands = advance(self.conversation, event, Policies())
            new += commands
        return new

    @property
    def over(self) -> bool:
        return isinstance(self.conversation.state, Ended)


def test_the_call_ends_with_the_goodbye_and_nothing_after_it() -> None:
    talk = Talk()
    assert isinstance(talk.conversation.state, Speaking)
    commands = talk.happen(ReplyFinished(900, 1))
    assert EndCall("hung_up") in commands
    assert not [command for command in commands if isinstance(command, SpeakLine)]


def test_a_reply_without_a_word_ends_it_too() -> None:
    talk = Talk.__new__(Talk)
    talk.conversation = Conversation(joined=True)
    talk.happen(TextTyped(0, "Bye."), HangUpWanted(10))
    assert isinstance(talk.conversation.state, Thinking)
    assert EndCall("hung_up") in talk.happen(ReplyFinished(20, 1))


def test_who_speaks_into_the_goodbye_is_listened_to() -> None:
    talk = Talk()
    asked = talk.happen(
        SpeechStarted(100, 1),
        SpeechStopped(900, 1, 900, 800),
        TranscriptReceived(950, "Wait, one more question please.", 1, 1),
    )
    assert not talk.over
    assert not any(isinstance(command, EndCall) for command in asked)
    more = talk.happen(TextTyped(1000, "And where can I park?"))
    assert any(isinstance(command, StartReply) for command in more)
    talk.happen(ReplyAudible(1100, talk.conversation.last_reply_id))
    assert talk.happen(ReplyFinished(2000, talk.conversation.last_reply_id)) != []
    assert isinstance(talk.conversation.state, Idle), "it was called off, not put off"


def test_who_types_into_the_goodbye_is_answered() -> None:
    talk = Talk()
    assert any(isinstance(command, StartReply) for command in talk.happen(TextTyped(100, "One more thing.")))
    assert not talk.over


def test_an_acknowledgement_does_not_call_it_off() -> None:
    talk = Talk()
    talk.happen(
        SpeechStarted(100, 1), SpeechStopped(400, 1, 400, 300), TranscriptReceived(450, "Okay.", 1, 1)
    )
    assert isinstance(talk.conversation.state, Speaking)
    assert EndCall("hung_up") in talk.happen(ReplyFinished(900, 1))


def test_what_the_call_must_end_for_is_said_all_the_same() -> None:
    talk = Talk()
    talk.happen(BudgetSpent(30), HangUpWanted(40))
    commands = talk.happen(ReplyFinished(900, 1))
    assert [command.line for command in commands if isinstance(command, SpeakLine)] == ["budget"]


def test_a_goodbye_that_fails_is_no_reason_to_stay_on_the_line_for_ever() -> None:
    talk = Talk()
    for _ in range(20):
        if talk.over:
            break
        reply_id = talk.conversation.last_reply_id
        talk.happen(ReplyFailed(100, reply_id), ReplyFinished(110, talk.conversation.last_reply_id))
    assert talk.over


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_meanwhile_no_promise_is_broken(seed: int) -> None:
    rng = random.Random(seed)
    conversation, checker, now = Conversation(joined=True), Invariants(), 0.0
    for _ in range(400):
        now += rng.random() * 400
        event = _random_event(rng, now, conversation, checker.armed, hangs_up=True)
        if isinstance(event, DeadlinePassed):
            checker.deadline_passed(event.name)
        before = conversation
        conversation, commands = advance(before, event, NEVER_GIVES_UP)
        checker.step(before, event, conversation, commands)
        if isinstance(conversation.state, Ended):
            assert conversation.state.reason == "hung_up"
            return
