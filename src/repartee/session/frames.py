"""Our own frames: which reply the frames between them belong to, and where the caller's voice begins and pauses."""

from __future__ import annotations

from dataclasses import dataclass

from pipecat.frames.frames import ControlFrame, DataFrame
from pipecat.processors.aggregators.llm_context import LLMContext

from repartee.providers.frames import ReplyFrame


@dataclass
class AsideFrame(ControlFrame):
    """What comes until the next such frame is said while something takes long, and no part of the conversation."""

    begins: bool = True
    text: str = ""
    """What is said."""


@dataclass
class ReplyStartFrame(ReplyFrame):
    """Everything until the next such frame belongs to this reply.

    `context` is what the model is asked, None for a line that needs no model. It travels with the frame because
    an interruption of the reply before may still be on its way through the pipeline.
    """

    context: LLMContext | None = None


@dataclass
class ReplyEndFrame(ControlFrame):
    """Nothing more comes for this reply."""

    reply_id: int = 0


@dataclass
class KeptAudioFrame(DataFrame):
    """A text's audio that was made before: 16-bit mono PCM at the voice's rate."""

    text: str = ""
    audio: bytes = b""
