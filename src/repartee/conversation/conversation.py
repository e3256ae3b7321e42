"""`advance(conversation, event, policies)`: the only place where a call's state changes.

Total and pure: every state takes every event, returns the next conversation and the commands to perform, in
order. It never waits and never looks at a clock. Stale facts (an older reply's or an older segment's) change
nothing. Every state that waits has armed a deadline, so a fact that never comes cannot wedge a call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from repartee.conversation.policies import Policies
from repartee.conversation.state import (
    Conversation,
    Ended,
    Idle,
    Speaking,
    Speculating,
    State,
    Thinking,
    Turn,
    UserTurn,
    Yielding,
)
from repartee.events import (
    ArmDeadline,
    CallEnded,
    CallerJoined,
    CancelReply,
    CloseTurn,
    Command,
    DeadlineName,
    DeadlinePassed,
    DisarmDeadline,
    EndCall,
    EndReason,
    Event,
    Line,
    LowerVoice,
    OpenTurn,
    ReleaseReply,
    RememberUser,
    ReplyAudible,
    ReplyFailed,
    ReplyFinished,
    RestoreVoice,
    SpeakGreeting,
    SpeakLine,
    SpeechStarted,
    SpeechStopped,
    StartReply,
    TextTyped,
    TranscriptReceived,
    TurnScored,
)

Step = tuple[Conversation, tuple[Command, ...]]


def advance(conversation: Conversation, event: Event, policies: Policies) -> Step:
    """Take one fact and return what the conversation becomes and what must be done."""
    if isinstance(conversation.state, Ended):
        return conversation, ()
    step = _Step(conversation, policies)
    step.take(event)
    return step.result()


@dataclass
class _Step:
    """One transition in the making: the conversation so far and the commands collected for it."""

    conversation: Conversation
    policies: Policies

    def __post_init__(self) -> None:
        self.commands: list[Command] = []
        self.state: State = self.conversation.state
        self.turn_id = self.conversation.last_turn_id
        self.reply_id = self.conversation.last_reply_id
        self.joined = self.conversation.joined

    def result(self) -> Step:
        return (
            Conversation(self.state, self.turn_id, self.reply_id, self.joined),
            tuple(self.commands),
        )

    # --- events ---------------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        match event:
            case CallerJoined():
                self._caller_joined(event)
            case SpeechStarted():
                self._speech_started(event)
            case SpeechStopped():
                self._speech_stopped(event)
            case TurnScored():
                self._turn_scored(event)
            case TranscriptReceived():
                self._transcript(event)
            case TextTyped():
                self._typed(event)
            case ReplyAudible():
                self._audible(event)
            case ReplyFinished():
                self._finished(event)
            case ReplyFailed():
                self._failed(event)
            case DeadlinePassed():
                self._deadline(event)
            case CallEnded():
                self._ended(event)
            case _:
                assert_never(event)

    def _caller_joined(self, event: CallerJoined) -> None:
        if self.joined:
            return
        self.joined = True
        self._arm("call", event.at_ms + self.policies.patience.call_ms)
        if isinstance(self.state, Idle):
            self.reply_id += 1
            self._do(SpeakGreeting(self.reply_id))
            self._await_reply(event.at_ms, None, is_line=True)

    def _speech_started(self, event: SpeechStarted) -> None:
        match self.state:
            case Idle():
                self._hold_floor(self._new_turn(event))
            case UserTurn(turn):
                self._disarm("endpoint")
                self.state = UserTurn(_voice_on(turn, event.segment_id))
            case Speculating(turn, reply_id):
                self._do(CancelReply(reply_id))
                self._disarm("endpoint")
                self.state = UserTurn(_voice_on(turn, event.segment_id))
            case Thinking(reply_id, turn):
                # Nothing was heard yet, so the turn simply goes on.
                self._do(CancelReply(reply_id))
                self._disarm("reply")
                resumed = _voice_on(turn, event.segment_id) if turn else self._new_turn(event)
                self._hold_floor(resumed)
            case Speaking(reply_id):
                if self.policies.interruption.enabled:
                    self._do(LowerVoice(reply_id))
                    self._arm("take_floor", event.at_ms + self.policies.interruption.take_floor_ms)
                    self.state = Yielding(reply_id, self._new_turn(event))
            case Yielding(reply_id, turn):
                self._arm("take_floor", event.at_ms + self.policies.interruption.take_floor_ms)
                self.state = Yielding(reply_id, _voice_on(turn, event.segment_id))
            case Ended():
                pass
            case _:
                assert_never(self.state)

    def _speech_stopped(self, event: SpeechStopped) -> None:
        match self.state:
            case UserTurn(turn) if turn.voice and turn.segment_id == event.segment_id:
                turn = _voice_off(turn, event)
                self._arm("transcript", event.at_ms + self.policies.patience.transcript_ms)
                self._arm("endpoint", turn.silent_since_ms + self._wait_ms(turn))
                self.state = UserTurn(turn)
            case Yielding(reply_id, turn) if turn.voice and turn.segment_id == event.segment_id:
                self._disarm("take_floor")
                self._arm("transcript", event.at_ms + self.policies.patience.transcript_ms)
                self.state = Yielding(reply_id, _voice_off(turn, event))
            case _:
                pass

    def _turn_scored(self, event: TurnScored) -> None:
        match self.state:
            case UserTurn(turn) if not turn.voice and turn.segment_id == event.segment_id:
                turn = replace(turn, probability=event.probability)
                self._pause_evidence(turn, event.at_ms)
            case Speculating(turn, reply_id) if turn.segment_id == event.segment_id:
                turn = replace(turn, probability=event.probability)
                self.state = Speculating(turn, reply_id)
                self._endpoint_at(turn, event.at_ms)
            case Yielding(reply_id, turn) if turn.segment_id == event.segment_id:
                self.state = Yielding(reply_id, replace(turn, probability=event.probability))
            case _:
                pass

    def _transcript(self, event: TranscriptReceived) -> None:
        match self.state:
            case UserTurn(turn):
                self._words_in_turn(turn.with_words(event.text), event.at_ms)
            case Yielding(reply_id, turn):
                self._words_over_agent(reply_id, turn.with_words(event.text), event.at_ms)
            case Idle() if event.text.strip():
                # Late words: the turn was given up, but what was said is never lost.
                turn = self._late_turn(event)
                self._do(OpenTurn(turn.turn_id))
                self._commit(turn, event.at_ms)
            case Speculating(turn, reply_id) if event.text.strip():
                # More words of the same turn: what was begun answers only half of it.
                self._do(CancelReply(reply_id))
                self._words_in_turn(turn.with_words(event.text), event.at_ms)
            case Thinking(reply_id, Turn() as turn) if event.text.strip():
                self._do(CancelReply(reply_id), OpenTurn(turn.turn_id))
                self._disarm("reply")
                self._words_in_turn(turn.with_words(event.text), event.at_ms)
            case Speaking(reply_id) if self.policies.interruption.takes_floor(event.text):
                turn = self._late_turn(event)
                self._do(CancelReply(reply_id), OpenTurn(turn.turn_id))
                self._commit(turn, event.at_ms)
            case _:
                pass

    def _typed(self, event: TextTyped) -> None:
        if not event.text.strip():
            return
        turn = Turn(self._next_turn_id(), text=event.text.strip(), silent_since_ms=event.at_ms)
        match self.state:
            case UserTurn(old):
                self._do(CloseTurn(old.turn_id, old.text))
                turn = replace(turn, text=f"{old.text} {turn.text}".strip())
                self._disarm("endpoint", "transcript")
            case Speculating(old, reply_id):
                self._do(CancelReply(reply_id), CloseTurn(old.turn_id, old.text))
                turn = replace(turn, text=f"{old.text} {turn.text}".strip())
                self._disarm("endpoint")
            case Thinking(reply_id) | Speaking(reply_id):
                self._do(CancelReply(reply_id))
                self._disarm("reply")
            case Yielding(reply_id):
                self._do(CancelReply(reply_id))
                self._disarm("take_floor", "transcript")
            case _:
                pass
        self._do(OpenTurn(turn.turn_id))
        self._commit(turn, event.at_ms)

    def _audible(self, event: ReplyAudible) -> None:
        match self.state:
            case Thinking(reply_id, turn) if reply_id == event.reply_id:
                self._disarm("reply")
                if turn is not None:
                    self._do(RememberUser(turn.turn_id, turn.text))
                self.state = Speaking(reply_id)
            case _:
                pass

    def _finished(self, event: ReplyFinished) -> None:
        match self.state:
            case Thinking(reply_id, turn) if reply_id == event.reply_id:
                # The model had nothing to say aloud.
                self._disarm("reply")
                if turn is not None:
                    self._do(RememberUser(turn.turn_id, turn.text))
                self.state = Idle()
            case Speaking(reply_id) if reply_id == event.reply_id:
                self.state = Idle()
            case Yielding(reply_id, turn) if reply_id == event.reply_id:
                # Its last word had sounded when the voice came: nothing is left to hold.
                self._disarm("take_floor")
                self._hold_floor(turn)
                self._words_in_turn(turn, event.at_ms)
            case _:
                pass

    def _failed(self, event: ReplyFailed) -> None:
        match self.state:
            case Speculating(turn, reply_id) if reply_id == event.reply_id:
                self._do(CancelReply(reply_id))
                self.state = UserTurn(turn)
            case Thinking(reply_id, turn, is_line) if reply_id == event.reply_id:
                self._give_up(reply_id, turn, is_line=is_line, at_ms=event.at_ms)
            case Speaking(reply_id) if reply_id == event.reply_id:
                self._give_up(reply_id, None, is_line=False, at_ms=event.at_ms)
            case Yielding(reply_id, turn) if reply_id == event.reply_id:
                self._take_floor(reply_id, turn)
                self._words_in_turn(turn, event.at_ms)
            case _:
                pass

    def _deadline(self, event: DeadlinePassed) -> None:
        if event.name == "call":
            self._end("max_duration")
            return
        match self.state:
            case UserTurn(turn) if not turn.voice and event.name == "endpoint":
                self._turn_may_end(turn, event.at_ms)
            case UserTurn(turn) if not turn.voice and event.name == "transcript":
                self._transcript_missing(turn, event.at_ms)
            case Speculating(turn, reply_id) if event.name == "endpoint":
                self._do(CloseTurn(turn.turn_id, turn.text), ReleaseReply(reply_id))
                self._await_reply(event.at_ms, turn, reply_id=reply_id)
            case Thinking(reply_id, turn, is_line) if event.name == "reply":
                self._give_up(reply_id, turn, is_line=is_line, at_ms=event.at_ms)
            case Yielding(reply_id, turn) if event.name == "take_floor" and turn.voice:
                self._take_floor(reply_id, turn)
            case Yielding(reply_id, turn) if event.name == "transcript" and not turn.voice:
                self._resume(reply_id)
            case _:
                pass

    def _ended(self, event: CallEnded) -> None:
        self._end(event.reason)

    # --- turns ----------------------------------------------------------------------------------------------

    def _words_in_turn(self, turn: Turn, at_ms: float) -> None:
        """Go on with a user turn that just got words (or the news that there were none)."""
        self.state = UserTurn(turn)
        if turn.open_segments == 0:
            self._disarm("transcript")
        if not turn.voice:
            self._pause_evidence(turn, at_ms)

    def _pause_evidence(self, turn: Turn, at_ms: float) -> None:
        """In a pause: start a held reply when it may pay; move the end of the turn to what is known now."""
        self.state = UserTurn(turn)
        if turn.open_segments == 0 and self.policies.speculation.may_start(turn.probability, turn.text):
            self._start_reply(turn, held=True)
            self.state = Speculating(turn, self.reply_id)
        self._endpoint_at(turn, at_ms)

    def _endpoint_at(self, turn: Turn, at_ms: float) -> None:
        # A deadline of the past comes back at once: being due is decided by the clock, in one place.
        self._arm("endpoint", max(at_ms, turn.silent_since_ms + self._wait_ms(turn)))

    def _turn_may_end(self, turn: Turn, at_ms: float) -> None:
        if turn.open_segments > 0:
            return  # the transcript, or its own deadline, decides
        if turn.text:
            self._commit(turn, at_ms)
        else:
            self._nothing_said(turn, at_ms)

    def _transcript_missing(self, turn: Turn, at_ms: float) -> None:
        turn = replace(turn, open_segments=0)
        self._turn_may_end(turn, at_ms)

    def _nothing_said(self, turn: Turn, at_ms: float) -> None:
        self._disarm("endpoint", "transcript")
        self._do(CloseTurn(turn.turn_id, ""))
        self.state = Idle()
        if turn.spoken_ms >= self.policies.patience.not_heard_min_ms:
            self._say_line("not_heard", at_ms)

    def _commit(self, turn: Turn, at_ms: float) -> None:
        """The turn is over: answer it, to be heard as soon as it can be."""
        self._disarm("endpoint", "transcript")
        self._do(CloseTurn(turn.turn_id, turn.text))
        self._start_reply(turn, held=False)
        self._await_reply(at_ms, turn)

    def _words_over_agent(self, reply_id: int, turn: Turn, at_ms: float) -> None:
        if self.policies.interruption.takes_floor(turn.text):
            self._take_floor(reply_id, turn)
            self._words_in_turn(turn, at_ms)
        elif not turn.voice and turn.open_segments == 0:
            self._resume(reply_id)
        else:
            self.state = Yielding(reply_id, turn)

    def _take_floor(self, reply_id: int, turn: Turn) -> None:
        self._disarm("take_floor")
        self._do(CancelReply(reply_id))
        self._hold_floor(turn)

    def _resume(self, reply_id: int) -> None:
        self._disarm("take_floor", "transcript")
        self._do(RestoreVoice(reply_id))
        self.state = Speaking(reply_id)

    def _hold_floor(self, turn: Turn) -> None:
        self._do(OpenTurn(turn.turn_id))
        self.state = UserTurn(turn)

    # --- replies --------------------------------------------------------------------------------------------

    def _start_reply(self, turn: Turn, *, held: bool) -> None:
        self.reply_id += 1
        self._do(StartReply(self.reply_id, turn.turn_id, turn.text, held))

    def _await_reply(
        self, at_ms: float, turn: Turn | None, *, reply_id: int | None = None, is_line: bool = False
    ) -> None:
        self._arm("reply", at_ms + self.policies.patience.reply_ms)
        self.state = Thinking(reply_id or self.reply_id, turn, is_line)

    def _say_line(self, line: Line, at_ms: float, turn: Turn | None = None) -> None:
        self.reply_id += 1
        self._do(SpeakLine(self.reply_id, line))
        self._await_reply(at_ms, turn, is_line=True)

    def _give_up(self, reply_id: int, turn: Turn | None, *, is_line: bool, at_ms: float) -> None:
        """A reply cannot be made: say so once; a line that fails too leaves the floor to the user."""
        self._do(CancelReply(reply_id))
        self._disarm("reply")
        if is_line:
            if turn is not None:
                self._do(RememberUser(turn.turn_id, turn.text))
            self.state = Idle()
        else:
            self._say_line("trouble", at_ms, turn)

    def _end(self, reason: EndReason) -> None:
        match self.state:
            case UserTurn(turn):
                self._do(CloseTurn(turn.turn_id, turn.text))
            case Speculating(turn, reply_id):
                self._do(CancelReply(reply_id), CloseTurn(turn.turn_id, turn.text))
            case Thinking(reply_id) | Speaking(reply_id) | Yielding(reply_id):
                self._do(CancelReply(reply_id))
            case _:
                pass
        self._disarm("endpoint", "transcript", "take_floor", "reply", "call")
        self._do(EndCall(reason))
        self.state = Ended(reason)

    # --- small parts ----------------------------------------------------------------------------------------

    def _wait_ms(self, turn: Turn) -> float:
        return self.policies.endpointing.wait_ms(turn.probability, turn.text)

    def _new_turn(self, event: SpeechStarted) -> Turn:
        return _voice_on(Turn(self._next_turn_id()), event.segment_id)

    def _late_turn(self, event: TranscriptReceived) -> Turn:
        return Turn(self._next_turn_id(), text=event.text.strip(), silent_since_ms=event.at_ms)

    def _next_turn_id(self) -> int:
        self.turn_id += 1
        return self.turn_id

    def _do(self, *commands: Command) -> None:
        self.commands.extend(commands)

    def _arm(self, name: DeadlineName, at_ms: float) -> None:
        self._do(ArmDeadline(name, at_ms))

    def _disarm(self, *names: DeadlineName) -> None:
        self._do(*(DisarmDeadline(name) for name in names))


def _voice_on(turn: Turn, segment_id: int) -> Turn:
    return replace(turn, voice=True, segment_id=segment_id, probability=None)


def _voice_off(turn: Turn, event: SpeechStopped) -> Turn:
    return replace(
        turn,
        voice=False,
        open_segments=turn.open_segments + 1,
        silent_since_ms=event.ended_at_ms,
        spoken_ms=turn.spoken_ms + event.spoken_ms,
    )
