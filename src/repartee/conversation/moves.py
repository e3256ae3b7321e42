"""The moves of a transition: what opening, ending and taking over a turn or a reply consist of.

`advance` decides which move a fact leads to; a move changes the state and collects the commands for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from repartee.conversation.policies import Policies, same_words
from repartee.conversation.state import (
    Conversation,
    Ended,
    Idle,
    Leaving,
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
    CancelReply,
    CloseTurn,
    Command,
    DeadlineName,
    DisarmDeadline,
    EndCall,
    EndReason,
    Line,
    OpenTurn,
    ReleaseReply,
    RememberUser,
    RestoreVoice,
    SpeakAside,
    SpeakGreeting,
    SpeakLine,
    SpeechStarted,
    SpeechStopped,
    StartReply,
    TranscribeNow,
    TranscriptReceived,
    TurnScored,
    VoiceReply,
)

HEARS_MS = 500.0
"""An agent that takes a call over notices by then that the caller was speaking as it came."""
PAUSES_KEPT = 16
WASTE_MEMORY = 0.15
"""Weight of the newest held reply in the share that is thrown away."""


@dataclass
class Moves:
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
        self.farewell = self.conversation.farewell
        self.leaving = self.conversation.leaving
        self.troubles = self.conversation.troubles
        self.presence = self.conversation.presence
        self.opening = self.conversation.opening
        self.came_at_ms = self.conversation.came_at_ms

    def result(self) -> tuple[Conversation, tuple[Command, ...]]:
        conversation = Conversation(
            self.state,
            self.turn_id,
            self.reply_id,
            self.joined,
            self.asked,
            self.waste,
            self.used_piece_id,
            self.farewell,
            self.leaving,
            self.troubles,
            self.presence,
            self.conversation.takes_over,
            self.opening,
            self.came_at_ms,
        )
        return conversation, tuple(self.commands)

    # --- turns ----------------------------------------------------------------------------------------------

    def words_in_turn(self, turn: Turn, at_ms: float) -> None:
        """Go on with a user turn that just got words (or the news that there were none)."""
        self.state = UserTurn(turn)
        if turn.words_known:
            self.disarm("transcript")
        if not turn.voice:
            self.pause_evidence(turn, at_ms)

    def pause_evidence(self, turn: Turn, at_ms: float) -> None:
        """In a pause: start a held reply when it may pay; move the end of the turn to what is known now."""
        self.state = UserTurn(turn)
        if self.presence.away == "cut":
            return  # it is not the end of what they were saying
        silent_ms = at_ms - turn.silent_since_ms
        unsure = turn.failed or self.opening == "again"
        if self.farewell != "none" or unsure or not self.may_start(turn, silent_ms):
            self.endpoint_at(turn, at_ms)
            return
        start_ms = turn.silent_since_ms + self.wait_ms(turn) - self.policies.speculation.lead_ms
        if turn.probability is not None and at_ms < start_ms:
            self.arm("speculate", start_ms)
            self.endpoint_at(turn, at_ms)
        else:
            self.start_reply(turn.turn_id, turn.best_text, held=True)
            self.go_on_speculating(Speculating(turn, self.reply_id, turn.best_text), turn, at_ms)

    def may_start(self, turn: Turn, silent_ms: float) -> bool:
        """Whether a held reply may be begun: on the words, or where the model hears for itself on the sound."""
        speculation = self.policies.speculation
        if turn.words_likely:
            return speculation.may_start(turn.probability, turn.best_text, self.waste, silent_ms)
        return speculation.may_hear(turn.probability, self.waste, silent_ms)

    def go_on_speculating(self, state: Speculating, turn: Turn, at_ms: float) -> None:
        silent_ms = at_ms - turn.silent_since_ms
        voiced = state.voiced or self.policies.speculation.may_voice(
            turn.probability, state.text, self.waste, silent_ms
        )
        if voiced and not state.voiced:
            self.do(VoiceReply(state.reply_id))
        self.state = replace(state, turn=turn, voiced=voiced)
        self.endpoint_at(turn, at_ms)

    def reconsider(self, state: Speculating, turn: Turn, at_ms: float) -> None:
        """Keep a held reply that answers the words as they are known now; begin anew where it does not."""
        nothing_said = turn.words_known and not turn.text
        heard = self.policies.speculation.by_sound or same_words(turn.best_text, state.text)
        if heard and not nothing_said:
            self.go_on_speculating(state, turn, at_ms)
        else:
            self.throw_away(state.reply_id)
            self.pause_evidence(turn, at_ms)

    def endpoint_at(self, turn: Turn, at_ms: float) -> None:
        # A deadline of the past comes back at once: being due is decided by the clock, in one place.
        self.arm("endpoint", max(at_ms, turn.silent_since_ms + self.wait_ms(turn)))

    def turn_may_end(self, turn: Turn, at_ms: float) -> None:
        if not turn.words_known or self.presence.away == "cut":
            return  # the transcript, or its own deadline, decides; or that the caller is back
        if turn.text:
            self.commit(turn, at_ms)
        else:
            self.nothing_said(turn, at_ms)

    def nothing_said(self, turn: Turn, at_ms: float) -> None:
        self.disarm("endpoint", "transcript")
        self.do(CloseTurn(turn.turn_id, ""))
        self.state = Idle()
        if self.opening != "none":
            return  # what is to be said first is said now
        if turn.spoken_ms >= self.policies.patience.not_heard_min_ms:
            self.say_line("not_heard", at_ms)

    def commit(self, turn: Turn, at_ms: float) -> None:
        """The turn is over: answer it, to be heard as soon as it can be."""
        self.close(turn)
        self.stay()
        if self.farewell != "none" or self.opening == "again":
            self.remember(turn)
            self.state = Idle()  # and leave is taken, or they are asked again, instead of an answer
            return
        self.start_reply(turn.turn_id, turn.text, held=False)
        self.await_reply(at_ms, turn)

    def release(self, turn: Turn, held: Speculating, at_ms: float) -> None:
        """The turn is over, and the reply that was begun in its last pause answers it."""
        self.close(turn)
        self.count_held(wasted=False)
        self.do(ReleaseReply(held.reply_id))
        self.await_reply(at_ms, turn, held=held)

    def close(self, turn: Turn) -> None:
        self.disarm("endpoint", "transcript")
        self.do(CloseTurn(turn.turn_id, turn.text))
        self.asked = "nothing"

    def remember(self, turn: Turn | None) -> None:
        """The user's words are part of the conversation now; told again, they are old."""
        if turn is not None:
            self.do(RememberUser(turn.turn_id, turn.text))
            self.used_piece_id = max([self.used_piece_id, *(piece_id for piece_id, _ in turn.pieces)])

    # --- voice over the agent -------------------------------------------------------------------------------

    def words_over_agent(self, state: Yielding, turn: Turn, at_ms: float) -> None:
        if self.takes_floor(turn.text):
            self.take_floor(state.reply_id, turn, at_ms)
        elif not turn.voice and turn.words_known:
            self.resume(state, at_ms)
        elif turn.voice and state.asked and not turn.text:
            # It sounds like a voice and says nothing: the agent goes on over it, and listens on.
            self.resume(state, at_ms, noise=turn)
        else:
            self.state = replace(state, turn=turn)

    def words_in_noise(self, reply_id: int, noise: Turn, at_ms: float) -> None:
        if self.takes_floor(noise.text):
            self.take_floor(reply_id, noise, at_ms)
        else:
            self.state = Speaking(reply_id, noise)

    def takes_floor(self, text: str) -> bool:
        return self.may_interrupt and self.policies.interruption.takes_floor(text)

    @property
    def may_interrupt(self) -> bool:
        """Whether voice over the agent is listened to; over its goodbye it is not."""
        return self.policies.interruption.enabled and self.farewell != "said"

    def take_floor(self, reply_id: int, turn: Turn, at_ms: float) -> None:
        self.disarm("take_floor")
        self.remember_waiting()
        self.do(CancelReply(reply_id))
        self.hold_floor(turn)
        self.words_in_turn(turn, at_ms)

    def ask_words(self, turn: Turn, answer_by_ms: float) -> None:
        self.do(TranscribeNow(turn.segment_id))
        self.arm("take_floor", answer_by_ms)

    def resume(self, state: Yielding, at_ms: float, noise: Turn | None = None) -> None:
        self.disarm("take_floor", "transcript")
        if self.opening == "again":
            self.opening = "none"  # it was no words: the excuse goes on
        self.do(RestoreVoice(state.reply_id))
        if state.waiting is not None:
            self.wait_on(state.waiting, at_ms)
            return
        if noise is not None:
            self.arm("take_floor", at_ms + self.policies.interruption.noise_ms)
        self.state = Speaking(state.reply_id, noise)

    def hold_floor(self, turn: Turn) -> None:
        self.do(OpenTurn(turn.turn_id))
        self.state = UserTurn(turn)

    # --- what is said first ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """The caller can hear the agent."""
        self.joined, self.opening = True, "greeting"
        if not self.conversation.takes_over:
            return
        match self.state:
            case UserTurn():
                self.opening = "again"
            case Speculating(turn, reply_id):
                self.throw_away(reply_id)
                self.opening, self.state = "again", UserTurn(turn)
            case _:
                pass

    def open_call(self, at_ms: float) -> None:
        """Say what is to be said first, as soon as nobody speaks; who was answered by then needs no greeting."""
        if not isinstance(self.state, Idle) or self.farewell != "none":
            return
        opening, self.opening = self.opening, "none"
        match opening:
            case "greeting":
                self.came_at_ms = at_ms if self.conversation.takes_over else self.came_at_ms
                self.reply_id += 1
                self.do(SpeakGreeting(self.reply_id))
                self.await_reply(at_ms, None, is_line=True)
            case "again":
                self.say_line("say_again", at_ms)
            case "none":
                pass

    def voice_over_opening(self, at_ms: float) -> None:
        """Voice is heard over the agent: so shortly after it has come, the voice had begun before."""
        if at_ms - self.came_at_ms <= HEARS_MS:
            self.opening = "again"

    # --- replies --------------------------------------------------------------------------------------------

    def start_reply(self, turn_id: int, text: str, *, held: bool) -> None:
        self.reply_id += 1
        self.do(StartReply(self.reply_id, turn_id, text, held))

    def throw_away(self, reply_id: int) -> None:
        self.do(CancelReply(reply_id))
        self.count_held(wasted=True)

    def count_held(self, *, wasted: bool) -> None:
        self.waste += WASTE_MEMORY * (float(wasted) - self.waste)

    def await_reply(
        self,
        at_ms: float,
        turn: Turn | None,
        *,
        is_line: bool = False,
        held: Speculating | None = None,
    ) -> None:
        state = Thinking(self.reply_id, turn, is_line)
        if held is not None:
            state = replace(state, reply_id=held.reply_id, busy_until_ms=held.busy_until_ms)
        if turn is not None:
            worded = held is not None and held.worded
            first_ms = self.policies.waiting.first_ms(turn.silent_since_ms, at_ms, worded=worded)
            state = replace(state, aside_at_ms=first_ms)
        self.wait_on(state, at_ms)

    # --- while an answer takes long ---------------------------------------------------------------------------

    def wait_on(self, state: Thinking, at_ms: float) -> None:
        """Wait for a reply's audio, and not in silence for too long."""
        patience = self.policies.patience
        own_ms = patience.line_ms if state.line is not None and not state.recorded else patience.reply_ms
        self.arm("reply", max(at_ms + own_ms, state.busy_until_ms + patience.after_tool_ms))
        self.state = state
        self.plan_aside(state, state.aside_at_ms, at_ms)

    def plan_aside(self, state: Thinking, when_ms: float, at_ms: float) -> None:
        """Say something at that time, if the answer is not there by then."""
        waiting = self.policies.waiting
        here = self.presence.away == "here"  # nothing is said to nobody
        may = here and waiting.fillers and state.turn is not None and not state.is_line
        if may and state.asides < waiting.asides_max:
            self.state = replace(state, aside_at_ms=when_ms)
            self.arm("waiting", max(when_ms, at_ms))
        else:
            self.state = state

    def say_aside(self, state: Thinking, at_ms: float) -> None:
        if state.turn is None or state.is_line or self.presence.away != "here":
            return
        if at_ms < state.aside_at_ms:  # an older reply's deadline, or a timer's early end
            self.plan_aside(state, state.aside_at_ms, at_ms)
            return
        self.do(SpeakAside(state.reply_id, "apology" if state.asides else "filler", state.turn.text))
        self.aside_said(state, at_ms)

    def aside_said(self, state: Thinking, at_ms: float) -> None:
        said = replace(state, asides=state.asides + 1)
        since_ms = state.turn.silent_since_ms if state.turn is not None else at_ms
        waiting = self.policies.waiting
        self.disarm("waiting")
        self.plan_aside(said, max(since_ms + waiting.apology_ms, at_ms + waiting.filler_ms), at_ms)

    def remember_waiting(self) -> None:
        """What was asked belongs to the conversation, though its answer is not waited for any longer."""
        if isinstance(self.state, Yielding) and self.state.waiting is not None:
            self.remember(self.state.waiting.turn)

    def say_line(self, line: Line, at_ms: float, turn: Turn | None = None, *, recorded: bool = False) -> None:
        self.reply_id += 1
        self.do(SpeakLine(self.reply_id, line, recorded))
        self.wait_on(Thinking(self.reply_id, turn, is_line=True, line=line, recorded=recorded), at_ms)

    def give_up(self, reply_id: int, turn: Turn | None, *, is_line: bool, at_ms: float) -> None:
        """A reply cannot be made: say so. A line that fails is played from its recording; if that fails too, the user
        has the floor.
        """
        self.do(CancelReply(reply_id))
        self.disarm("reply", "waiting")
        if isinstance(self.state, Thinking) and self.state.line is not None and not self.state.recorded:
            self.say_line(self.state.line, at_ms, turn, recorded=True)
            return
        if not is_line and self.farewell == "none":
            # While the caller is away it may be the same broken network: they hear of it, and it does not count.
            self.troubles += self.presence.away == "here"
            if self.troubles < self.policies.patience.troubles_max:
                self.say_line("trouble" if self.troubles <= 1 else "trouble_again", at_ms, turn)
                return
            self.leave("trouble")
        self.remember(turn)
        self.state = Idle()

    def leave(self, why: Leaving) -> None:
        """The call is to end as soon as nobody speaks; what it must end for is more than what it may end for."""
        if self.farewell == "none" or (self.leaving == "hung_up" and why != "hung_up"):
            self.farewell, self.leaving = "due", why

    def stay(self) -> None:
        """The caller has something to say: the agent does not hang up on them."""
        if self.farewell == "due" and self.leaving == "hung_up":
            self.farewell, self.leaving = "none", "budget"

    def take_leave(self, at_ms: float) -> None:
        """When the call is to end, say so when nobody speaks; with that said, end."""
        if isinstance(self.state, UserTurn | Speculating):
            self.stay()
        if not isinstance(self.state, Idle) or not self.joined:
            return
        if self.farewell == "due" and self.leaving == "hung_up":
            self.end("hung_up")  # the goodbye was the reply in which it was wanted
        elif self.farewell == "due":
            self.farewell = "said"
            self.say_line("budget" if self.leaving == "budget" else "hang_up", at_ms)
        elif self.farewell == "said":
            self.end(self.leaving)

    def end(self, reason: EndReason) -> None:
        match self.state:
            case UserTurn(turn):
                self.do(CloseTurn(turn.turn_id, turn.text))
            case Speculating(turn, reply_id):
                self.do(CancelReply(reply_id), CloseTurn(turn.turn_id, turn.text))
            case Thinking(reply_id) | Speaking(reply_id) | Yielding(reply_id):
                self.do(CancelReply(reply_id))
            case _:
                pass
        self.disarm("endpoint", "transcript", "take_floor", "waiting", "reply", "call", "absent", "silence")
        self.do(EndCall(reason))
        self.state = Ended(reason)

    # --- small parts ----------------------------------------------------------------------------------------

    def wait_ms(self, turn: Turn) -> float:
        if self.opening == "again":
            return self.policies.endpointing.min_silence_ms  # the rest would have to be said again too
        return self.policies.endpointing.wait_ms(turn.probability, turn.best_text, self.asked, turn.pauses)

    def new_turn(self, event: SpeechStarted) -> Turn:
        return voice_on(Turn(self.next_turn_id()), event)

    def late_turn(self, event: TranscriptReceived) -> Turn:
        turn = Turn(self.next_turn_id(), segment_id=event.segment_id, silent_since_ms=event.at_ms)
        return with_words(turn, event)

    def next_turn_id(self) -> int:
        self.turn_id += 1
        return self.turn_id

    def do(self, *commands: Command) -> None:
        self.commands.extend(commands)

    def arm(self, name: DeadlineName, at_ms: float) -> None:
        self.do(ArmDeadline(name, at_ms))

    def disarm(self, *names: DeadlineName) -> None:
        self.do(*(DisarmDeadline(name) for name in names))


def voice_on(turn: Turn, event: SpeechStarted) -> Turn:
    pauses = turn.pauses
    if turn.spoken_ms > 0 and not turn.voice:
        pauses = (*pauses[1 - PAUSES_KEPT :], max(0.0, event.at_ms - turn.silent_since_ms))
    return replace(
        turn, voice=True, segment_id=event.segment_id, probability=None, pauses=pauses, failed=False
    )


def voice_off(turn: Turn, event: SpeechStopped) -> Turn:
    spoken_ms = turn.spoken_ms + event.spoken_ms
    return replace(turn, voice=False, silent_since_ms=event.ended_at_ms, spoken_ms=spoken_ms)


def scored(turn: Turn, event: TurnScored) -> Turn:
    """Take a score; one pause's best counts, as more silence only makes an end easier to hear."""
    return replace(turn, probability=max(event.probability, turn.probability or 0.0))


def with_words(turn: Turn, event: TranscriptReceived) -> Turn:
    return turn.with_words(event.piece_id, event.text, event.segment_id)


def after(spoken: Turn, typed: Turn) -> Turn:
    """What was said and then typed is one turn."""
    last_id = max((piece_id for piece_id, _ in spoken.pieces), default=0)
    return replace(typed, pieces=(*spoken.pieces, *((last_id, text) for _, text in typed.pieces)))
