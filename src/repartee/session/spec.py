"""What a call is, before it starts, and what is known of one that another agent began."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from repartee.goals import NO_GOALS, Goals


@dataclass(frozen=True, slots=True)
class PastAct:
    """What a tool has changed in a call before its agent died.

    Attributes:
        key: The act's idempotency key.
        tool: The tool's name.
        done: False where the agent died before its end was known: it may be done or not.
        result: What the tool returned, as far as it was kept; None where it was not.
    """

    key: str
    tool: str
    done: bool
    result: Any = None


@dataclass(frozen=True, slots=True)
class Resume:
    """A call that goes on with another agent: what it was when the first one died.

    Attributes:
        turns: What was said and what was heard of the answer, oldest first; what the agent began with says nobody.
        rest: What of the last answer was made and not heard.
        unanswered: What the caller said last, where no answer was heard.
        next_turn_id: The first turn from now on.
        goals: Where the call's goals stood.
        speaker: Which agent of a team had the call; "" is the one that took it.
        passed: How often it was passed on.
        started_at: When the call began.
        acts: What tools have changed.
    """

    turns: tuple[tuple[str, str], ...] = ()
    rest: str = ""
    unanswered: str = ""
    next_turn_id: int = 0
    goals: Goals = NO_GOALS
    speaker: str = ""
    passed: int = 0
    started_at: datetime | None = None
    acts: tuple[PastAct, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """Everything a session process needs to take one call. Plain data: it crosses a process boundary.

    Attributes:
        epoch: The call's in the store; an agent with an older one is fenced off. 0 for a call that has no seat there:
            no worker took it, and nobody takes it over.
        takeovers: How often the call has changed hands.
        losses: How many agents it has lost in a row of which none had it for long.
        hops: How many agents have passed on what it is about; 0 where a person calls.
        resume: What was before; None for a call that begins.
    """

    call_id: str
    room: str
    url: str
    token: str
    identity: str
    agent_path: Path
    caller_identity: str | None
    data_dir: Path
    speech_url: str | None
    worker_id: str = ""
    epoch: int = 0
    takeovers: int = 0
    losses: int = 0
    hops: int = 0
    resume: Resume | None = None
