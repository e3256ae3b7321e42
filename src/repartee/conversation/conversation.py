"""`advance(conversation, event, policies)`: the only place where a call's state changes.

Total and pure: every state takes every event, returns the next conversation and the commands to perform, in
order. It never waits and never looks at a clock. Stale facts (an older reply's or an older segment's) change
nothing. Every state that waits has armed a deadline, so a fact that never comes cannot wedge a call.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from repartee.conversation.moves import after, scored, voice_off, voice_on, with_words
from repartee.conversation.policies import Policies, same_words
from repartee.conversation.presence import Attention
from repartee.conversation.state import (
    Conversation,
    Ended,
    Idle,
    Speaking,
    Speculating,
    Thinking,
    Turn,
    UserTurn,
    Yielding,
)
from repartee.events import (
    AsideSaid,
    BudgetSpent,
    CallEnded,
    CallerJoined,
    CallerLost,
    CallerReturned,
    CallerUnheard,
    CancelReply,
    CloseTurn,
    Command,
    DeadlinePassed,
    Event,
    HangUpWanted,
    HelpLost,
    LowerVoice,
    OpenTurn,
    ReplyAudible,
    ReplyFailed,
    ReplyFinished,
    ReplyWorded,
    SpeechStarted,
    SpeechStopped,
    TextTyped,
    ToolStarted,
    TranscriptReceived,
    TurnScored,
    WordsGuessed,
)

Step = tuple[Conversation, tuple[Command, ...]]


def advance(conversation: Conversation, event: Event, policies: Policies) -> Step:
    """Take one fact and return what the conversation becomes and what must be done."""
    if isinstance(conversation.state, Ended):
        return conversation, ()
    step = _Step(conversation, policies)
    step.take(event)
    return step.result()


class _Step(Attention):
    """One transition in the making."""

    # --- events ---------------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:  # noqa: C901, PLR0912 - one line for each event there is
        """Take one fact."""
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
            case WordsGuessed():
                self._guessed(event)
            case TextTyped():
                self._typed(event)
            case ReplyWorded():
                self._worded(event)
            case ToolStarted():
                self._tool_started(event)
            case AsideSaid():
                self._aside_said(event)
            case ReplyAudible():
                self._audible(event)
            case ReplyFinished():
                self._finished(event)
            case ReplyFailed():
                self._failed(event)
            case DeadlinePassed():
                self._deadline(event)
            case BudgetSpent():
                self.leave("budget")
            case HelpLost():
                self.leave("trouble")
            case HangUpWanted():
                self.leave("hung_up")
            case CallerLost():
                self.caller_lost(event)
            case CallerReturned():
                self.caller_returned(event.at_ms)
            case CallerUnheard():
                self.presence = replace(self.presence, unheard=True)
            case CallEnded():
                self._ended(event)
            case _:
                assert_never(event)
        self.open_call(event.at_ms)
        self.take_leave(event.at_ms)
        self.attend(event.at_ms)

    def _caller_joined(self, event: CallerJoined) -> None:
        if not self.joined:
            self.begin()
            self.arm("call", event.at_ms + self.policies.patience.call_ms)

    def _speech_started(self, event: SpeechStarted) -> None:
        if self.presence.away != "here":
            return  # the last of their voice, drawn out; words that are none of it come as late ones
        match self.state:
            case Idle():
                self.hold_floor(self.new_turn(event))
            case UserTurn(turn):
                self.disarm("endpoint")
                self.state = UserTurn(voice_on(turn, event))
            case Speculating(turn, reply_id):
                self.throw_away(reply_id)
                self.disarm("endpoint")
                self.state = UserTurn(voice_on(turn, event))
            case Thinking(reply_id, Turn() as turn, False, asides) if not asides or not self.may_interrupt:
                # Nothing was heard yet, so the turn simply goes on.
                self.do(CancelReply(reply_id))
                self.disarm("reply", "waiting")
                self.hold_floor(voice_on(turn, event))
            case Thinking(reply_id) | Speaking(reply_id):
                if self.may_interrupt:
                    self.voice_over_opening(event.at_ms)
                    waiting = self.state if isinstance(self.state, Thinking) else None
                    self.do(LowerVoice(reply_id))
                    self.disarm("reply", "waiting")
                    self.arm("take_floor", event.at_ms + self.policies.interruption.take_floor_ms)
                    self.state = Yielding(reply_id, self.new_turn(event), waiting=waiting)
            case Yielding(turn=turn):
                self.arm("take_floor", event.at_ms + self.policies.interruption.take_floor_ms)
                self.state = replace(self.state, turn=voice_on(turn, event), asked=False)
            case Ended():
                pass
            case _:
                assert_never(self.state)

    def _speech_stopped(self, event: SpeechStopped) -> None:
        match self.state:
            case UserTurn(turn) if turn.voice and turn.segment_id == event.segment_id:
                turn = voice_off(turn, event)
                self.arm("transcript", event.at_ms + self.policies.patience.transcript_ms)
                self.pause_evidence(turn, event.at_ms)
            case Yielding(turn=turn) if turn.voice and turn.segment_id == event.segment_id:
                self.disarm("take_floor")
                self.arm("transcript", event.at_ms + self.policies.patience.transcript_ms)
                self.state = replace(self.state, turn=voice_off(turn, event))
            case Speaking(reply_id, Turn() as noise) if noise.segment_id == event.segment_id:
                self.disarm("take_floor")
                self.state = Speaking(reply_id)
            case _:
                pass

    def _turn_scored(self, event: TurnScored) -> None:
        match self.state:
            case UserTurn(turn) if not turn.voice and turn.segment_id == event.segment_id:
                self.pause_evidence(scored(turn, event), event.at_ms)
            case Speculating(turn) if turn.segment_id == event.segment_id:
                self.go_on_speculating(self.state, scored(turn, event), event.at_ms)
            case Yielding(turn=turn) if turn.segment_id == event.segment_id:
                self.state = replace(self.state, turn=scored(turn, event))
            case _:
                pass

    def _transcript(self, event: TranscriptReceived) -> None:
        if event.text.strip() and event.piece_id <= self.used_piece_id:
            return  # words of a turn that is over, told again
        match self.state:
            case UserTurn(turn):
                self.words_in_turn(with_words(turn, event), event.at_ms)
            case Speculating(turn):
                turn = with_words(turn, event)
                if turn.words_known:
                    self.disarm("transcript")
                self.reconsider(self.state, turn, event.at_ms)
            case Yielding(turn=turn):
                self.words_over_agent(self.state, with_words(turn, event), event.at_ms)
            case Speaking(reply_id, Turn() as noise):
                self.words_in_noise(reply_id, with_words(noise, event), event.at_ms)
            case _ if event.text.strip():
                self._late_words(event)
            case _:
                pass

    def _late_words(self, event: TranscriptReceived) -> None:
        """Words of a turn that was given up: what was said is never lost."""
        match self.state:
            case Idle():
                turn = self.late_turn(event)
                self.do(OpenTurn(turn.turn_id))
                self.commit(turn, event.at_ms)
            case Thinking(reply_id, Turn() as turn, False):
                if not same_words(more := with_words(turn, event).text, turn.text) and more:
                    self.do(CancelReply(reply_id), OpenTurn(turn.turn_id))
                    self.disarm("reply", "waiting")
                    self.words_in_turn(with_words(turn, event), event.at_ms)
            case Speaking(reply_id) if self.takes_floor(event.text):
                turn = self.late_turn(event)
                self.do(CancelReply(reply_id), OpenTurn(turn.turn_id))
                self.commit(turn, event.at_ms)
            case _:
                pass

    def _guessed(self, event: WordsGuessed) -> None:
        match self.state:
            case UserTurn(turn):
                turn = turn.with_guess(event.text)
                if turn.voice:
                    self.state = UserTurn(turn)
                else:
                    self.pause_evidence(turn, event.at_ms)
            case Speculating(turn):
                self.reconsider(self.state, turn.with_guess(event.text), event.at_ms)
            case Yielding(reply_id, turn):
                turn = turn.with_guess(event.text)
                if self.takes_floor(turn.best_text):
                    self.take_floor(reply_id, turn, event.at_ms)
                else:
                    self.state = replace(self.state, turn=turn)
            case Speaking(reply_id, Turn() as noise) if self.takes_floor(event.text):
                self.take_floor(reply_id, noise.with_guess(event.text), event.at_ms)
            case _:
                pass

    def _typed(self, event: TextTyped) -> None:
        if not event.text.strip():
            return
        self.caller_returned(event.at_ms)  # should they have been away
        if self.opening == "again":
            self.opening = "none"  # typed words are whole
        pieces: tuple[tuple[int, str], ...] = ((0, event.text.strip()),)
        turn = Turn(self.next_turn_id(), pieces, silent_since_ms=event.at_ms)
        match self.state:
            case UserTurn(old):
                self.do(CloseTurn(old.turn_id, old.text))
                turn = after(old, turn)
                self.disarm("endpoint", "transcript")
            case Speculating(old, reply_id):
                self.throw_away(reply_id)
                self.do(CloseTurn(old.turn_id, old.text))
                turn = after(old, turn)
                self.disarm("endpoint", "transcript")
            case Thinking(reply_id, Turn() as old):
                self.do(CancelReply(reply_id))
                self.disarm("reply", "waiting")
                self.remember(old)  # it was not answered, but it was said
            case Thinking(reply_id) | Speaking(reply_id):
                self.do(CancelReply(reply_id))
                self.disarm("reply", "take_floor")
            case Yielding(reply_id):
                self.remember_waiting()
                self.do(CancelReply(reply_id))
                self.disarm("take_floor", "transcript")
            case _:
                pass
        self.do(OpenTurn(turn.turn_id))
        self.commit(turn, event.at_ms)

    def _worded(self, event: ReplyWorded) -> None:
        match self.state:
            case Speculating(reply_id=reply_id) if reply_id == event.reply_id:
                self.state = replace(self.state, worded=True)
            case Thinking(reply_id) if reply_id == event.reply_id:
                when_ms = max(self.state.aside_at_ms, event.at_ms + self.policies.waiting.coming_ms)
                self.plan_aside(self.state, when_ms, event.at_ms)
            case _:
                pass

    def _tool_started(self, event: ToolStarted) -> None:
        match self.state:
            case Speculating(reply_id=reply_id) if reply_id == event.reply_id:
                self.state = replace(self.state, busy_until_ms=event.until_ms)
            case Thinking(reply_id) if reply_id == event.reply_id:
                self.wait_on(replace(self.state, busy_until_ms=event.until_ms), event.at_ms)
            case Yielding(reply_id, waiting=Thinking() as waiting) if reply_id == event.reply_id:
                self.state = replace(self.state, waiting=replace(waiting, busy_until_ms=event.until_ms))
            case _:
                pass

    def _aside_said(self, event: AsideSaid) -> None:
        if isinstance(self.state, Thinking) and self.state.reply_id == event.reply_id:
            self.aside_said(self.state, event.at_ms)

    def _audible(self, event: ReplyAudible) -> None:
        match self.state:
            case Thinking(reply_id, turn, is_line) if reply_id == event.reply_id:
                self.disarm("reply", "waiting")
                self.remember(turn)
                self.troubles = self.troubles if is_line else 0
                self.opening = "none"
                self.state = Speaking(reply_id)
            case Yielding(reply_id) if reply_id == event.reply_id:
                self.remember_waiting()
                self.state = replace(self.state, waiting=None)
            case _:
                pass

    def _finished(self, event: ReplyFinished) -> None:
        match self.state:
            case Thinking(reply_id, turn) if reply_id == event.reply_id:
                # The model had nothing to say aloud.
                self.disarm("reply", "waiting")
                self.remember(turn)
                self.state = Idle()
            case Speaking(reply_id) if reply_id == event.reply_id:
                self.disarm("take_floor")
                self.asked = event.asked
                self.state = Idle()
            case Yielding(reply_id, turn) if reply_id == event.reply_id:
                # Its last word had sounded when the voice came: nothing is left to hold.
                self.disarm("take_floor")
                self.opening = "none"
                self.remember_waiting()
                self.asked = event.asked
                self.hold_floor(turn)
                self.words_in_turn(turn, event.at_ms)
            case _:
                pass

    def _failed(self, event: ReplyFailed) -> None:
        match self.state:
            case Speculating(turn, reply_id) if reply_id == event.reply_id:
                self.do(CancelReply(reply_id))
                self.state = UserTurn(replace(turn, failed=True))
            case Thinking(reply_id, turn, is_line) if reply_id == event.reply_id:
                self.give_up(reply_id, turn, is_line=is_line, at_ms=event.at_ms)
            case Speaking(reply_id) if reply_id == event.reply_id:
                self.disarm("take_floor")
                self.give_up(reply_id, None, is_line=False, at_ms=event.at_ms)
            case Yielding(reply_id, turn) if reply_id == event.reply_id:
                self.take_floor(reply_id, turn, event.at_ms)
            case _:
                pass

    def _deadline(self, event: DeadlinePassed) -> None:
        match event.name:
            case "call":
                self.end("max_duration")
            case "endpoint":
                self._silent_long_enough(event.at_ms)
            case "speculate":
                if isinstance(self.state, UserTurn) and not self.state.turn.voice:
                    self.pause_evidence(self.state.turn, event.at_ms)
            case "transcript":
                self._transcript_missing(event.at_ms)
            case "take_floor":
                self._voice_goes_on(event.at_ms)
            case "waiting" | "reply":
                self._waited(event)
            case "absent":
                self.end("caller_lost")
            case "silence":
                self.still_silent(event.at_ms)
            case _:
                assert_never(event.name)

    def _waited(self, event: DeadlinePassed) -> None:
        if not isinstance(self.state, Thinking):
            return
        if event.name == "waiting":
            self.say_aside(self.state, event.at_ms)
        else:
            reply_id, turn, is_line = self.state.reply_id, self.state.turn, self.state.is_line
            self.give_up(reply_id, turn, is_line=is_line, at_ms=event.at_ms)

    def _silent_long_enough(self, at_ms: float) -> None:
        match self.state:
            case UserTurn(turn) if not turn.voice:
                self.turn_may_end(turn, at_ms)
            case Speculating(turn) if turn.words_known:
                self.release(turn, self.state, at_ms)
            case _:
                pass  # in `Speculating` the transcript, or its own deadline, decides

    def _transcript_missing(self, at_ms: float) -> None:
        match self.state:
            case UserTurn(turn) if not turn.voice:
                self.turn_may_end(turn.without_transcript(), at_ms)
            case Speculating(turn):
                self.release(turn.without_transcript(), self.state, at_ms)
            case Yielding(turn=turn) if not turn.voice:
                self.resume(self.state, at_ms)
            case _:
                pass

    def _voice_goes_on(self, at_ms: float) -> None:
        """Voice over the agent lasts: its words decide, or at last that it lasts."""
        match self.state:
            case Yielding(reply_id, turn, asked=asked) if turn.voice:
                if asked:
                    self.take_floor(reply_id, turn, at_ms)
                else:
                    self.ask_words(turn, at_ms + self.policies.interruption.words_ms)
                    self.state = replace(self.state, asked=True)
            case Speaking(_, Turn() as noise):
                self.ask_words(noise, at_ms + self.policies.interruption.noise_ms)
            case _:
                pass

    def _ended(self, event: CallEnded) -> None:
        self.end(event.reason)
