"""Two agents that talk to each other, each in a call of its own: to try one against the other, and for soak.

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
from functools import partial
from typing import Literal

from repartee.agent import Agent
from repartee.conversation.policies import words
from repartee.errors import ProviderError
from repartee.session.spec import SessionSpec
from repartee.session.spoken_call import Line, SpokenCall
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
    """Have one agent call another, and let them talk in text, one after the other.

    Args:
        called: The agent that is called; it greets.
        caller: The one that calls; it answers the greeting.
        settings: Provider keys.
        limits: When it ends.
        on_said: Told of each thing that is said.

    Raises:
        ReparteeError: One of the calls could not be begun.
    """
    minutes = _Minutes((called, caller), limits or MeetingLimits(), on_said)
    first, second = (TextCall(spec, settings) for spec in minutes.specs(settings))
    minutes.cost = lambda: first.cost + second.cost
    async with first, second:
        text, until_s = called.opening, time.monotonic() + minutes.limits.seconds
        minutes.said(0, text)
        while minutes.end is None:
            speaker = len(minutes.meeting.said) % 2
            call = (first, second)[speaker]
            try:
                async with asyncio.timeout(max(0.0, until_s - time.monotonic())):
                    text = await call.say(text)
            except TimeoutError:
                minutes.end = "time"
            except ProviderError:
                minutes.end = "failed"
            else:
                minutes.said(speaker, text)
                minutes.end = minutes.end or ("hung_up" if call.over else None)
    return minutes.done()


async def meet_aloud(
    called: Agent,
    caller: Agent,
    settings: Settings,
    speech_url: str | None,
    limits: MeetingLimits | None = None,
    on_said: Callable[[str, str], None] = lambda *_: None,
) -> Meeting:
    """Have one agent call another, and let them speak with each other; arguments as for `meet`.

    Args:
        called: The agent that is called; it greets.
        caller: The one that calls.
        settings: Provider keys.
        speech_url: The speech host; None where neither needs one.
        limits: When it ends.
        on_said: Told of each thing that is said, as far as it was heard.

    Raises:
        ReparteeError: One of the calls could not be begun.
    """
    minutes = _Minutes((called, caller), limits or MeetingLimits(), on_said)
    lines = Line(), Line()
    first, second = (
        SpokenCall(spec, settings, line, partial(minutes.said, speaker))
        for speaker, (spec, line) in enumerate(zip(minutes.specs(settings, speech_url), lines, strict=True))
    )
    minutes.cost = lambda: first.cost + second.cost
    async with first, second:
        running = [
            asyncio.create_task(lines[0].run(second.hear), name="line"),
            asyncio.create_task(lines[1].run(first.hear), name="line back"),
        ]
        over = [asyncio.create_task(call.ended(), name="hung up") for call in (first, second)]
        ended = asyncio.create_task(minutes.ended.wait(), name="meeting ended")
        first.ring()
        waited = {*running, *over, ended}
        try:
            await asyncio.wait(waited, timeout=minutes.limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            hung_up = any(task.done() for task in over)
            minutes.end = minutes.end or ("hung_up" if hung_up else "time")
        finally:
            for task in waited:
                task.cancel()
            ends = await asyncio.gather(*waited, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end
    return minutes.done()


class _Minutes:
    """Writes down what is said, and says when it is enough."""

    def __init__(
        self, agents: tuple[Agent, Agent], limits: MeetingLimits, on_said: Callable[[str, str], None]
    ) -> None:
        self._agents = agents
        self._on_said = on_said
        self._guard = LoopGuard()
        self.limits = limits
        self.meeting = Meeting((uuid.uuid4().hex, uuid.uuid4().hex))
        self.end: MeetingEnd | None = None
        self.ended = asyncio.Event()
        self.cost: Callable[[], Decimal] = Decimal
        """Returns what both calls have cost."""
        called, caller = agents
        alike = called.name == caller.name
        self._names = (
            f"{called.name} (called)" if alike else called.name,
            f"{caller.name} (calling)" if alike else caller.name,
        )

    def specs(self, settings: Settings, speech_url: str | None = None) -> tuple[SessionSpec, SessionSpec]:
        """Return the two calls."""
        first, second = (
            _spec(call_id, agent, settings, speech_url)
            for call_id, agent in zip(self.meeting.calls, self._agents, strict=True)
        )
        return first, second

    def said(self, speaker: int, text: str) -> None:
        """Take what one of them has said."""
        if self.end is not None:
            return
        name = self._names[speaker]
        self.meeting.said.append((name, text))
        self._on_said(name, text)
        if self._guard.repeats(name, text):
            self.end = "loop"
        elif self.limits.usd is not None and self.cost() >= self.limits.usd:
            self.end = "budget"
        elif len(self.meeting.said) >= self.limits.turns:
            self.end = "turns"
        if self.end is not None:
            self.ended.set()

    def done(self) -> Meeting:
        """Return it, when both calls are over and paid for."""
        self.meeting.end = self.end or "failed"
        self.meeting.cost = self.cost()
        return self.meeting


class LoopGuard:
    """Finds speakers who go round in a circle."""

    def __init__(self) -> None:
        self._said: Counter[tuple[str, str]] = Counter()

    def repeats(self, name: str, text: str) -> bool:
        """Say whether somebody has said this too often; signs and capitals do not make it another thing."""
        key = (name, " ".join(words(text)))
        self._said[key] += 1
        return self._said[key] >= REPEATED_MAX


def _spec(call_id: str, agent: Agent, settings: Settings, speech_url: str | None) -> SessionSpec:
    return SessionSpec(
        call_id=call_id,
        room="",
        url="",
        token="",
        identity="agent",
        agent_path=agent.path,
        caller_identity="agent",
        data_dir=settings.state_dir,
        speech_url=speech_url,
    )
