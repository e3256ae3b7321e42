"""`advance(conversation, event, policies)`: the only place where a call's state changes.

Total and pure: every state takes every event, returns the next conversation and the commands to perform, in
order. It never waits and never looks at a clock. Stale facts (an older reply's or an older segment's) change
nothing. Every state that waits has armed a deadline, so a fact that never comes cannot wedge a call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from repartee.conversation.policies import Policies, same_words
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
    Asked,
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
    TranscribeNow,
    TranscriptReceived,
    TurnScored,
    VoiceReply,
    WordsGuessed,
)

WASTE_MEMORY = 0.15
"""Weight of the newest held reply in the share that is thrown away."""

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
        self.asked: Asked = self.conversation.asked
        self.waste = self.conversation.waste
        self.used_piece_id = self.conversation.used_piece_id

    def result(self) -> Step:
        conversation = Conversation(
            self.state,
            self.turn_id,
            self.reply_id,
            self.joined,
            self.asked,
            self.waste,
            self.used_piece_id,
        )
        return conversation, tuple(self.commands)

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
            case WordsGuessed():
                self._guessed(event)
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
                self._throw_away(reply_id)
                self._disarm("endpoint")
                self.state = UserTurn(_voice_on(turn, event.segment_id))
            case Thinking(reply_id, Turn() as turn, False):
                # Nothing was heard yet, so the turn simply goes on.
                self._do(CancelReply(reply_id))
                self._disarm("reply")
                self._hold_floor(_voice_on(turn, event.segment_id))
            case Thinking(reply_id) | Speaking(reply_id):
                if self.policies.interruption.enabled:
                    audible = isinstance(self.state, Speaking)
                    self._do(LowerVoice(reply_id))
                    self._disarm("reply")
                    self._arm("take_floor", event.at_ms + self.policies.interruption.take_floor_ms)
                    self.state = Yielding(reply_id, self._new_turn(event), audible)
            case Yielding(turn=turn):
                self._arm("take_floor", event.at_ms + self.policies.interruption.take_floor_ms)
                self.state = replace(self.state, turn=_voice_on(turn, event.segment_id), asked=False)
            case Ended():
                pass
            case _:
                assert_never(self.state)

    def _speech_stopped(self, event: SpeechStopped) -> None:
        match self.state:
            case UserTurn(turn) if turn.voice and turn.segment_id == event.segment_id:
                turn = _voice_off(turn, event)
                self._arm("transcript", event.at_ms + self.policies.patience.transcript_ms)
                self._pause_evidence(turn, event.at_ms)
            case Yielding(turn=turn) if turn.voice and turn.segment_id == event.segment_id:
                self._disarm("take_floor")
                self._arm("transcript", event.at_ms + self.policies.patience.transcript_ms)
                self.state = replace(self.state, turn=_voice_off(turn, event))
            case Speaking(reply_id, Turn() as noise) if noise.segment_id == event.segment_id:
                self._disarm("take_floor")
                self.state = Speaking(reply_id)
            case _:
                pass

    def _turn_scored(self, event: TurnScored) -> None:
        match self.state:
            case UserTurn(turn) if not turn.voice and turn.segment_id == event.segment_id:
                self._pause_evidence(_scored(turn, event), event.at_ms)
            case Speculating(turn) if turn.segment_id == event.segment_id:
                self._go_on_speculating(self.state, _scored(turn, event), event.at_ms)
            case Yielding(turn=turn) if turn.segment_id == event.segment_id:
                self.state = replace(self.state, turn=_scored(turn, event))
            case _:
                pass

    def _transcript(self, event: TranscriptReceived) -> None:
        if event.text.strip() and event.piece_id <= self.used_piece_id:
            return  # words of a turn that is over, told again
        match self.state:
            case UserTurn(turn):
                self._words_in_turn(_with_words(turn, event), event.at_ms)
            case Speculating(turn):
                turn = _with_words(turn, event)
                if turn.words_known:
                    self._disarm("transcript")
                self._reconsider(self.state, turn, event.at_ms)
            case Yielding(turn=turn):
                self._words_over_agent(self.state, _with_words(turn, event), event.at_ms)
            case Speaking(reply_id, Turn() as noise):
                self._words_in_noise(reply_id, _with_words(noise, event), event.at_ms)
            case _ if event.text.strip():
                self._late_words(event)
            case _:
                pass

    def _late_words(self, event: TranscriptReceived) -> None:
        """Words of a turn that was given up: what was said is never lost."""
        match self.state:
            case Idle():
                turn = self._late_turn(event)
                self._do(OpenTurn(turn.turn_id))
                self._commit(turn, event.at_ms)
            case Thinking(reply_id, Turn() as turn, False):
                self._do(CancelReply(reply_id), OpenTurn(turn.turn_id))
                self._disarm("reply")
                self._words_in_turn(_with_words(turn, event), event.at_ms)
            case Speaking(reply_id) if self._takes_floor(event.text):
                turn = self._late_turn(event)
                self._do(CancelReply(reply_id), OpenTurn(turn.turn_id))
                self._commit(turn, event.at_ms)
            case _:
                pass

    def _guessed(self, event: WordsGuessed) -> None:
        match self.state:
            case UserTurn(turn):
                turn = replace(turn, guess=event.text.strip())
                if turn.voice:
                    self.state = UserTurn(turn)
                else:
                    self._pause_evidence(turn, event.at_ms)
            case Speculating(turn):
                self._reconsider(self.state, replace(turn, guess=event.text.strip()), event.at_ms)
            case Yielding(reply_id, turn):
                turn = replace(turn, guess=event.text.strip())
                if self._takes_floor(turn.best_text):
                    self._take_floor(reply_id, turn, event.at_ms)
                else:
                    self.state = replace(self.state, turn=turn)
            case Speaking(reply_id, Turn() as noise) if self._takes_floor(event.text):
                self._take_floor(reply_id, replace(noise, guess=event.text.strip()), event.at_ms)
            case _:
                pass

    def _typed(self, event: TextTyped) -> None:
        if not event.text.strip():
            return
        pieces: tuple[tuple[int, str], ...] = ((0, event.text.strip()),)
        turn = Turn(self._next_turn_id(), pieces, silent_since_ms=event.at_ms)
        match self.state:
            case UserTurn(old):
                self._do(CloseTurn(old.turn_id, old.text))
                turn = _after(old, turn)
                self._disarm("endpoint", "transcript")
            case Speculating(old, reply_id):
                self._throw_away(reply_id)
                self._do(CloseTurn(old.turn_id, old.text))
                turn = _after(old, turn)
                self._disarm("endpoint", "transcript")
            case Thinking(reply_id) | Speaking(reply_id):
                self._do(CancelReply(reply_id))
                self._disarm("reply", "take_floor")
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
            case Yielding(reply_id) if reply_id == event.reply_id:
                self.state = replace(self.state, audible=True)
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
                self._disarm("take_floor")
                self.asked = event.asked
                self.state = Idle()
            case Yielding(reply_id, turn) if reply_id == event.reply_id:
                # Its last word had sounded when the voice came: nothing is left to hold.
                self._disarm("take_floor")
                self.asked = event.asked
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
                self._disarm("take_floor")
                self._give_up(reply_id, None, is_line=False, at_ms=event.at_ms)
            case Yielding(reply_id, turn) if reply_id == event.reply_id:
                self._take_floor(reply_id, turn, event.at_ms)
            case _:
                pass

    def _deadline(self, event: DeadlinePassed) -> None:
        match event.name:
            case "call":
                self._end("max_duration")
            case "endpoint":
                self._silent_long_enough(event.at_ms)
            case "transcript":
                self._transcript_missing(event.at_ms)
            case "take_floor":
                self._voice_goes_on(event.at_ms)
            case "reply":
                if isinstance(self.state, Thinking):
                    reply_id, turn, is_line = self.state.reply_id, self.state.turn, self.state.is_line
                    self._give_up(reply_id, turn, is_line=is_line, at_ms=event.at_ms)
            case _:
                assert_never(event.name)

    def _silent_long_enough(self, at_ms: float) -> None:
        match self.state:
            case UserTurn(turn) if not turn.voice:
                self._turn_may_end(turn, at_ms)
            case Speculating(turn, reply_id) if turn.words_known:
                self._release(turn, reply_id, at_ms)
            case _:
                pass  # in `Speculating` the transcript, or its own deadline, decides

    def _transcript_missing(self, at_ms: float) -> None:
        match self.state:
            case UserTurn(turn) if not turn.voice:
                self._turn_may_end(turn.without_transcript(), at_ms)
            case Speculating(turn, reply_id):
                self._release(turn.without_transcript(), reply_id, at_ms)
            case Yielding(turn=turn) if not turn.voice:
                self._resume(self.state, at_ms)
            case _:
                pass

    def _voice_goes_on(self, at_ms: float) -> None:
        """Voice over the agent lasts: its words decide, or at last that it lasts."""
        match self.state:
            case Yielding(reply_id, turn, _, asked) if turn.voice:
                if asked:
                    self._take_floor(reply_id, turn, at_ms)
                else:
                    self._ask_words(turn, at_ms + self.policies.interruption.words_ms)
                    self.state = replace(self.state, asked=True)
            case Speaking(_, Turn() as noise):
                self._ask_words(noise, at_ms + self.policies.interruption.noise_ms)
            case _:
                pass

    def _ended(self, event: CallEnded) -> None:
        self._end(event.reason)

    # --- turns ----------------------------------------------------------------------------------------------

    def _words_in_turn(self, turn: Turn, at_ms: float) -> None:
        """Go on with a user turn that just got words (or the news that there were none)."""
        self.state = UserTurn(turn)
        if turn.words_known:
            self._disarm("transcript")
        if not turn.voice:
            self._pause_evidence(turn, at_ms)

    def _pause_evidence(self, turn: Turn, at_ms: float) -> None:
        """In a pause: start a held reply when it may pay; move the end of the turn to what is known now."""
        self.state = UserTurn(turn)
        may_start = self.policies.speculation.may_start(turn.probability, turn.best_text, self.waste)
        if may_start and (turn.words_known or turn.guess):
            self._start_reply(turn.turn_id, turn.best_text, held=True)
            self._go_on_speculating(Speculating(turn, self.reply_id, turn.best_text), turn, at_ms)
        else:
            self._endpoint_at(turn, at_ms)

    def _go_on_speculating(self, state: Speculating, turn: Turn, at_ms: float) -> None:
        voiced = state.voiced or self.policies.speculation.may_voice(turn.probability, self.waste)
        if voiced and not state.voiced:
            self._do(VoiceReply(state.reply_id))
        self.state = replace(state, turn=turn, voiced=voiced)
        self._endpoint_at(turn, at_ms)

    def _reconsider(self, state: Speculating, turn: Turn, at_ms: float) -> None:
        """Keep a held reply that answers the words as they are known now; begin anew where it does not."""
        if same_words(turn.best_text, state.text):
            self._go_on_speculating(state, turn, at_ms)
        else:
            self._throw_away(state.reply_id)
            self._pause_evidence(turn, at_ms)

    def _endpoint_at(self, turn: Turn, at_ms: float) -> None:
        # A deadline of the past comes back at once: being due is decided by the clock, in one place.
        self._arm("endpoint", max(at_ms, turn.silent_since_ms + self._wait_ms(turn)))

    def _turn_may_end(self, turn: Turn, at_ms: float) -> None:
        if not turn.words_known:
            return  # the transcript, or its own deadline, decides
        if turn.text:
            self._commit(turn, at_ms)
        else:
            self._nothing_said(turn, at_ms)

    def _nothing_said(self, turn: Turn, at_ms: float) -> None:
        self._disarm("endpoint", "transcript")
        self._do(CloseTurn(turn.turn_id, ""))
        self.state = Idle()
        if turn.spoken_ms >= self.policies.patience.not_heard_min_ms:
            self._say_line("not_heard", at_ms)

    def _commit(self, turn: Turn, at_ms: float) -> None:
        """The turn is over: answer it, to be heard as soon as it can be."""
        self._close(turn)
        self._start_reply(turn.turn_id, turn.text, held=False)
        self._await_reply(at_ms, turn)

    def _release(self, turn: Turn, reply_id: int, at_ms: float) -> None:
        """The turn is over, and the reply that was begun in its last pause answers it."""
        self._close(turn)
        self._count_held(wasted=False)
        self._do(ReleaseReply(reply_id))
        self._await_reply(at_ms, turn, reply_id=reply_id)

    def _close(self, turn: Turn) -> None:
        self._disarm("endpoint", "transcript")
        self._do(CloseTurn(turn.turn_id, turn.text))
        self.used_piece_id = max(self.used_piece_id, *(piece_id for piece_id, _ in turn.pieces), 0)
        self.asked = "open"

    # --- voice over the agent -------------------------------------------------------------------------------

    def _words_over_agent(self, state: Yielding, turn: Turn, at_ms: float) -> None:
        if self._takes_floor(turn.text):
            self._take_floor(state.reply_id, turn, at_ms)
        elif not turn.voice and turn.words_known:
            self._resume(state, at_ms)
        elif turn.voice and state.asked and not turn.text:
            # It sounds like a voice and says nothing: the agent goes on over it, and listens on.
            self._resume(state, at_ms, noise=turn)
        else:
            self.state = replace(state, turn=turn)

    def _words_in_noise(self, reply_id: int, noise: Turn, at_ms: float) -> None:
        if self._takes_floor(noise.text):
            self._take_floor(reply_id, noise, at_ms)
        else:
            self.state = Speaking(reply_id, noise)

    def _takes_floor(self, text: str) -> bool:
        return self.policies.interruption.enabled and self.policies.interruption.takes_floor(text)

    def _take_floor(self, reply_id: int, turn: Turn, at_ms: float) -> None:
        self._disarm("take_floor")
        self._do(CancelReply(reply_id))
        self._hold_floor(turn)
        self._words_in_turn(turn, at_ms)

    def _ask_words(self, turn: Turn, answer_by_ms: float) -> None:
        self._do(TranscribeNow(turn.segment_id))
        self._arm("take_floor", answer_by_ms)

    def _resume(self, state: Yielding, at_ms: float, noise: Turn | None = None) -> None:
        self._disarm("take_floor", "transcript")
        self._do(RestoreVoice(state.reply_id))
        if not state.audible:
            self._await_reply(at_ms, None, reply_id=state.reply_id, is_line=True)
            return
        if noise is not None:
            self._arm("take_floor", at_ms + self.policies.interruption.noise_ms)
        self.state = Speaking(state.reply_id, noise)

    def _hold_floor(self, turn: Turn) -> None:
        self._do(OpenTurn(turn.turn_id))
        self.state = UserTurn(turn)

    # --- replies --------------------------------------------------------------------------------------------

    def _start_reply(self, turn_id: int, text: str, *, held: bool) -> None:
        self.reply_id += 1
        self._do(StartReply(self.reply_id, turn_id, text, held))

    def _throw_away(self, reply_id: int) -> None:
        self._do(CancelReply(reply_id))
        self._count_held(wasted=True)

    def _count_held(self, *, wasted: bool) -> None:
        self.waste += WASTE_MEMORY * (float(wasted) - self.waste)

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
        return self.policies.endpointing.wait_ms(turn.probability, turn.best_text, self.asked)

    def _new_turn(self, event: SpeechStarted) -> Turn:
        return _voice_on(Turn(self._next_turn_id()), event.segment_id)

    def _late_turn(self, event: TranscriptReceived) -> Turn:
        turn = Turn(self._next_turn_id(), segment_id=event.segment_id, silent_since_ms=event.at_ms)
        return _with_words(turn, event)

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
    spoken_ms = turn.spoken_ms + event.spoken_ms
    return replace(turn, voice=False, silent_since_ms=event.ended_at_ms, spoken_ms=spoken_ms)


def _scored(turn: Turn, event: TurnScored) -> Turn:
    """Take a score; one pause's best counts, as more silence only makes an end easier to hear."""
    return replace(turn, probability=max(event.probability, turn.probability or 0.0))


def _with_words(turn: Turn, event: TranscriptReceived) -> Turn:
    return turn.with_words(event.piece_id, event.text, event.segment_id)


def _after(spoken: Turn, typed: Turn) -> Turn:
    """What was said and then typed is one turn."""
    last_id = max((piece_id for piece_id, _ in spoken.pieces), default=0)
    return replace(typed, pieces=(*spoken.pieces, *((last_id, text) for _, text in typed.pieces)))
