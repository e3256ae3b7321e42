"""Whether the caller is there: a connection that breaks and comes back, a caller who says nothing.

While they are away no reply sounds: what is to be said is made, and held. What they cannot have heard is said again
when they are back. Nobody waits for them, or for their first word, for ever.
"""

from __future__ import annotations

import math
from dataclasses import replace

from repartee.conversation.moves import Moves
from repartee.conversation.state import Ended, Idle, Speaking, Speculating, Thinking, Turn, UserTurn
from repartee.events import CallerLost, CancelReply, LowerVoice, RepeatVoice, RestoreVoice

CUT_MS = 300.0
"""Voice that ended so shortly before the connection did was cut off by it."""


class Attention(Moves):
    """The moves of a caller's absence and silence."""

    def caller_lost(self, event: CallerLost) -> None:
        """Hold everything, for so long as they may come back."""
        if self.presence.away != "here":
            return
        cut = self._cut_in_their_turn(event.since_ms)
        if event.revived_id is not None and isinstance(self.state, Idle):
            self.state = Speaking(event.revived_id)
        self.presence = replace(self.presence, away="cut" if cut else "away", lost_at_ms=event.since_ms)
        self.arm("absent", event.at_ms + self.policies.patience.absent_ms)

    def _cut_in_their_turn(self, since_ms: float) -> bool:
        """Say whether their voice sounded when the connection broke; then it is still their turn."""
        match self.state:
            case UserTurn(turn) | Speculating(turn) | Thinking(_, Turn() as turn, False):
                pass
            case _:
                return False
        if not turn.voice and turn.silent_since_ms < since_ms - CUT_MS:
            return False
        match self.state:
            case Speculating(_, reply_id):
                self.throw_away(reply_id)
                self.state = UserTurn(turn)
            case Thinking(reply_id):
                self.do(CancelReply(reply_id))
                self.disarm("reply", "waiting")
                self.hold_floor(turn)
            case _:
                pass
        self.disarm("endpoint", "speculate")
        return True

    def caller_returned(self, at_ms: float) -> None:
        """Say what they missed."""
        before = self.presence
        if before.away == "here":
            return
        self.presence = replace(before, away="here", held_id=0)
        self.disarm("absent")
        explain = at_ms - before.lost_at_ms >= self.policies.patience.explain_ms
        match self.state:
            case Thinking(reply_id) if reply_id == before.held_id:
                self.do(RestoreVoice(reply_id))
                # They have waited for nothing while they were away: the wait begins anew.
                heard_ms = at_ms + self.policies.waiting.filler_ms
                self.wait_on(replace(self.state, aside_at_ms=max(self.state.aside_at_ms, heard_ms)), at_ms)
            case Speaking(reply_id) if reply_id == before.held_id:
                self.do(RepeatVoice(reply_id, explain))
            case UserTurn(turn) if before.away == "cut":
                self._ask_again(turn, at_ms)
            case Idle() if explain and self.joined and self.farewell == "none":
                self.say_line("cut_off", at_ms)
            case _:
                pass

    def _ask_again(self, turn: Turn, at_ms: float) -> None:
        """What they were saying broke off: keep what was understood, and ask for it again."""
        self.close(turn)
        self.remember(turn)
        self.state = Idle()
        if self.farewell == "none":
            self.say_line("say_again", at_ms)

    def still_silent(self, at_ms: float) -> None:
        """Nobody has spoken for long: ask, and at last let them go."""
        self.presence = replace(self.presence, awaited=False)
        if not isinstance(self.state, Idle) or self.presence.away != "here" or self.farewell != "none":
            return
        if self.presence.asks < self.policies.patience.silence_asks:
            self.presence = replace(self.presence, asks=self.presence.asks + 1)
            self.say_line("still_there", at_ms)
        else:
            self.presence = replace(self.presence, leaving=True)
            self.say_line("let_go", at_ms)

    def attend(self, at_ms: float) -> None:
        """After every fact: hold what may not be heard, wait for a word, let go who was said goodbye to."""
        if isinstance(self.state, Ended):
            return
        if self.presence.away != "here":
            self._hold()
        elif self._spoke():
            self.presence = replace(self.presence, asks=0, leaving=False)
        elif isinstance(self.state, Idle) and self.joined and self.farewell == "none":
            if self.presence.leaving:
                self.end("silent")
                return
            if self.presence.unheard:
                self.presence = replace(self.presence, unheard=False)
                self.say_line("no_sound", at_ms)
        self._await_word(at_ms)

    def _hold(self) -> None:
        match self.state:
            case Thinking(reply_id) | Speaking(reply_id) if reply_id != self.presence.held_id:
                self.do(LowerVoice(reply_id))
                self.disarm("reply", "waiting", "take_floor")  # held, it is not heard, however good it is
                self.presence = replace(self.presence, held_id=reply_id)
            case Thinking():
                self.disarm("reply", "waiting")
            case _:
                pass

    def _spoke(self) -> bool:
        match self.state:
            case Thinking(_, Turn(), False):
                return True
            case UserTurn(turn):
                return turn.spoken_ms >= self.policies.patience.not_heard_min_ms
            case _:
                return False

    def _await_word(self, at_ms: float) -> None:
        silence_ms = self.policies.patience.silence_ms
        waits = (
            isinstance(self.state, Idle)
            and self.joined
            and self.presence.away == "here"
            and not math.isinf(silence_ms)
        )
        if waits and not self.presence.awaited:
            self.arm("silence", at_ms + silence_ms)
        elif not waits and self.presence.awaited:
            self.disarm("silence")
        self.presence = replace(self.presence, awaited=waits)
