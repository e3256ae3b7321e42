"""Two agents hold a conversation, and what they said is printed; or many, and what is left of them is counted."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import platform
import shlex
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from repartee.agent import Agent
from repartee.errors import ConfigError
from repartee.providers import choose_ladder
from repartee.providers.ondevice import SpeechHost
from repartee.session.meeting import Meeting, MeetingEnd, MeetingLimits, meet, meet_aloud
from repartee.settings import Settings
from repartee.simulator.loads import left_over

WARM = 10
"""After so many meetings what is made once is there: pools of threads and connections, caches."""
SPARE = 2
"""So much more than then is nothing that stays with each meeting: a pool breathes."""
COUNTED = ("tasks", "threads", "files", "sockets")
_ENDS: dict[MeetingEnd, str] = {
    "turns": "as many turns as were asked for",
    "time": "the time was up",
    "budget": "the money was up",
    "loop": "one of them said the same thing again and again",
    "hung_up": "one of them ended the call",
    "failed": "one of them gave no answer",
}
Told = Callable[[str, str], None]
Hold = Callable[[Told], Coroutine[Any, Any, Meeting]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Who meets.

    Attributes:
        agents: The one that is called, and the one that calls.
        settings: Provider keys.
        limits: When a meeting ends.
        aloud: Whether they speak.
    """

    agents: tuple[Agent, Agent]
    settings: Settings
    limits: MeetingLimits
    aloud: bool = False


@dataclass
class Count:
    """What many meetings were, and what was there after each.

    Attributes:
        ends: How many ended how.
        turns: Things said in all of them.
        cost: Of all of them, USD.
        left: Before the first, then after each: tasks of the event loop, Python objects and memory of this process,
            and threads, open files and sockets of it and its children.
    """

    ends: Counter[MeetingEnd] = field(default_factory=Counter)
    turns: int = 0
    cost: Decimal = Decimal(0)
    left: list[dict[str, Any]] = field(default_factory=list)

    def add(self, meeting: Meeting) -> None:
        """Take a meeting that is over."""
        self.ends[meeting.end] += 1
        self.turns += len(meeting.said)
        self.cost += meeting.cost

    def warm(self) -> int:
        """Return after how many meetings nothing more should be added."""
        return min(WARM, (len(self.left) - 1) // 2)

    def grown(self) -> dict[str, int]:
        """Return what became more and more since then, and by how much."""
        first, last = self.left[self.warm()], self.left[-1]
        return {name: more for name in COUNTED if (more := last[name] - first[name]) > SPARE}


async def run_meeting(plan: Plan, out: Console, stop: asyncio.Event) -> bool:
    """Hold one until it ends or is stopped; return whether both always answered."""

    def said(name: str, text: str) -> None:
        out.print(f"[bold]{name}:[/bold] ", end="")
        out.print(text, markup=False, soft_wrap=True)

    async with _holding(plan) as hold:
        done = await _unless_stopped(hold(said), stop)
    if done is None:
        return True
    out.print(f"\n{_told(done)}.")
    out.print(f"calls {done.calls[0]} and {done.calls[1]}", soft_wrap=True)
    return done.end != "failed"


async def run_meetings(plan: Plan, times: int, write: Path | None, out: Console, stop: asyncio.Event) -> bool:
    """Hold many, one after the other, and count what is left after each.

    Args:
        plan: Who meets.
        times: How often.
        write: Where the count is written as JSON.
        out: Where it is printed.
        stop: Set to end it early; then nothing is written.

    Returns:
        Whether both always answered and nothing became more with every meeting.

    Raises:
        ReparteeError: A call could not be begun.
        ConfigError: The file cannot be written.
    """
    counted = Count()
    async with _holding(plan) as hold:
        counted.left.append(await _left())
        for number in range(1, times + 1):
            done = await _unless_stopped(hold(lambda *_: None), stop)
            if done is None:
                out.print("stopped before the end; nothing was written")
                return True
            counted.add(done)
            counted.left.append(await _left())
            out.print(f"{number:>{len(str(times))}}  {_told(done)}", soft_wrap=True)
            del done
    _show(counted, out)
    if write is not None:
        await asyncio.to_thread(_write, _report(plan, times, counted), write)
        out.print(f"wrote {write}", markup=False, soft_wrap=True)
    return not counted.grown() and not counted.ends["failed"]


@contextlib.asynccontextmanager
async def _holding(plan: Plan) -> AsyncIterator[Hold]:
    """Start what they need to speak, once; what is given holds one meeting."""
    async with contextlib.AsyncExitStack() as stack:
        if not plan.aloud:
            yield lambda said: meet(*plan.agents, plan.settings, plan.limits, said)
            return
        ladders = [await choose_ladder(plan.settings, agent) for agent in plan.agents]
        url = None
        if any(ladder.uses_speech_host for ladder in ladders):
            url = (await stack.enter_async_context(SpeechHost.start())).url
        yield lambda said: meet_aloud(*plan.agents, plan.settings, url, plan.limits, said)


async def _unless_stopped(work: Coroutine[Any, Any, Meeting], stop: asyncio.Event) -> Meeting | None:
    """Return what comes of it; None, and it has ended, when it was stopped before."""
    meeting = asyncio.create_task(work, name="meeting")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({meeting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not meeting.done():
        meeting.cancel()
        await asyncio.gather(meeting, return_exceptions=True)
        return None
    return meeting.result()


async def _left() -> dict[str, Any]:
    """Count what is there."""
    gc.collect()
    # The process's own memory: its part of what is shared grows when another process ends.
    own = psutil.Process().memory_full_info().uss / 1e6
    counted = {"tasks": len(asyncio.all_tasks()), "objects": len(gc.get_objects())}
    return counted | left_over([os.getpid()]) | {"memory_mb": round(own, 1)}


def _told(done: Meeting) -> str:
    return f"{len(done.said)} turns, {_usd(done.cost)} USD: {_ENDS[done.end]}"


def _usd(cost: Decimal) -> str:
    return f"{cost.quantize(Decimal('0.000001')).normalize():f}"


def _show(counted: Count, out: Console) -> None:
    ends = ", ".join(f"{number} ended because {_ENDS[end]}" for end, number in counted.ends.most_common())
    out.print(f"\n{counted.turns} turns, {_usd(counted.cost)} USD; {ends}\n", soft_wrap=True)
    warm, last = counted.warm(), len(counted.left) - 1
    out.print(f"{'':<12}{'before':>12}{f'after {warm}':>12}{f'after {last}':>12}", style="bold")
    for name in (*COUNTED, "objects", "memory_mb"):
        cells = "".join(f"{counted.left[at][name]:>12}" for at in (0, warm, last))
        out.print(f"{name.replace('_', ', ').replace('mb', 'MB'):<12}{cells}")
    out.print()
    for name, more in counted.grown().items():
        out.print(f"[red]{more} {name} more than after {warm} meetings: something stays with each[/red]")
    if not counted.grown():
        out.print("nothing stays with each meeting")


def _report(plan: Plan, times: int, counted: Count) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["repartee", *sys.argv[1:]]),
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "agents": [agent.name for agent in plan.agents],
        "aloud": plan.aloud,
        "meetings": times,
        "turns": counted.turns,
        "usd": str(counted.cost),
        "ends": dict(counted.ends),
        "warm": counted.warm(),
        "grown": counted.grown(),
        "left": counted.left,
    }


def _write(report: dict[str, Any], path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
