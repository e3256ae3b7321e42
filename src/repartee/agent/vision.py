"""The `vision` section of an agent file: whether callers may show something, and how often it is looked at."""

from __future__ import annotations

from pydantic import Field

from repartee.agent.slots import Strict


class Vision(Strict):
    """What the agent may see, and what that may take.

    Off: callers cannot share a camera or a screen at all. On, they may; a picture is taken only when the model looks.
    """

    enabled: bool = False
    max_edge_px: int = Field(default=768, ge=128, le=2048)
    """The longer edge of a picture is made no longer than this."""
    quality: int = Field(default=75, ge=30, le=95)
    """Of the JPEG."""
    looks_per_turn: int = Field(default=2, ge=1, le=10)
    """Pictures in one turn of the caller; one that is two seconds old at most is used again, and not counted."""
    looks_per_minute: int = Field(default=6, ge=1, le=60)
    looks: int = Field(default=60, ge=1, le=10_000)
    """In one call."""
