"""What becomes of a call in the store: its turns, what happened, its bill, its end. Written as it happens.

Nothing here waits: rows go to the call's writer, which has a thread of its own. A turn's row is written again
whenever more of it is known.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic_core import to_jsonable_python

from repartee.agent.keep import Keep
from repartee.conversation.redacting import redacted
from repartee.events import (
    CloseTurn,
    Command,
    Event,
    OpenTurn,
    RememberUser,
    ReplyAudible,
    SpeakGreeting,
    SpeakLine,
    SpeechStarted,
    SpeechStopped,
    StartReply,
    TextTyped,
    TranscriptReceived,
)
from repartee.session.toolbox import ToolRun
from repartee.store import CallRow, CallWriter, EventRow, LedgerRow, TurnRow
from repartee.store.schema import GREETING
from repartee.telemetry.calling import turn_opened

KEPT_MARKS = (
    "answer.",
    "budget",
    "callback.",
    "caller.",
    "consent.",
    "filler",
    "goal",
    "help.",
    "level",
    "line",
    "mcp.",
    "memory.",
    "messages.refused",
    "network.",
    "price.",
    "provider.",
    "reply.cancelled",
    "reply.tier",
    "sensitivity",
    "store.",
    "stt.failed",
    "team.",
    "tool.",
    "voice.",
)
"""Marks of the timeline that are events of the call as well; by how they begin. None has words that were said."""
TIMED_MARKS = frozenset(
    {"reply.started", "reply.first_text", "reply.voiced", "reply.first_audio", "reply.released"}
)
"""Marks that say when a step of a turn was done."""
OVER_MARKS = frozenset({"reply.finished", "reply.cancelled"})
TOOL_CHARACTERS = 4000
"""So much of a tool's arguments, and of its result, is kept."""
GOALS_EVENT = "goals"
"""The event with all goals, for an agent that takes the call over."""
PASSED_EVENT = "team.passed"
"""Another agent of the team has the call."""
PICTURE_EVENT = "picture"
TOOL_EVENT = "tool"
"""A tool has run."""
SOUNDING = "reply.sounding"
"""Among a turn's times while its reply is heard; found there afterwards, its agent died in the middle of it."""
SOUNDING_MS = 1000.0
"""How often a reply that is heard is written down, where what is heard until the next time is known already."""
NEWS_MS = 200.0
"""How often where it is not, its audio being still on its way, or where the model has written more."""
SoFar = tuple[str, str, list[float], float]
"""What was heard of a reply, all that there is of it, in how many ms each next word will be heard, and for how long
that is known."""
REMEMBERED_REPLIES = 256


class CallRecord:
    """The record of one call.

    Args:
        writer: Takes the rows.
        call: The call, as it begins.
        now: The wall clock, with a time zone.
        words: What is kept of what was said.
        first_turn_id: The turn of what this agent says first; more than 0 where another had the call before.
    """

    def __init__(
        self,
        writer: CallWriter,
        call: CallRow,
        now: Callable[[], datetime],
        words: Callable[[str], str] = str,
        first_turn_id: int = GREETING,
    ) -> None:
        self._words = words
        self._writer = writer
        self._first = first_turn_id
        self._call = call
        self._now = now
        self._turns: dict[int, TurnRow] = {}
        self._turn_id = first_turn_id
        self._began_ms: float | None = None
        self._ended_ms: float | None = None
        """When the newest stretch of the caller's voice began, and when it ended."""
        self._paused_ms: float | None = None
        """When that end was noticed."""
        self._words_ms: float | None = None
        """When speech-to-text said something last."""
        self._reply_turns: OrderedDict[int, int] = OrderedDict()
        self._steps: dict[int, dict[str, float]] = {}
        self._word_times: dict[int, list[int]] = {}
        """Of replies that are heard, when each of their words was, in ms."""
        self._shown: tuple[int, int] | None = None
        """Of the reply that is heard, how many characters are shown."""
        self._sounding: int | None = None
        """The newest reply of which something was heard."""
        self._written: tuple[int, float, float] = (0, float("-inf"), 0.0)
        """In how many pieces it was, and when, as it was written down last, and how long that is enough."""
        self._forgotten = False
        self._ended = False
        self.on_answered: Callable[[float], None] = lambda _: None
        """Told how many milliseconds the caller waited, once for each answer."""
        writer.begin(call)

    def identified(self, caller_id: str) -> None:
        """The operator's token says who calls."""
        if not self._forgotten:
            self._call = replace(self._call, caller_id=caller_id)
            self._writer.begin(self._call)

    def usage(self, row: LedgerRow) -> None:
        """A request to a provider was judged."""
        if self._first and row.usage.turn_id is not None:
            row = replace(row, usage=replace(row.usage, turn_id=self._first + row.usage.turn_id))
        self._writer.usage(row)

    def mark(self, name: str, at_ms: float, values: Mapping[str, Any]) -> None:
        """Something was marked on the timeline."""
        if name in TIMED_MARKS | OVER_MARKS and isinstance(reply_id := values.get("reply_id"), int):
            self._steps.setdefault(reply_id, {})[name] = round(at_ms, 1)
        if name.startswith(KEPT_MARKS):
            turn_id = self._reply_turns.get(values.get("reply_id", 0)) if name == PASSED_EVENT else None
            self._event(at_ms, name, values if turn_id is None else {**values, "turn_id": turn_id})

    def tool(self, run: ToolRun) -> None:
        """A tool has run. Its arguments and its result may be the caller's words: they are forgotten with them."""
        if self._forgotten:
            return
        told = {
            "tool": run.tool,
            "arguments": self._worded(_bounded(run.arguments)),
            "result": self._worded(_bounded(run.result)),
            "outcome": run.outcome,
            "took_ms": round(run.took_ms, 1),
            "reply_id": run.reply_id,
        }
        if run.key:
            told["key"] = run.key
        turn_id = self._reply_turns.get(run.reply_id)
        self._event(run.began_ms, TOOL_EVENT, told if turn_id is None else told | {"turn_id": turn_id})

    def picture(self, at_ms: int, source: str, reply_id: int) -> None:
        """A picture is kept of what was looked at, beside the recording, named by its time."""
        if not self._forgotten:
            told = {"source": source, "turn_id": self._reply_turns.get(reply_id)}
            self._event(at_ms, PICTURE_EVENT, told)

    def _event(self, at_ms: float, kind: str, data: Mapping[str, Any]) -> None:
        self._writer.event(EventRow(self._call.call_id, round(at_ms, 1), kind, dict(data)))

    # --- turns ------------------------------------------------------------------------------------------------

    def observe(self, event: Event, commands: tuple[Command, ...]) -> None:
        """Take a step of the conversation, before its commands are performed."""
        self._hear(event)
        first = self._first
        for command in commands:
            match command:
                case OpenTurn(turn_id):
                    self._open(first + turn_id, event.at_ms)
                case CloseTurn(turn_id, text) | RememberUser(turn_id, text) if text:
                    self._keep(self._turn(first + turn_id, user_text=text))
                case StartReply(reply_id, turn_id):
                    self._belongs(reply_id, first + turn_id)
                case SpeakGreeting(reply_id):
                    self._belongs(reply_id, first)
                case SpeakLine(reply_id):
                    self._belongs(reply_id, self._turn_id)
                case _:
                    pass
        if isinstance(event, ReplyAudible):
            self._audible(event.reply_id, event.at_ms)

    def _hear(self, event: Event) -> None:
        match event:
            case SpeechStarted(at_ms=at_ms):
                self._began_ms, self._ended_ms, self._paused_ms = at_ms, None, None
            case SpeechStopped(at_ms=at_ms, ended_at_ms=ended_at_ms, spoken_ms=spoken_ms):
                self._ended_ms, self._paused_ms = ended_at_ms, at_ms
                self._event(ended_at_ms - spoken_ms, "speech", {"ended_at_ms": round(ended_at_ms, 1)})
            case TextTyped(at_ms=at_ms):
                self._began_ms = self._ended_ms = at_ms
                self._paused_ms = None
            case TranscriptReceived(at_ms=at_ms):
                self._words_ms = at_ms
                return
            case _:
                return
        turn = self._turns.get(self._turn_id)
        if turn is not None and turn.turn_id != self._first and turn.latency_ms is None:
            self._turns[turn.turn_id] = replace(turn, ended_at_ms=_rounded(self._ended_ms))

    def _open(self, turn_id: int, at_ms: float) -> None:
        self._turn_id = turn_id
        turn_opened(turn_id)
        if turn_id not in self._turns:
            began_ms = self._began_ms if self._began_ms is not None else at_ms
            self._turns[turn_id] = self._turn(
                turn_id, started_at_ms=_rounded(began_ms), ended_at_ms=_rounded(self._ended_ms)
            )

    def replied(self, reply_id: int, heard: str, made: str) -> None:
        """A reply is over.

        Args:
            reply_id: Which one.
            heard: What was heard of it.
            made: All that was given to the voice.
        """
        turn_id = self._reply_turns.get(reply_id)
        self._over(reply_id, turn_id, heard, made)
        if turn_id is None or reply_id != self._sounding:
            return  # it was thrown away before anybody heard of it
        turn = self._turn(turn_id)
        heard_text = f"{turn.heard_text} {heard}".strip()
        unheard_text = f"{turn.unheard_text} {unheard(heard, made)}".strip()
        self._keep(replace(turn, heard_text=heard_text, unheard_text=unheard_text))

    def unsaid(self, reply_id: int, text: str) -> None:
        """A reply that was thought to have been heard to its end will be heard again, or was not."""
        turn_id = self._reply_turns.get(reply_id)
        turn = self._turns.get(turn_id) if turn_id is not None else None
        if turn is not None and text and turn.heard_text.endswith(text):
            self._keep(replace(turn, heard_text=turn.heard_text.removesuffix(text).strip()))

    def sounding(self, reply_id: int, at_ms: float, texts: int, so_far: Callable[[], SoFar]) -> None:
        """A reply is heard: write down how far, now and then, so that another agent could say the rest.

        Args:
            reply_id: Which one.
            at_ms: Now.
            texts: In how many pieces the model has written it so far.
            so_far: Returns how it stands.
        """
        turn_id = self._reply_turns.get(reply_id)
        if turn_id is None or self._forgotten:
            return
        before, written_ms, enough_ms = self._written
        if at_ms - written_ms < (enough_ms if before == texts else NEWS_MS):
            return
        turn, (heard, made, ahead, known_ms) = self._turn(turn_id), so_far()
        self._written = texts, at_ms, SOUNDING_MS if known_ms >= SOUNDING_MS else NEWS_MS
        # Words are counted from the turn's first that was not heard: of an earlier reply there may be none.
        moments = (
            {} if turn.unheard_text else {next_word(n): round(at_ms + ms, 1) for n, ms in enumerate(ahead)}
        )
        # Not kept here: the reply's end writes it anew, and this only stands where there was no end.
        self._write(
            replace(
                turn,
                heard_text=f"{turn.heard_text} {heard}".strip(),
                unheard_text=f"{turn.unheard_text} {unheard(heard, made)}".strip(),
                timings={**turn.timings, SOUNDING: round(at_ms, 1), **moments},
            )
        )

    def words_heard(self, reply_id: int, at_ms: float, shown: str, heard: Callable[[], str]) -> None:
        """A reply is heard: remember when each of its words was.

        Args:
            reply_id: Which one.
            at_ms: Now.
            shown: What is shown of it as heard, with what is said beside it.
            heard: Returns the reply's own words that were heard; only asked where more is shown than before.
        """
        if self._shown == (newest := (reply_id, len(shown))):
            return
        self._shown = newest
        times = self._word_times.setdefault(reply_id, [])
        times += [round(at_ms)] * (len(heard().split()) - len(times))

    def goals(self, data: Mapping[str, Any], at_ms: float) -> None:
        """The call's goals have changed."""
        if not self._forgotten:
            self._event(at_ms, GOALS_EVENT, self._worded_goals(data))

    def _audible(self, reply_id: int, at_ms: float) -> None:
        turn_id = self._reply_turns.get(reply_id)
        if turn_id is None:
            return
        turn = self._turn(turn_id)
        self._sounding = reply_id
        steps = self._steps.setdefault(reply_id, {})
        steps["reply.audible"] = round(at_ms, 1)
        timings, latency_ms = turn.timings, turn.latency_ms
        if latency_ms is None:
            # Of the first sound of the turn only: what is said later in it, a line or the rest, is no answer time.
            heard = {"speech.paused": self._paused_ms, "transcript": self._words_ms}
            known = {name: round(moment, 1) for name, moment in heard.items() if moment is not None}
            timings = {**timings, **known, **steps} if turn.ended_at_ms is not None else {**timings, **steps}
        if latency_ms is None and turn.ended_at_ms is not None:
            latency_ms = round(at_ms - turn.ended_at_ms, 1)
            self.on_answered(latency_ms)
        self._written = 0, float("-inf"), 0.0
        self._keep(replace(turn, timings=timings, latency_ms=latency_ms))

    def _over(self, reply_id: int, turn_id: int | None, heard: str, made: str) -> None:
        """Write what became of a reply, one that nobody heard too."""
        steps, times = self._steps.pop(reply_id, None), self._word_times.pop(reply_id, [])
        if not steps or turn_id is None:
            return
        share = "none" if "reply.audible" not in steps else "part" if unheard(heard, made) else "all"
        began_ms = min(steps.values())
        told = {"reply_id": reply_id, "turn_id": turn_id, "heard": share, **steps}
        words = times[: len(heard.split())]
        self._event(began_ms, "reply", {**told, "words": words} if words else told)

    def _turn(self, turn_id: int, **known: Any) -> TurnRow:
        return replace(self._turns.get(turn_id, TurnRow(self._call.call_id, turn_id)), **known)

    def _belongs(self, reply_id: int, turn_id: int) -> None:
        self._reply_turns[reply_id] = turn_id
        if len(self._reply_turns) > REMEMBERED_REPLIES:
            oldest, _ = self._reply_turns.popitem(last=False)
            self._steps.pop(oldest, None)
            self._word_times.pop(oldest, None)

    def _keep(self, turn: TurnRow) -> None:
        if self._forgotten:
            turn = replace(turn, user_text="", heard_text="", unheard_text="")
        self._turns[turn.turn_id] = turn
        self._write(turn)

    def _write(self, turn: TurnRow) -> None:
        # The whole of a turn so far, not its pieces: a number may have been said in two of them.
        self._writer.turn(
            replace(
                turn,
                user_text=self._words(turn.user_text),
                heard_text=self._words(turn.heard_text),
                unheard_text=self._words(turn.unheard_text),
            )
        )

    def _worded_goals(self, data: Mapping[str, Any]) -> dict[str, Any]:
        goals = data.get("goals", [])
        return {**data, "goals": [{**goal, "values": self._worded(goal["values"])} for goal in goals]}

    def _worded(self, value: Any) -> Any:
        """Return what may be kept of a value: what tools are given and tell are the caller's words, or of them."""
        if isinstance(value, Mapping):
            return {name: self._worded(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self._worded(part) for part in value]
        kept = self._words(str(value))
        return value if kept == str(value) else kept

    # --- the end ----------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Erase the words and the name of this call, and keep none from now on."""
        self._forgotten = True
        self._call = replace(self._call, caller_id=None)
        self._writer.begin(self._call)
        for turn in list(self._turns.values()):
            self._keep(turn)

    def end(self, reason: str, call_s: float, speech_s: float) -> None:
        """The call is over; told again, the first counts."""
        if not self._ended:
            self._ended = True
            self._writer.end(self._call.call_id, reason, self._now(), call_s=call_s, speech_s=speech_s)


def words_kept(keep: Keep) -> Callable[[str], str]:
    """Return what makes of a text what may be kept of it."""
    makers: dict[str, Callable[[str], str]] = {"on": str, "redacted": redacted, "off": lambda _: ""}
    return makers[keep.transcripts]


def next_word(n: int) -> str:
    """Return the name, among a turn's times, of when the nth of its words that were not heard yet will have been."""
    return f"{SOUNDING}.{n}"


def _rounded(at_ms: float | None) -> float | None:
    return None if at_ms is None else round(at_ms, 1)


def unheard(heard: str, made: str) -> str:
    """Return what of a text was not heard, by counting words."""
    return " ".join(made.split()[len(heard.split()) :])


def _bounded(value: Any) -> Any:
    """Return a value ready for JSON; one that is too long as the beginning of its text."""
    plain = to_jsonable_python(value, fallback=str)
    text = json.dumps(plain, ensure_ascii=False)
    return plain if len(text) <= TOOL_CHARACTERS else f"{text[:TOOL_CHARACTERS]}…"
