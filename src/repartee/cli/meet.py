"""`repartee meet`: two agents hold a conversation, and what they said is printed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

from rich.console import Console

from repartee.agent import Agent
from repartee.providers import choose_ladder
from repartee.providers.ondevice import SpeechHost
from repartee.session.meeting import Meeting, MeetingLimits, meet, meet_aloud
from repartee.settings import Settings

_ENDS = {
    "turns": "as many turns as were asked for",
    "time": "the time was up",
    "budget": "the money was up",
    "loop": "one of them said the same thing again and again",
    "hung_up": "one of them ended the call",
    "failed": "one of them gave no answer",
}


async def run_meeting(
    agents: tuple[Agent, Agent],
    settings: Settings,
    limits: MeetingLimits,
    out: Console,
    stop: asyncio.Event,
    *,
    aloud: bool,
) -> bool:
    """Hold it until it ends or is stopped; return whether both always answered."""

    def said(name: str, text: str) -> None:
        out.print(f"[bold]{name}:[/bold] ", end="")
        out.print(text, markup=False, soft_wrap=True)

    holding = _hold_aloud if aloud else _hold
    meeting = asyncio.create_task(holding(agents, settings, limits, said), name="meeting")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({meeting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not meeting.done():
        meeting.cancel()
        await asyncio.gather(meeting, return_exceptions=True)
        return True
    done = meeting.result()
    cost = done.cost.quantize(Decimal("0.000001")).normalize()
    out.print(f"\n{len(done.said)} turns, {cost:f} USD: {_ENDS[done.end]}.")
    out.print(f"calls {done.calls[0]} and {done.calls[1]}", soft_wrap=True)
    return done.end != "failed"


async def _hold(
    agents: tuple[Agent, Agent],
    settings: Settings,
    limits: MeetingLimits,
    said: Callable[[str, str], None],
) -> Meeting:
    return await meet(*agents, settings, limits, said)


async def _hold_aloud(
    agents: tuple[Agent, Agent],
    settings: Settings,
    limits: MeetingLimits,
    said: Callable[[str, str], None],
) -> Meeting:
    ladders = [await choose_ladder(settings, agent) for agent in agents]
    if not any(ladder.uses_speech_host for ladder in ladders):
        return await meet_aloud(*agents, settings, None, limits, said)
    async with SpeechHost.start() as host:
        return await meet_aloud(*agents, settings, host.url, limits, said)
