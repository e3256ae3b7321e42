"""Two agents that talk to each other in text, each in a call of its own: to try one against the other, and for soak.

Nothing in such a conversation ends it by itself, so it is bounded from outside: by turns, by time, by money, and by a
guard against two agents that only repeat themselves.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from repartee.agent import Agent
from repartee.conversation.policies import words
from repartee.errors import ProviderError
from repartee.session.spec import SessionSpec
from repartee.session.text_call import TextCall
from repartee.settings import Settings

MeetingEnd = Literal["turns", "time", "budget", "loop", "hung_up", "failed"]
REPEATED_MAX = 3
"""A speaker who says the same thing so often is in a loop."""


@dataclass(frozen=True, slots=True)
class MeetingLimits:
    """When a meeting ends.

    Attributes:
        turns: Things said, by both together.
        seconds: Of time.
        usd: What both calls may cost together; None has no such limit, and each agent's own budget holds.
    """

    turns: int = 40
    seconds: float = 600.0
    usd: Decimal | None = None


@dataclass
class Meeting:
    """What was said, and how it ended.

    Attributes:
        calls: The calls' ids in the store, of the one that was called first.
        said: Speaker and text, in order.
    """

    calls: tuple[str, str]
    said: list[tuple[str, str]] = field(default_factory=list)
    end: MeetingEnd = "turns"
    cost: Decimal = Decimal(0)


async def meet(
    called: Agent,
    caller: Agent,
    settings: Settings,
    limits: MeetingLimits | None = None,
    on_said: Callable[[str, str], None] = lambda *_: None,
) -> Meeting:
    """Have one agent call another, and let them talk.

    Args:
        called: The agent that is called; it greets.
        caller: The one that calls; it answers the greeting.
        settings: Provider keys.
        limits: When it ends.
        on_said: Told of each thing that is said.

    Raises:
        ReparteeError: One of the calls could not be begun.
    """
    limits = limits or MeetingLimits()
    ids = (uuid.uuid4().hex, uuid.uuid4().hex)
    first, second = (
        TextCall(_spec(call_id, agent, settings), settings)
        for call_id, agent in zip(ids, (called, caller), strict=True)
    )
    meeting = Meeting(ids)
    names = (called.name, caller.name)
    if called.name == caller.name:
        names = (f"{called.name} (called)", f"{caller.name} (calling)")
    async with first, second:
        text = called.opening
        speakers = ((names[1], second), (names[0], first))
        guard = LoopGuard()
        until_s = time.monotonic() + limits.seconds
        _note(meeting, names[0], text, on_said)
        for turn in range(limits.turns - 1):
            name, call = speakers[turn % 2]
            try:
                async with asyncio.timeout(max(0.0, until_s - time.monotonic())):
                    text = await call.say(text)
            except TimeoutError:
                meeting.end = "time"
                break
            except ProviderError:
                meeting.end = "failed"
                break
            _note(meeting, name, text, on_said)
            meeting.cost = first.cost + second.cost
            if end := _ended(meeting, limits, guard.repeats(name, text), call.over):
                meeting.end = end
                break
    meeting.cost = first.cost + second.cost
    return meeting


class LoopGuard:
    """Finds speakers who go round in a circle."""

    def __init__(self) -> None:
        self._said: Counter[tuple[str, str]] = Counter()

    def repeats(self, name: str, text: str) -> bool:
        """Say whether somebody has said this too often; signs and capitals do not make it another thing."""
        key = (name, " ".join(words(text)))
        self._said[key] += 1
        return self._said[key] >= REPEATED_MAX


def _note(meeting: Meeting, name: str, text: str, on_said: Callable[[str, str], None]) -> None:
    meeting.said.append((name, text))
    on_said(name, text)


def _ended(meeting: Meeting, limits: MeetingLimits, repeats: bool, over: bool) -> MeetingEnd | None:
    if over:
        return "hung_up"
    if limits.usd is not None and meeting.cost >= limits.usd:
        return "budget"
    return "loop" if repeats else None


def _spec(call_id: str, agent: Agent, settings: Settings) -> SessionSpec:
    return SessionSpec(
        call_id=call_id,
        room="",
        url="",
        token="",
        identity="agent",
        agent_path=agent.path,
        caller_identity="agent",
        data_dir=settings.state_dir,
        speech_url=None,
    )
