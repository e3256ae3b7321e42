"""What a call is, before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """Everything a session process needs to take one call. Plain data: it crosses a process boundary."""

    call_id: str
    room: str
    url: str
    token: str
    identity: str
    agent_path: Path
    caller_identity: str | None
    data_dir: Path
    speech_url: str | None
