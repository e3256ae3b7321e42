"""What passes between services and the session: stretches of voice, the words of pieces, which reply is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import (
    ControlFrame,
    DataFrame,
    SystemFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext


class ReplyContext(LLMContext):
    """What the model is asked for one reply; it knows which, also when that is long over."""

    def __init__(self, *args: Any, reply_id: int, wordless: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reply_id = reply_id
        self.wordless = wordless
        """What the user says last is not in it: who answers has heard it."""


@dataclass
class ReplyFrame(ControlFrame):
    """Everything until the next such frame belongs to this reply."""

    reply_id: int = 0


@dataclass
class SpeakerFrame(ControlFrame):
    """What follows is said by this agent of the team."""

    agent: str = ""


@dataclass
class AskRealtimeFrame(DataFrame):
    """A reply is wanted of the model that hears and speaks itself."""

    context: ReplyContext | None = None


@dataclass
class SpokenAudioFrame(DataFrame):
    """Sound that a model has spoken itself: 16-bit mono PCM at the voice's rate.

    `item_id` is what the vendor calls the part of its conversation that it belongs to.
    """

    audio: bytes = b""
    item_id: str = ""


@dataclass
class SpokenTextFrame(DataFrame):
    """The next words of what a model speaks itself."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class ItemHeard:
    """How much of a part of the vendor's conversation the caller has heard."""

    item_id: str
    heard_ms: float


@dataclass
class VoiceLostFrame(ControlFrame):
    """No voice goes on with this reply: of its newest text so many characters were spoken, of the rest none."""

    spoken: int = 0


@dataclass
class OtherVoiceFrame(ControlFrame):
    """What follows in this reply is not of the voice it was to be."""


@dataclass
class VoiceStartedFrame(VADUserStartedSpeakingFrame):
    """A stretch of voice has begun."""

    segment_id: int = 0


@dataclass
class VoicePausedFrame(VADUserStoppedSpeakingFrame):
    """A stretch of voice has ended; it may go on in a moment."""

    segment_id: int = 0


@dataclass
class CaptionFrame(SystemFrame):
    """Words of a piece that is not over: to be shown, and to nothing else."""

    text: str = ""
    piece_id: int = 0


@dataclass
class PauseScoredFrame(SystemFrame):
    """How likely the turn is over with the present pause, 0..1."""

    probability: float = 0.0


@dataclass
class TranscribeNowFrame(SystemFrame):
    """Sent upstream: transcribe the voice that still sounds."""

    segment_id: int = 0


@dataclass
class TurnClosedFrame(SystemFrame):
    """Sent upstream: what comes next is another turn."""


@dataclass
class PieceTranscribedFrame(TranscriptionFrame):
    """The words of one piece of a turn, up to the end of a segment."""

    piece_id: int = 0
    segment_id: int = 0
    spoken: str | None = None
    """The language it is in, two letters, where the recogniser says so."""
    confidence: float | None = None
