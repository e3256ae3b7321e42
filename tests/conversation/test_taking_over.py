"""What an agent that takes a call over says first: whatever the caller does as it comes, they hear of it."""

from __future__ import annotations

import pytest

from repartee.conversation import Conversation, Idle
from repartee.events import (
    CallerJoined,
    ReplyAudible,
    SpeakGreeting,
    SpeakLine,
    SpeechStarted,
    SpeechStopped,
    StartReply,
    TextTyped,
)
from tests.conversation.test_calls import SURE, VirtualCall

SPOKE_MS = 1000


class TakenOver(VirtualCall):
    """A call another agent had."""

    def __init__(self, *, takes_over: bool = True) -> None:
        super().__init__()
        self.conversation = Conversation(takes_over=takes_over)

    def said(self) -> list[str]:
        """What the agent said, in order, as far as anything of it was heard."""
        heard = (line.split("ReplyAudible(")[1].split(")")[0] for line in self.log if "ReplyAudible" in line)
        return [self._what[int(reply_id)] for reply_id in heard]

    def _perform(self, command: object, now: float) -> None:
        self._what: dict[int, str] = getattr(self, "_what", {})
        match command:
            case SpeakGreeting(reply_id):
                self._what[reply_id] = "excuse"
            case SpeakLine(reply_id, line):
                self._what[reply_id] = line
            case StartReply(reply_id, text=text):
                self._what[reply_id] = f"answer to {text}"
            case _:
                pass
        super()._perform(command, now)  # type: ignore[arg-type]


def test_a_caller_who_says_nothing_hears_an_excuse() -> None:
    call = TakenOver()
    call.at(0, CallerJoined(0))
    call.run(10_000)
    assert call.said() == ["excuse"]


@pytest.mark.parametrize("spoken_ms", [200, 3000])
@pytest.mark.parametrize("before_ms", [300, 0, -100, -400])
def test_the_end_of_what_nobody_has_heard_the_beginning_of_is_asked_for_again(
    before_ms: float, spoken_ms: float
) -> None:
    call = TakenOver()
    call.at(1000, CallerJoined(1000))
    began_ms = 1000 - before_ms
    call.says(began_ms, max(began_ms + spoken_ms, 1200), "my booking", scores=SURE)
    call.run(12_000)
    assert call.said()[-1] == "say_again"
    assert "answer to my booking" not in call.said(), "it may have begun with: do not cancel"
    assert isinstance(call.conversation.state, Idle)


@pytest.mark.parametrize("takes_over", [True, False])
@pytest.mark.parametrize("spoken_ms", [150, 2000])
@pytest.mark.parametrize("before_ms", [300, 100, -50])
def test_a_sound_that_was_no_words_leaves_nobody_in_silence(
    before_ms: float, spoken_ms: float, takes_over: bool
) -> None:
    call = TakenOver(takes_over=takes_over)
    call.at(1000, CallerJoined(1000))
    began_ms = 1000 - before_ms
    call.says(began_ms, began_ms + spoken_ms, "", scores={80: 0.1})
    call.run(9000)
    assert call.said(), "silence"
    assert set(call.said()) <= {"excuse", "say_again" if takes_over else "not_heard"}


def test_what_is_said_later_is_answered() -> None:
    call = TakenOver()
    call.at(0, CallerJoined(0))
    call.says(600, 2000, "when are you open", scores=SURE)
    call.run(9000)
    assert call.said() == ["excuse", "answer to when are you open"]


def test_typed_words_are_whole_and_are_answered() -> None:
    call = TakenOver()
    call.at(900, SpeechStarted(900, 1))
    call.at(1000, CallerJoined(1000))
    call.at(1200, TextTyped(1200, "when are you open"))
    call.at(1300, SpeechStopped(1300, 1, 1250, 350))
    call.run(9000)
    assert call.said() == ["answer to when are you open"]


def test_who_speaks_before_a_greeting_is_answered_and_not_greeted() -> None:
    call = TakenOver(takes_over=False)
    call.says(700, 2000, "when are you open", scores=SURE)
    call.at(1000, CallerJoined(1000))
    call.run(12_000)
    assert call.said() == ["answer to when are you open"]
    assert not any(isinstance(event, ReplyAudible) for _, _, event in call._queue)
