"""A checker that replays commands and knows what must always be true of a call, whatever happened."""

from __future__ import annotations

from dataclasses import dataclass, field

from repartee.conversation import (
    Conversation,
    Ended,
    Idle,
    Speaking,
    Speculating,
    State,
    Thinking,
    UserTurn,
    Yielding,
)
from repartee.events import (
    ArmDeadline,
    CallerLost,
    CancelReply,
    CloseTurn,
    Command,
    DisarmDeadline,
    EndCall,
    Event,
    LowerVoice,
    OpenTurn,
    ReleaseReply,
    RepeatVoice,
    ReplyFinished,
    RestoreVoice,
    SpeakAside,
    SpeakGreeting,
    SpeakLine,
    StartReply,
    VoiceReply,
)


@dataclass
class Invariants:
    """Feed it every step; it raises AssertionError at the first broken promise."""

    live: int | None = None
    held: bool = False
    lowered: bool = False
    started: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    open_turn: int | None = None
    armed: dict[str, float] = field(default_factory=dict)
    finished: bool = False
    voiced: set[int] = field(default_factory=set)
    asides: dict[int, int] = field(default_factory=dict)
    line: str | None = None
    """The fixed sentence whose recording may follow."""

    def step(
        self, before: Conversation, event: Event, after: Conversation, commands: tuple[Command, ...]
    ) -> None:
        if self.finished:
            assert after == before
            assert commands == ()
            return
        # A held reply is not played, so it cannot finish: such an event is stale and changes nothing.
        if isinstance(event, ReplyFinished) and event.reply_id == self.live and not self.held:
            self._end(event.reply_id)
        self.revive(before, event)
        for command in commands:
            self._command(command)
        self._state(after.state, away=after.presence.away)
        self._presence(after)

    def _command(self, command: Command) -> None:
        match command:
            case StartReply() | SpeakGreeting() | SpeakLine():
                assert self.live is None, "a second reply was started while one is live"
                self._line(command)
                assert command.reply_id not in self.started, "a reply id was used twice"
                assert not self.started or command.reply_id > max(self.started), "reply ids must rise"
                self.started.add(command.reply_id)
                self.live, self.lowered = command.reply_id, False
                self.held = isinstance(command, StartReply) and command.held
            case ReleaseReply(reply_id):
                assert reply_id == self.live
                assert self.held, "released twice"
                self.held = False
            case CancelReply(reply_id):
                assert reply_id == self.live, "cancelled a reply that is not live"
                self._end(reply_id)
            case VoiceReply(reply_id):
                assert reply_id == self.live
                assert self.held, "a reply that may be heard needs no leave to be voiced"
                assert reply_id not in self.voiced
                self.voiced.add(reply_id)
            case SpeakAside():
                self._aside(command)
            case LowerVoice() | RestoreVoice() | RepeatVoice():
                self._volume(command)
            case OpenTurn(turn_id):
                assert self.open_turn is None, "a turn was opened in an open turn"
                self.open_turn = turn_id
            case CloseTurn(turn_id):
                assert turn_id == self.open_turn, "closed a turn that is not open"
                self.open_turn = None
            case ArmDeadline() | DisarmDeadline():
                self._deadline(command)
            case EndCall():
                self.finished = True
            case _:
                pass

    def _volume(self, command: LowerVoice | RestoreVoice | RepeatVoice) -> None:
        assert command.reply_id == self.live
        assert not self.held
        assert self.lowered != isinstance(command, LowerVoice)
        self.lowered = not self.lowered

    def _deadline(self, command: ArmDeadline | DisarmDeadline) -> None:
        if isinstance(command, ArmDeadline):
            self.armed[command.name] = command.at_ms
        else:
            self.armed.pop(command.name, None)

    def _line(self, command: StartReply | SpeakGreeting | SpeakLine) -> None:
        if isinstance(command, SpeakLine):
            assert not command.recorded or command.line == self.line, "a recording of another line"
            self.line = None if command.recorded else command.line

    def _aside(self, command: SpeakAside) -> None:
        assert command.reply_id == self.live
        assert not self.held, "something was said in a reply that may not be heard"
        assert not self.lowered, "something was said over the user"
        assert self.open_turn is None, "something was said into the user's turn"
        told = self.asides[command.reply_id] = self.asides.get(command.reply_id, 0) + 1
        assert told <= 2, "too much was said meanwhile"
        assert told == 1 or command.aside == "apology", "the same kind of filler twice"

    def _end(self, reply_id: int) -> None:
        assert reply_id not in self.ended, "a reply ended twice"
        self.ended.add(reply_id)
        self.live = None

    def revive(self, before: Conversation, event: Event) -> None:
        """A reply that had ended is said again when its end was not heard."""
        if not isinstance(event, CallerLost) or event.revived_id is None:
            return
        if before.presence.away == "here" and isinstance(before.state, Idle):
            self.ended.discard(event.revived_id)
            self.live, self.lowered, self.held = event.revived_id, False, False

    def _presence(self, after: Conversation) -> None:
        if isinstance(after.state, Ended):
            return
        away = after.presence.away != "here"
        assert away == ("absent" in self.armed), "an absence nobody will end"
        if away and isinstance(after.state, (Thinking, Speaking)):
            assert self.lowered, f"a reply sounds for nobody: {after.state}"
        if isinstance(after.state, Idle) and after.joined and not away:
            assert "silence" in self.armed, "a silence nobody will end"

    def _state(self, state: State, *, away: str = "here") -> None:
        holds_floor = isinstance(state, (UserTurn, Speculating))
        assert (self.open_turn is not None) == holds_floor, f"open turn {self.open_turn} in {state}"
        match state:
            case UserTurn(turn):
                assert self.live is None
                if not turn.voice and away != "cut":
                    assert "endpoint" in self.armed or "transcript" in self.armed, "a pause nobody will end"
            case Speculating(_, reply_id, _, voiced):
                assert self.live == reply_id
                assert self.held
                assert "endpoint" in self.armed or "transcript" in self.armed, (
                    "a held reply nobody will release"
                )
                assert voiced == (reply_id in self.voiced)
            case Thinking(reply_id):
                assert self.live == reply_id
                assert not self.held
                assert ("reply" in self.armed) == (away == "here")
                waits = state.turn is not None and not state.is_line and state.asides < 2
                assert ("waiting" in self.armed) == (waits and away == "here"), (
                    "a wait in silence that nobody ends, or something to be said to nobody"
                )
            case Yielding(reply_id, turn):
                assert self.live == reply_id
                assert self.lowered
                assert ("take_floor" if turn.voice else "transcript") in self.armed
            case Ended():
                assert self.live is None
            case _:
                pass

    def deadline_passed(self, name: str) -> None:
        self.armed.pop(name, None)
