"""Whole calls on a virtual clock: what is decided when, kept as text to be read.

`REPARTEE_SNAPSHOTS=1 pytest tests/conversation/test_calls.py` writes them anew; read what changed before keeping it.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest

from repartee.conversation import Conversation, Policies, Speculation, advance
from repartee.events import (
    ArmDeadline,
    AsideSaid,
    CallEnded,
    CallerJoined,
    CallerLost,
    CallerReturned,
    CancelReply,
    Command,
    DeadlinePassed,
    DisarmDeadline,
    Event,
    LowerVoice,
    ReleaseReply,
    RepeatVoice,
    ReplyAudible,
    ReplyFailed,
    ReplyFinished,
    ReplyWorded,
    RestoreVoice,
    SpeakGreeting,
    SpeakLine,
    SpeechStarted,
    SpeechStopped,
    StartReply,
    TextTyped,
    ToolStarted,
    TranscriptReceived,
    TurnScored,
    VoiceReply,
    WordsGuessed,
)
from tests.conversation.model import Invariants

FOLDER = Path(__file__).parent / "calls"
STT_MS, LLM_MS, TTS_MS, PAUSE_MS, SCORE_MS = 300, 350, 250, 80, 60
SPOKEN_MS = 3000


@dataclass
class Reply:
    """A reply in the making."""

    text_at: float
    voiced_at: float | None
    released_at: float | None
    left_ms: float = SPOKEN_MS
    audible_at: float | None = None


@dataclass
class VirtualCall:
    """A caller, vendors of fixed latency, and a clock that jumps from event to event."""

    policies: Policies = field(default_factory=Policies)
    llm_ms: list[float] = field(default_factory=list)
    """How long the model takes for its first words, reply by reply; after these, as usual."""

    def __post_init__(self) -> None:
        self.conversation = Conversation()
        self.checker = Invariants()
        self.log: list[str] = []
        self._queue: list[tuple[float, int, Event]] = []
        self._count = 0
        self._armed: dict[str, float] = {}
        self._replies: dict[int, Reply] = {}
        self._pending: dict[int, float] = {}
        self._segment = self._piece = 0
        self._speaking = False

    def at(self, at_ms: float, event: Event) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at_ms, self._count, event))

    def says(
        self, start_ms: float, end_ms: float, text: str, *, scores: dict[int, float], piece: int = 0
    ) -> None:
        """The caller speaks; `scores` are the end-of-turn model's, by silence."""
        self._segment += 1
        self._piece = piece or self._piece + 1
        segment, stopped = self._segment, end_ms + PAUSE_MS
        self.at(start_ms, SpeechStarted(start_ms, segment))
        self.at(stopped, SpeechStopped(stopped, segment, end_ms, end_ms - start_ms))
        for silent_ms, score in scores.items():
            told = end_ms + silent_ms + SCORE_MS
            self.at(told, TurnScored(told, segment, score))
        self.at(stopped + STT_MS, TranscriptReceived(stopped + STT_MS, text, self._piece, segment))

    def run(self, until_ms: float) -> str:
        while self._queue and self._queue[0][0] <= until_ms:
            at_ms, _, event = heapq.heappop(self._queue)
            if self._stale(event, at_ms):
                continue
            if isinstance(event, DeadlinePassed):
                self._armed.pop(event.name)
                self.checker.deadline_passed(event.name)
            before = self.conversation
            self.conversation, commands = advance(before, event, self.policies)
            self.checker.step(before, event, self.conversation, commands)
            for command in commands:
                self._perform(command, at_ms)
            self._note(at_ms, event, commands)
        return "\n".join(self.log) + "\n"

    def _stale(self, event: Event, at_ms: float) -> bool:
        """What would not have happened: a deadline disarmed, audio of a reply that was held or thrown away."""
        match event:
            case DeadlinePassed(_, name):
                return self._armed.get(name) != at_ms
            case ReplyWorded(_, reply_id):
                return reply_id not in self._replies
            case ReplyAudible(_, reply_id) | ReplyFinished(_, reply_id):
                return self._pending.get(reply_id) != at_ms
            case _:
                return False

    def _perform(self, command: Command, now: float) -> None:
        match command:
            case ArmDeadline(name, at_ms):
                self._armed[name] = at_ms
                self.at(at_ms, DeadlinePassed(at_ms, name))
            case DisarmDeadline(name):
                self._armed.pop(name, None)
            case StartReply(reply_id, held=held):
                text_at = now + (self.llm_ms.pop(0) if self.llm_ms else LLM_MS)
                self._replies[reply_id] = Reply(text_at, None if held else now, None if held else now)
                self.at(text_at, ReplyWorded(text_at, reply_id))
                self._plan(reply_id)
            case SpeakGreeting(reply_id) | SpeakLine(reply_id):
                self._replies[reply_id] = Reply(now, now, now)
                self._plan(reply_id)
            case VoiceReply(reply_id):
                self._replies[reply_id].voiced_at = now
            case ReleaseReply(reply_id):
                reply = self._replies[reply_id]
                reply.released_at, reply.voiced_at = now, reply.voiced_at or now
                self._plan(reply_id)
            case CancelReply(reply_id):
                self._replies.pop(reply_id)
                self._pending.pop(reply_id, None)
            case LowerVoice(reply_id):
                reply = self._replies[reply_id]
                reply.left_ms -= now - reply.audible_at if reply.audible_at is not None else 0
                self._pending.pop(reply_id, None)
            case RestoreVoice(reply_id) | RepeatVoice(reply_id):
                self._sound(reply_id, max(now, self._replies[reply_id].text_at + TTS_MS))
            case _:
                pass

    def _plan(self, reply_id: int) -> None:
        reply = self._replies[reply_id]
        if reply.released_at is not None and reply.voiced_at is not None:
            self._sound(reply_id, max(reply.released_at, max(reply.text_at, reply.voiced_at) + TTS_MS))

    def _sound(self, reply_id: int, at_ms: float) -> None:
        reply = self._replies[reply_id]
        reply.audible_at = at_ms
        self._pending[reply_id] = at_ms
        self.at(at_ms, ReplyAudible(at_ms, reply_id))

    def _note(self, at_ms: float, event: Event, commands: tuple[Command, ...]) -> None:
        if isinstance(event, ReplyAudible):
            end = at_ms + self._replies[event.reply_id].left_ms
            self._pending[event.reply_id] = end
            self.at(end, ReplyFinished(end, event.reply_id))
        told = [shown(c) for c in commands if not isinstance(c, (ArmDeadline, DisarmDeadline))]
        state = type(self.conversation.state).__name__
        self.log.append(f"{at_ms:7.0f}  {shown(event):58} {state:12} {', '.join(told)}".rstrip())


def shown(what: Event | Command) -> str:
    parts = []
    for item in fields(what):
        value = getattr(what, item.name)
        if item.name in {"at_ms", "ended_at_ms", "spoken_ms"}:
            continue
        parts.append(
            repr(value)
            if isinstance(value, str)
            else f"{value:g}"
            if isinstance(value, float)
            else str(value)
        )
    return f"{type(what).__name__}({', '.join(parts)})"


SURE = {80: 0.95}


def question(call: VirtualCall) -> None:
    call.at(0, CallerJoined(0))
    call.says(4000, 5000, "when are you open", scores=SURE)


HEARING = Policies(speculation=Speculation(by_sound=True))


def answered_on_its_sound(call: VirtualCall) -> None:
    call.policies = HEARING
    call.says(0, 1000, "when are you open", scores=SURE)
    call.says(9000, 10_000, "I need an appointment", scores=SURE)
    call.says(10_250, 11_000, "on friday", scores={80: 0.2})


def noise_that_sounded_like_an_end(call: VirtualCall) -> None:
    call.policies = HEARING
    call.says(0, 300, "", scores=SURE)


def pause_in_the_middle(call: VirtualCall) -> None:
    call.says(0, 900, "I need an appointment", scores=SURE)
    call.says(1150, 2000, "I need an appointment on friday", scores=SURE, piece=1)


def sounds_unfinished_at_first(call: VirtualCall) -> None:
    call.says(
        0, 1000, "what's the weather like", scores={80: 0.01, 200: 0.02, 320: 0.08, 440: 0.4, 560: 0.95}
    )


def phone_number(call: VirtualCall) -> None:
    call.says(0, 800, "five five five", scores=SURE)
    call.says(1900, 2700, "five five five one two three", scores=SURE, piece=1)
    call.says(3800, 4800, "five five five one two three four five six seven", scores=SURE, piece=1)


def interruption(call: VirtualCall) -> None:
    call.says(0, 1000, "when are you open", scores=SURE)
    call.says(3000, 4000, "no is there parking", scores=SURE)


def backchannel(call: VirtualCall) -> None:
    call.says(0, 1000, "when are you open", scores=SURE)
    call.says(3000, 3300, "mm-hm", scores={80: 0.4})


def noise_that_lasts(call: VirtualCall) -> None:
    call.says(0, 1000, "when are you open", scores=SURE)
    call.at(3000, SpeechStarted(3000, 9))
    call.at(3750, TranscriptReceived(3750, "", 9, 9))
    call.at(7000, SpeechStopped(7000, 9, 6900, 3900))


def talking_over_the_greeting(call: VirtualCall) -> None:
    call.at(0, CallerJoined(0))
    call.says(100, 1100, "when are you open", scores=SURE)


def guesses(call: VirtualCall) -> None:
    call.at(0, SpeechStarted(0, 1))
    call.at(900, WordsGuessed(900, "when are"))
    call.at(1080, SpeechStopped(1080, 1, 1000, 1000))
    call.at(1140, TurnScored(1140, 1, 0.95))
    call.at(1200, WordsGuessed(1200, "when are you open"))
    call.at(1400, TranscriptReceived(1400, "When are you open?", 1, 1))


def lost_transcript(call: VirtualCall) -> None:
    call.at(0, SpeechStarted(0, 1))
    call.at(1080, SpeechStopped(1080, 1, 1000, 1000))
    call.at(1140, TurnScored(1140, 1, 0.95))


def typed_over_speech(call: VirtualCall) -> None:
    call.says(0, 1000, "when are you open", scores=SURE)
    call.at(3000, TextTyped(3000, "never mind"))
    call.at(3500, CallEnded(3500, "caller_left"))


def goes_on_after_the_release(call: VirtualCall) -> None:
    """The silence was long enough, but nothing was heard yet: it is one turn, and no word is lost."""
    call.says(0, 1000, "eight of spades", scores=SURE)
    call.says(1450, 2500, "four of clubs", scores=SURE, piece=2)


def goes_on_and_is_told_again(call: VirtualCall) -> None:
    """The same, where speech-to-text tells the whole piece again."""
    call.says(0, 1000, "eight of spades", scores=SURE)
    call.says(1450, 2500, "eight of spades four of clubs", scores=SURE, piece=1)


def held_reply_fails(call: VirtualCall) -> None:
    call.says(0, 1000, "when are you open", scores={80: 0.5, 200: 0.6, 320: 0.6, 440: 0.6})
    call.at(1500, ReplyFailed(1500, 1))


def slow_answer(call: VirtualCall) -> None:
    """The model takes 1.5 s for its first words: a filler; the answer follows it, and nothing else is said."""
    call.llm_ms = [1500]
    call.says(0, 1000, "when are you open", scores=SURE)


def slow_voice(call: VirtualCall) -> None:
    """The words are there a moment before the filler is due: the answer is expected, and nothing is said into it."""
    call.llm_ms = [550]
    call.says(0, 1000, "when are you open", scores=SURE)


def no_answer_at_all(call: VirtualCall) -> None:
    """A filler, an apology, the question to say it again; three times, and the call is ended with a word."""
    call.llm_ms = [60_000] * 3
    call.at(0, CallerJoined(0))
    for at_ms in (4000, 18_000, 32_000):
        call.says(at_ms, at_ms + 1000, "when are you open", scores=SURE)


def okay_to_a_filler(call: VirtualCall) -> None:
    """An acknowledgement of the filler stops it, and does not begin the answer anew."""
    call.llm_ms = [3000]
    call.says(0, 1000, "what about my order", scores=SURE)
    call.says(2100, 2400, "okay", scores={80: 0.4})


def more_after_a_filler(call: VirtualCall) -> None:
    """More words take the floor; what was asked before is remembered, and both are answered."""
    call.llm_ms = [5000]
    call.says(0, 1000, "I need a table for four", scores=SURE)
    call.says(2100, 3100, "at seven tomorrow please", scores=SURE)


def slow_tool(call: VirtualCall) -> None:
    """A tool says its own line; the answer has time for as long as the tool may take."""
    call.llm_ms = [14_000]
    call.says(0, 1000, "is friday free", scores=SURE)
    call.at(1900, ToolStarted(1900, 1, 13_000))
    call.at(1950, AsideSaid(1950, 1))


def nobody_answers(call: VirtualCall) -> None:
    """Model and voice fail at once: each line comes from its recording, and the third trouble ends the call."""
    call.at(0, CallerJoined(0))
    for number, at_ms in enumerate((4000, 12_000, 20_000)):
        call.says(at_ms, at_ms + 1000, "when are you open", scores=SURE)
        first = 2 + 3 * number
        call.at(at_ms + 1400, ReplyFailed(at_ms + 1400, first))
        call.at(at_ms + 1410, ReplyFailed(at_ms + 1410, first + 1))


def lost_and_back(call: VirtualCall) -> None:
    """Cut off in the answer, and back after eight seconds."""
    call.says(0, 1000, "when are you open", scores=SURE)
    call.at(4500, CallerLost(4500, 2500))
    call.at(11_000, CallerReturned(11_000))


def lost_in_their_own_sentence(call: VirtualCall) -> None:
    call.says(0, 1000, "I would like an appoint", scores={80: 0.2})
    call.at(3000, CallerLost(3000, 900))
    call.at(5000, CallerReturned(5000))
    call.says(9000, 10_000, "I would like an appointment", scores=SURE)


def lost_for_good(call: VirtualCall) -> None:
    call.at(0, CallerJoined(0))
    call.at(1000, CallerLost(1000, 500))


def silent(call: VirtualCall) -> None:
    """Asked twice, and let go."""
    call.at(0, CallerJoined(0))


def lost_while_they_wait(call: VirtualCall) -> None:
    """Nothing is said to nobody; back, they have waited long enough when they have heard nothing for as long anew."""
    call.llm_ms = [7500]
    call.says(0, 1000, "when are you open", scores=SURE)
    call.at(1900, CallerLost(1900, 1700))
    call.at(6000, CallerReturned(6000))


def lost_and_nobody_answers(call: VirtualCall) -> None:
    """An answer that fails while they are away is no trouble of theirs: they hear of it, and it does not count."""
    call.says(0, 1000, "when are you open", scores=SURE)
    call.at(1450, CallerLost(1450, 1440))
    call.at(1500, ReplyFailed(1500, 1))
    call.at(6000, CallerReturned(6000))


CALLS: tuple[Callable[[VirtualCall], None], ...] = (
    nobody_answers,
    slow_answer,
    slow_voice,
    no_answer_at_all,
    okay_to_a_filler,
    more_after_a_filler,
    slow_tool,
    question,
    answered_on_its_sound,
    noise_that_sounded_like_an_end,
    pause_in_the_middle,
    sounds_unfinished_at_first,
    phone_number,
    interruption,
    backchannel,
    noise_that_lasts,
    talking_over_the_greeting,
    guesses,
    lost_transcript,
    typed_over_speech,
    goes_on_after_the_release,
    goes_on_and_is_told_again,
    held_reply_fails,
    lost_and_back,
    lost_in_their_own_sentence,
    lost_for_good,
    silent,
    lost_while_they_wait,
    lost_and_nobody_answers,
)
LENGTHS_MS: dict[Callable[[VirtualCall], None], float] = {
    nobody_answers: 60_000,
    no_answer_at_all: 60_000,
    slow_tool: 30_000,
    lost_for_good: 90_000,
    silent: 90_000,
}
"""Of those that take long."""


@pytest.mark.parametrize("scene", CALLS, ids=lambda scene: scene.__name__)
def test_a_call_goes_as_it_is_written_down(scene: Callable[[VirtualCall], None]) -> None:
    call = VirtualCall()
    scene(call)
    text = call.run(until_ms=LENGTHS_MS.get(scene, 15_000))
    file = FOLDER / f"{scene.__name__}.txt"
    if os.environ.get("REPARTEE_SNAPSHOTS"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
