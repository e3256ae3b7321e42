"""What is done as the money runs out: the policy as a table, and the goodbye in the core."""

from __future__ import annotations

from decimal import Decimal

import pytest

from repartee.conversation import Conversation, Ended, Idle, Policies, Speaking, Thinking, UserTurn, advance
from repartee.conversation.budget import BudgetPolicy, BudgetState, Limits, Money
from repartee.events import (
    BudgetSpent,
    CallerJoined,
    CancelReply,
    Command,
    DeadlinePassed,
    EndCall,
    Event,
    LowerVoice,
    RememberUser,
    ReplyAudible,
    ReplyFailed,
    ReplyFinished,
    SpeakGreeting,
    SpeakLine,
    SpeechStarted,
    SpeechStopped,
    StartReply,
    TextTyped,
    TranscriptReceived,
    TurnScored,
)

CENT = Decimal("0.01")


@pytest.mark.parametrize(
    ("cents", "state", "shorter", "end"),
    [
        (0, "normal", False, False),
        (59, "normal", False, False),
        (60, "saving", False, False),
        (79, "saving", False, False),
        (80, "last", True, False),
        (99, "last", True, False),
        (100, "last", True, True),
        (250, "last", True, True),
    ],
)
def test_the_actions_come_in_order(cents: int, state: BudgetState, *, shorter: bool, end: bool) -> None:
    verdict = BudgetPolicy(Limits(call=Decimal(1))).judge(Money(call=cents * CENT))
    assert (verdict.state, verdict.shorter, verdict.end, verdict.over) == (state, shorter, end, end)
    assert verdict.tightest == "call"


@pytest.mark.parametrize(
    ("actions", "state", "shorter", "end"),
    [
        ({"cheaper"}, "saving", False, False),
        ({"shorter"}, "normal", True, False),
        ({"end"}, "normal", False, True),
        ({"shorter", "end"}, "normal", True, True),
        (set(), "normal", False, False),
    ],
)
def test_only_what_is_allowed_is_done(
    actions: set[str], state: BudgetState, *, shorter: bool, end: bool
) -> None:
    policy = BudgetPolicy(Limits(call=Decimal(1)), frozenset(actions))  # type: ignore[arg-type]
    verdict = policy.judge(Money(call=Decimal(2)))
    assert (verdict.state, verdict.shorter, verdict.end, verdict.over) == (state, shorter, end, True)


@pytest.mark.parametrize(
    ("limits", "spent", "tightest", "share"),
    [
        (Limits(), Money(Decimal(9), Decimal(9), Decimal(9)), None, "0"),
        (Limits(call=Decimal(1), day=Decimal(10)), Money(CENT * 50, Decimal(9)), "day", "0.9"),
        (
            Limits(call=Decimal(1), installation=Decimal(100)),
            Money(CENT * 50, Decimal(9), Decimal(20)),
            "call",
            "0.5",
        ),
        (Limits(installation=Decimal(100)), Money(CENT, CENT, Decimal(100)), "installation", "1"),
    ],
)
def test_the_tightest_limit_decides(limits: Limits, spent: Money, tightest: str | None, share: str) -> None:
    verdict = BudgetPolicy(limits).judge(spent)
    assert (verdict.tightest, verdict.share) == (tightest, Decimal(share))
    assert verdict.over == (verdict.share >= 1)


class Talk:
    """A conversation driven by events; keeps its commands."""

    def __init__(self) -> None:
        self.conversation, self.commands = Conversation(), list[Command]()

    def happen(self, *events: Event) -> list[Command]:
        new: list[Command] = []
        for event in events:
            self.conversation, commands = advance(self.conversation, event, Policies())
            new += commands
        self.commands += new
        return new


def greeted() -> Talk:
    talk = Talk()
    talk.happen(CallerJoined(0), ReplyAudible(10, 1))
    return talk


def lines(commands: list[Command]) -> list[str]:
    return [c.line for c in commands if isinstance(c, SpeakLine)]


def test_when_nobody_speaks_it_is_said_at_once_and_the_call_ends_after_it() -> None:
    talk = greeted()
    talk.happen(ReplyFinished(20, 1))
    assert lines(talk.happen(BudgetSpent(30))) == ["budget"]
    assert not any(isinstance(c, EndCall) for c in talk.commands)
    assert talk.happen(ReplyAudible(40, 2), ReplyFinished(50, 2))[-1] == EndCall("budget")
    assert talk.conversation.state == Ended("budget")


def test_a_reply_that_is_heard_is_finished_first() -> None:
    talk = greeted()
    assert talk.happen(BudgetSpent(15)) == []
    assert isinstance(talk.conversation.state, Speaking)
    assert lines(talk.happen(ReplyFinished(20, 1))) == ["budget"]


def test_a_caller_is_let_finish_and_is_told_instead_of_answered() -> None:
    talk = greeted()
    talk.happen(ReplyFinished(20, 1), SpeechStarted(30, 1), BudgetSpent(40))
    assert isinstance(talk.conversation.state, UserTurn)
    done = talk.happen(
        SpeechStopped(900, 1, 800, 700),
        TurnScored(950, 1, 0.99),
        TranscriptReceived(960, "one thing more", 1, 1),
    )
    done += talk.happen(DeadlinePassed(1200, "endpoint"))
    assert lines(done) == ["budget"]
    assert RememberUser(1, "one thing more") in done
    assert not any(isinstance(c, StartReply) for c in done), "nothing is spent on an answer any more"


def test_voice_over_the_goodbye_does_not_stop_it() -> None:
    talk = greeted()
    talk.happen(ReplyFinished(20, 1), BudgetSpent(30), ReplyAudible(40, 2))
    done = talk.happen(SpeechStarted(50, 1), TranscriptReceived(60, "but I have not finished", 1, 1))
    assert not any(isinstance(c, (LowerVoice, CancelReply)) for c in done)
    assert talk.happen(ReplyFinished(70, 2))[-1] == EndCall("budget")


def test_a_goodbye_that_cannot_be_said_ends_the_call_all_the_same() -> None:
    talk = greeted()
    talk.happen(ReplyFinished(20, 1), BudgetSpent(30))
    assert isinstance(talk.conversation.state, Thinking)
    assert SpeakLine(3, "budget", recorded=True) in talk.happen(ReplyFailed(40, 2))
    assert talk.happen(ReplyFailed(50, 3))[-1] == EndCall("budget")


def test_typing_over_the_goodbye_ends_the_call() -> None:
    talk = greeted()
    talk.happen(ReplyFinished(20, 1), BudgetSpent(30), ReplyAudible(40, 2))
    assert talk.happen(TextTyped(50, "wait"))[-1] == EndCall("budget")


def test_a_caller_who_comes_when_the_money_is_spent_hears_the_goodbye_and_no_greeting() -> None:
    talk = Talk()
    assert talk.happen(BudgetSpent(0)) == []
    assert talk.conversation.state == Idle()
    done = talk.happen(CallerJoined(10))
    assert lines(done) == ["budget"]
    assert not any(isinstance(c, SpeakGreeting) for c in done)
