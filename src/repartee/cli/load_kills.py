"""Callers and killer of `repartee bench load --mode kills`, and what is said of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from repartee.errors import ConfigError
from repartee.simulator.crowd import Arrival
from repartee.simulator.kills import EVERY_S, Kill, Killer, effects, fates, rooms_of
from repartee.simulator.loads import Row
from repartee.store import Store

TOOLS = Path("benchmarks/data/kills_tools.py")
STAYS_S = (20.0, 32.0)
"""So long callers stay, and to the end of the answer they are hearing then."""
LEAVES_S = 10.0
"""From then until the next caller comes."""
APART_S = 2.0
"""Between the first callers."""
SLACK = 1.4
"""Kills take longer than their rhythm where every process has a call that may not be hit again."""
TRIES = 3


def kills_take_s(kills: int) -> float:
    """Return how long so many kills may take."""
    return kills * EVERY_S * SLACK


def coming_and_going(
    lines: int, ends_s: float, says: Callable[[], tuple[int, ...]], rng: random.Random
) -> tuple[Arrival, ...]:
    """Return callers of whom one follows another on each of so many lines.

    Args:
        lines: How many there are at once.
        ends_s: Nobody comes after this time.
        says: Returns what the next one says.
        rng: Draws how long they stay.
    """
    arrivals: list[Arrival] = []
    for line in range(lines):
        at_s = line * APART_S
        while at_s < ends_s:
            leaves_s = at_s + rng.uniform(*STAYS_S)
            arrivals.append(Arrival(at_s, says(), leaves_s, TRIES))
            at_s = leaves_s + LEAVES_S
    return tuple(sorted(arrivals, key=lambda arrival: arrival.at_s))


def copy_tools(folder: Path) -> str:
    """Put the agent's tools beside where its file will be; return their name.

    Raises:
        ConfigError: They are not there.
    """
    if not TOOLS.is_file():
        raise ConfigError(f"--mode kills needs {TOOLS}; run it in a checkout of the repository")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TOOLS.name).write_bytes(TOOLS.read_bytes())
    return TOOLS.name


async def kill_many(
    server: int, state: Path, count: int, holding: asyncio.Task[list[Row]], out: Console
) -> Killer:
    """Kill one process after another until there were enough, or the last caller has left.

    Args:
        server: Its process id.
        state: Its state folder.
        count: So many kills.
        holding: Ends with the last caller.
        out: Told of each kill.
    """
    began_s = time.monotonic()

    def tell(number: int, kill: Kill) -> None:
        after_s = kill.at_s - began_s
        out.print(f"kill {number} of {count} after {after_s:.0f} s, {len(kill.calls)} calls in it")

    # A process that has a call has its timeline open.
    killer = Killer(server, state / "calls", count, tell)
    killing = asyncio.create_task(killer.run(), name="killer")
    await asyncio.wait({killing, holding}, return_when=asyncio.FIRST_COMPLETED)
    killing.cancel()
    for end in await asyncio.gather(killing, return_exceptions=True):
        if isinstance(end, Exception):
            raise end
    return killer


def judged(state: Path, kills: Sequence[Kill], rows: Sequence[Row]) -> Row:
    """Return what became of the calls in killed processes, and what their tool did; blocks."""
    store = Store.open(f"sqlite:///{state / 'repartee.db'}")
    try:
        return {"fates": fates(kills, rows, rooms_of(store)), "effects": effects(state, store)}
    finally:
        store.close()


def print_fates(found: Row, tools: Row, out: Console) -> None:
    """Print what became of the calls, and of what their tool did."""
    after = found["audio_after_ms"]
    out.print(
        f"{found['kills']} kills, {found['calls']} times a call was in the process: {found['went_on']} went on, "
        f"{found['hung_up']} hung up within 10 s, {found['lost']} lost; kill to an agent's sound p50 "
        f"{after['p50']:.0f} p95 {after['p95']:.0f} max {after['max']:.0f} ms; the tool did {tools['done']} things, "
        f"{tools['doubled']} twice; {tools['told']} were told as done, "
        f"{tools['told_and_not_done']} of them were not; {tools['not_done_again']} not done again, "
        f"{tools['not_known']} not known",
        soft_wrap=True,
        highlight=False,
    )
