"""Session processes killed one after another while callers come and go, and what became of the calls in them.

A call that loses three agents, each within a minute, is ended by design (`worker.calls.MAX_LOSSES`), so none is hit a
third time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from repartee.simulator.loads import quantiles
from repartee.simulator.providers.replies import Message, Replies, Reply, code, normalised, text_of
from repartee.store import Store

EVERY_S = 8.0
LOOK_S = 1.0
"""Where every process has a call that was hit twice, it is looked again after this long."""
MOST_HITS = 2
DUE_S = 10.0
"""Who hangs up sooner after a kill has not waited for another agent: that call is neither lost nor did it go on."""
NOTES = "notes.jsonl"
"""Where the agent's tool writes, in the server's state folder: a line for each time it has run."""
_TOLD = re.compile(r"case (\d+) is noted")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kill:
    """A process that was killed.

    Attributes:
        at_s: When, on the monotonic clock.
        calls: Ids of the calls in it.
    """

    at_s: float
    calls: tuple[str, ...]


class Killer:
    """Kills the busiest session process of a server, again and again.

    Args:
        server: Process id of the server.
        timelines: The folder of its calls' timelines: which process has which call is told by who has them open.
        count: So many kills.
        on_kill: Told of each, with how many there were.
    """

    def __init__(
        self, server: int, timelines: Path, count: int, on_kill: Callable[[int, Kill], None]
    ) -> None:
        self._server = server
        self._timelines = timelines
        self._count = count
        self._on_kill = on_kill
        self._hits: Counter[str] = Counter()
        self.kills: list[Kill] = []

    async def run(self) -> None:
        """Kill every eight seconds until so many are killed; where none may be killed, as soon as one may."""
        due_s = time.monotonic()
        while len(self.kills) < self._count:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            killed = await asyncio.to_thread(self._kill)
            if killed is None:
                due_s = time.monotonic() + LOOK_S
                continue
            due_s = killed.at_s + EVERY_S
            self.kills.append(killed)
            self._hits.update(killed.calls)
            self._on_kill(len(self.kills), killed)

    def _kill(self) -> Kill | None:
        """Kill the process that takes the most processor time within a second, of those that may be killed."""
        used: dict[int, float] = {}
        for _ in range(2):
            for pid in calls_of_processes(self._server, self._timelines):
                with contextlib.suppress(psutil.Error):
                    times = psutil.Process(pid).cpu_times()
                    used[pid] = times.user + times.system - used.get(pid, 0.0)
            time.sleep(LOOK_S / 2)
        held = calls_of_processes(self._server, self._timelines)
        for pid in sorted(held, key=lambda pid: -used.get(pid, 0.0)):
            if any(self._hits[call_id] >= MOST_HITS for call_id in held[pid]):
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return Kill(time.monotonic(), tuple(sorted(held[pid])))
        return None


def calls_of_processes(server: int, timelines: Path) -> dict[int, set[str]]:
    """Return the calls of each process below a server that has any."""
    found: dict[int, set[str]] = {}
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(server).children(recursive=True):
            if calls := open_timelines(process.pid, timelines):
                found[process.pid] = calls
    return found


def open_timelines(pid: int, timelines: Path) -> set[str]:
    """Return the calls a process has: it writes their timelines in this folder."""
    calls: set[str] = set()
    with contextlib.suppress(OSError):  # the process has ended
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # the file was closed meanwhile
                target = handle.readlink()
                if target.parent == timelines and target.suffix == ".jsonl":
                    calls.add(target.stem)
    return calls


class NotingReplies(Replies):
    """A model that has most of what is said noted by the tool, and tells what the tool told."""

    def answer(self, messages: list[Message]) -> Reply:
        """Answer a conversation."""
        # What the server asks for beside the conversation (short answers, on a busy machine) comes last.
        last = next((m for m in reversed(messages) if m.get("role") != "system"), {})
        said = text_of(next((m for m in reversed(messages) if m.get("role") == "user"), {}))
        number = code(said)
        if last.get("role") == "tool" or not normalised(said) or number % 3 == 0:
            return super().answer(messages)
        return Reply(tool="note", arguments={"case": number})


# --- what became of the calls ---------------------------------------------------------------------------------


def fates(kills: Sequence[Kill], rows: Sequence[Row], rooms: Mapping[str, str]) -> Row:
    """Return what became of the calls in killed processes, as their callers heard it.

    Args:
        kills: In their order.
        rows: One for each caller.
        rooms: The room of each call.
    """
    by_room = {row["room"]: row for row in rows if "room" in row and "left_s" in row}
    waits: list[float] = []
    counted: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    lost: list[str] = []
    for kill in kills:
        for call_id in kill.calls:
            row = by_room.get(rooms.get(call_id, ""))
            if row is None or row["left_s"] <= kill.at_s:
                continue  # its caller had gone; only the agent was still in the process
            counted["calls"] += 1
            hits[call_id] += 1
            wait_ms = _wait_ms(row, kill.at_s)
            if wait_ms is not None:
                waits.append(wait_ms)
            elif row["left_s"] - kill.at_s < DUE_S:
                counted["hung_up"] += 1
            else:
                lost.append(call_id)
    return {
        "kills": len(kills),
        "calls": counted["calls"],
        "went_on": len(waits),
        "hung_up": counted["hung_up"],
        "lost": len(lost),
        "different_calls": len(hits),
        "hit_twice": sum(count > 1 for count in hits.values()),
        "audio_after_ms": quantiles(waits),
        "over_6_s": sum(wait > 6000 for wait in waits),
    }


def _wait_ms(row: Row, killed_s: float) -> float | None:
    """Return how long a caller waited for the sound of an agent that came after the kill."""
    heard = [
        agent["heard_s"]
        for agent in row.get("agents", ())
        if agent["heard_s"] is not None and agent.get("came_s", 0.0) > killed_s
    ]
    return round((min(heard) - killed_s) * 1000, 1) if heard else None


def effects(state: Path, store: Store) -> Row:
    """Return what the tool did, against what callers were told; blocks.

    Args:
        state: The server's state folder.
        store: Its database.
    """
    notes = state / NOTES
    done = Counter(
        (str(call_id), int(case))
        for call_id, case in map(json.loads, notes.read_text().splitlines() if notes.exists() else ())
    )
    told: set[tuple[str, int]] = set()
    marks: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for summary in store.calls(None):
        call_id = summary.call.call_id
        reasons[summary.call.reason or "none"] += 1
        for turn in store.turns(call_id):
            told |= {(call_id, int(case)) for case in _TOLD.findall(turn.heard_text)}
        for event in store.events(call_id):
            if event.kind in {"tool.repeated", "tool.refused"}:
                marks[str(event.data.get("why", event.kind))] += 1
    return {
        "done": len(done),
        "doubled": sum(count - 1 for count in done.values()),
        "told": len(told),
        "told_and_not_done": len(told - set(done)),
        "not_done_again": marks["tool.repeated"],
        "not_known": marks["unknown"],
        "ended_because": dict(reasons),
    }


def rooms_of(store: Store) -> dict[str, str]:
    """Return the room of each call; blocks."""
    return {summary.call.call_id: summary.call.room for summary in store.calls(None)}
