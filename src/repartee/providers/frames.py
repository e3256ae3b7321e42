"""What passes between the ears, speech-to-text and the bridge: stretches of voice, and the words of pieces."""

from __future__ import annotations

from dataclasses import dataclass

from pipecat.frames.frames import (
    SystemFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)


@dataclass
class VoiceStartedFrame(VADUserStartedSpeakingFrame):
    """A stretch of voice has begun."""

    segment_id: int = 0


@dataclass
class VoicePausedFrame(VADUserStoppedSpeakingFrame):
    """A stretch of voice has ended; it may go on in a moment."""

    segment_id: int = 0


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
