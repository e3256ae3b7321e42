"""Answers that cannot be made: said, counted, the last ends the call; what fails for nobody does not count."""

from __future__ import annotations

import pytest

from repartee.conversation import Conversation, Policies, Thinking, Turn, advance
from repartee.conversation.state import Away, Presence
from repartee.events import ReplyFailed, SpeakLine

ASKED = Turn(1, ((1, "when are you open"),))


@pytest.mark.parametrize(
    ("away", "before", "line", "after"),
    [
        ("here", 0, "trouble", 1),
        ("here", 1, "trouble_again", 2),
        ("here", 2, "hang_up", 3),
        ("away", 0, "trouble", 0),
        ("away", 1, "trouble", 1),
        ("away", 2, "trouble_again", 2),
    ],
)
def test_what_a_failed_answer_leads_to(away: Away, before: int, line: str, after: int) -> None:
    asked = Conversation(
        Thinking(5, ASKED), 1, 5, joined=True, troubles=before, presence=Presence(away, held_id=5)
    )
    now, commands = advance(asked, ReplyFailed(1000, 5), Policies())
    assert [command.line for command in commands if isinstance(command, SpeakLine)] == [line]
    assert now.troubles == after
    assert (now.farewell == "said") == (line == "hang_up")
