"""The one vocabulary of a call: facts that happened (events) and what must be done (commands).

Frozen dataclasses only. Time is `at_ms`: milliseconds on the call's own monotonic clock, read where the
fact was observed. Every reply has a rising `reply_id`, every user turn a rising `turn_id`, every stretch of
voice a rising `segment_id`; a fact about an older one is recognised as stale by its number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

DeadlineName = Literal[
    "endpoint", "speculate", "transcript", "take_floor", "waiting", "reply", "call", "absent", "silence"
]
"""`endpoint`: the user's silence is long enough. `speculate`: it soon will be. `transcript`: speech-to-text took too
long. `take_floor`: voice over the agent went on long enough to ask for its words, or for too long without them.
`waiting`: the user has waited for the answer so long that something is to be said. `reply`: no audio in time.
`call`: the call is too long. `absent`: a caller whose connection broke has not come back. `silence`: nobody has said
anything for long."""

Asked = Literal["nothing", "answer", "digits"]
"""What the agent asked for last: numbers and spelled words come in groups, and a bare "yes" is a whole answer only to
a question."""

Line = Literal[
    "trouble",
    "trouble_again",
    "hang_up",
    "not_heard",
    "goodbye",
    "budget",
    "cut_off",
    "lost_thread",
    "say_again",
    "still_there",
    "let_go",
    "no_sound",
]
"""Fixed sentences spoken without asking the model; their words depend on the agent's language."""

Aside = Literal["filler", "apology"]
"""What is said while an answer takes long; it is no part of it."""

FillerKind = Literal["question", "request", "booking", "other"]
"""What a filler comes before the answer to."""

EndReason = Literal[
    "caller_left",
    "caller_lost",
    "no_caller",
    "silent",
    "stopped",
    "room_closed",
    "media_lost",
    "max_duration",
    "hung_up",
    "budget",
    "trouble",
    "handed_over",
    "error",
]
"""`caller_lost`: their connection broke and they did not come back. `silent`: they said nothing for long.
`media_lost`: the agent's own connection to the media server broke and could not be made again."""

# --- events: facts, named in the past tense -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallerJoined:
    """The caller is in the room and can hear the agent."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Voice began on the caller's track."""

    at_ms: float
    segment_id: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Voice ended; `ended_at_ms` is when the sound itself ended, before the detector was sure."""

    at_ms: float
    segment_id: int
    ended_at_ms: float
    spoken_ms: float


@dataclass(frozen=True, slots=True)
class TurnScored:
    """The end-of-turn model's probability (0..1) that the user has finished; it may be asked again in a pause."""

    at_ms: float
    segment_id: int
    probability: float


@dataclass(frozen=True, slots=True)
class TranscriptReceived:
    """Speech-to-text's words for one piece of a turn, up to the end of a segment; empty when nothing was said.

    The words of a piece replace what was said of the same piece before.
    """

    at_ms: float
    text: str
    piece_id: int
    segment_id: int


@dataclass(frozen=True, slots=True)
class WordsGuessed:
    """What a streaming speech-to-text takes the words since the last transcript for; it may change its mind."""

    at_ms: float
    text: str


@dataclass(frozen=True, slots=True)
class TextTyped:
    """The caller typed instead of talking."""

    at_ms: float
    text: str


@dataclass(frozen=True, slots=True)
class ReplyWorded:
    """The first words of a reply are there; its audio is to be expected."""

    at_ms: float
    reply_id: int


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool runs for a reply; it is done, or given up, at `until_ms`."""

    at_ms: float
    reply_id: int
    until_ms: float


@dataclass(frozen=True, slots=True)
class AsideSaid:
    """A tool's own line is said in a reply that takes long."""

    at_ms: float
    reply_id: int


@dataclass(frozen=True, slots=True)
class ReplyAudible:
    """The first audio of a reply left for the caller; what was said while it took long is none of it."""

    at_ms: float
    reply_id: int


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """A reply was played to its end (or had nothing to say)."""

    at_ms: float
    reply_id: int
    asked: Asked = "nothing"


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """A reply cannot be produced."""

    at_ms: float
    reply_id: int


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """A deadline armed by a command came due."""

    at_ms: float
    name: DeadlineName


@dataclass(frozen=True, slots=True)
class BudgetSpent:
    """The money for this call is spent: it is to end, politely."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class HelpLost:
    """What the call cannot do without is gone and does not come back: it is to end, politely."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class HangUpWanted:
    """The agent wants to end the call when what it says has been heard, unless the caller speaks again before."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class CallerLost:
    """The connection to the caller broke; they may come back.

    Attributes:
        since_ms: When the last of them was heard.
        revived_id: A reply that had been played to its end, of which they cannot have heard the end.
    """

    at_ms: float
    since_ms: float
    revived_id: int | None = None


@dataclass(frozen=True, slots=True)
class CallerReturned:
    """The caller is back and can hear the agent."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class CallerUnheard:
    """No sound at all comes from the caller's microphone: it is muted where we cannot see it, or broken."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over, whatever the reason."""

    at_ms: float
    reason: EndReason


Event: TypeAlias = (
    CallerJoined
    | SpeechStarted
    | SpeechStopped
    | TurnScored
    | TranscriptReceived
    | WordsGuessed
    | TextTyped
    | ReplyWorded
    | ToolStarted
    | AsideSaid
    | ReplyAudible
    | ReplyFinished
    | ReplyFailed
    | DeadlinePassed
    | BudgetSpent
    | HelpLost
    | HangUpWanted
    | CallerLost
    | CallerReturned
    | CallerUnheard
    | CallEnded
)

# --- commands: orders, named in the imperative --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """The user holds the floor."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class CloseTurn:
    """The user gave the floor back; `text` is what was understood, empty when it was only a noise."""

    turn_id: int
    text: str


@dataclass(frozen=True, slots=True)
class StartReply:
    """Produce a reply to `text`; while `held`, none of it may be heard."""

    reply_id: int
    turn_id: int
    text: str
    held: bool


@dataclass(frozen=True, slots=True)
class VoiceReply:
    """A held reply is likely enough to be wanted that its audio may be made, and paid for."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class TranscribeNow:
    """Do not wait for a pause: what is being said decides whether it takes the floor."""

    segment_id: int


@dataclass(frozen=True, slots=True)
class SpeakGreeting:
    """Say the agent's greeting."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class SpeakLine:
    """Say a fixed sentence; `recorded`: from the recording that needs nobody, as the voice did not say it."""

    reply_id: int
    line: Line
    recorded: bool = False


@dataclass(frozen=True, slots=True)
class SpeakAside:
    """Say something while the answer to `text` takes long, in its reply and unless its audio is there."""

    reply_id: int
    aside: Aside
    text: str


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """A held reply may be heard now."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class CancelReply:
    """Stop generation, synthesis and audio of a reply; what was heard of it stays in the context."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class LowerVoice:
    """Fade the reply out and hold it where it is."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class RestoreVoice:
    """Go on with a lowered reply where it was held."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class RepeatVoice:
    """Go on with a lowered reply from the beginning of the sentence that was lost.

    Attributes:
        explain: Say first that the connection was broken.
    """

    reply_id: int
    explain: bool


@dataclass(frozen=True, slots=True)
class RememberUser:
    """The user's words belong to the conversation from now on."""

    turn_id: int
    text: str


@dataclass(frozen=True, slots=True)
class ArmDeadline:
    """Send `DeadlinePassed(name)` at `at_ms`; an earlier deadline of that name is replaced."""

    name: DeadlineName
    at_ms: float


@dataclass(frozen=True, slots=True)
class DisarmDeadline:
    """Forget a deadline."""

    name: DeadlineName


@dataclass(frozen=True, slots=True)
class EndCall:
    """Leave the room and finish."""

    reason: EndReason


Command: TypeAlias = (
    OpenTurn
    | CloseTurn
    | StartReply
    | VoiceReply
    | TranscribeNow
    | SpeakGreeting
    | SpeakLine
    | SpeakAside
    | ReleaseReply
    | CancelReply
    | LowerVoice
    | RestoreVoice
    | RepeatVoice
    | RememberUser
    | ArmDeadline
    | DisarmDeadline
    | EndCall
)
