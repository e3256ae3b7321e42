"""Our own frames: which reply the frames between them belong to."""

from __future__ import annotations

from dataclasses import dataclass

from pipecat.frames.frames import ControlFrame


@dataclass
class ReplyStartFrame(ControlFrame):
    """Everything until the next such frame belongs to this reply."""

    reply_id: int = 0


@dataclass
class ReplyEndFrame(ControlFrame):
    """Nothing more comes for this reply."""

    reply_id: int = 0
