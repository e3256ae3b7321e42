"""Processes killed one after another: who is hit, what became of the calls, and what was done twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from repartee.simulator.kills import (
    MOST_HITS,
    NOTES,
    Kill,
    Killer,
    NotingReplies,
    calls_of_processes,
    effects,
    fates,
)
from repartee.simulator.providers.replies import code
from repartee.store import CallRow, EventRow, Store, TurnRow

HOLDER = """
import sys, time
files = [open(name, "a") for name in sys.argv[1:]]
print("ready", flush=True)
time.sleep(60)
"""


class Sessions:
    """Processes that have timelines open, as session processes do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *calls: str) -> subprocess.Popen[bytes]:
        names = [str(self.folder / f"{call}.jsonl") for call in calls]
        process = subprocess.Popen([sys.executable, "-c", HOLDER, *names], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        self.started.append(process)
        return process


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    made = Sessions(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()


def test_which_process_has_which_calls_is_told_by_their_timelines(sessions: Sessions) -> None:
    one, two = sessions.start("a", "b"), sessions.start("c")
    sessions.start()
    assert calls_of_processes(os.getpid(), sessions.folder) == {one.pid: {"a", "b"}, two.pid: {"c"}}


async def test_the_busy_are_killed_and_no_call_is_hit_a_third_time(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repartee.simulator.kills.EVERY_S", 0.0)
    monkeypatch.setattr("repartee.simulator.kills.LOOK_S", 0.01)
    hit = sessions.start("hit", "fresh")
    told: list[tuple[int, tuple[str, ...]]] = []

    def on_kill(number: int, kill: Kill) -> None:
        told.append((number, kill.calls))
        if number < MOST_HITS:
            sessions.started[-1].wait()
            sessions.start("hit", "fresh")
        elif number == MOST_HITS:
            sessions.started[-1].wait()
            sessions.start("other")
            sessions.start("hit")

    began_s = time.monotonic()
    killer = Killer(os.getpid(), sessions.folder, 3, on_kill)
    await killer.run()
    assert hit.returncode == -9
    assert told == [(1, ("fresh", "hit")), (2, ("fresh", "hit")), (3, ("other",))]
    assert all(began_s <= kill.at_s <= time.monotonic() for kill in killer.kills)
    assert sessions.started[3].poll() is None, "the one with the call that was hit twice lives"


def row(room: str, *agents: tuple[float, float | None], left_s: float = 200.0) -> dict[str, Any]:
    heard = [
        {"identity": f"{room}-{number}", "came_s": came_s, "heard_s": heard_s}
        for number, (came_s, heard_s) in enumerate(agents)
    ]
    return {"room": room, "agents": heard, "left_s": left_s}


def test_what_became_of_calls() -> None:
    rows = [
        row("went on", (90.0, 91.0), (101.0, 102.5)),
        row("lost", (90.0, 91.0)),
        row("hung up", (90.0, 91.0), left_s=104.0),
        row("had gone", (90.0, 91.0), left_s=99.0),
        row("not yet heard", (99.0, 100.2), (101.0, 103.0)),
        row("twice", (90.0, 91.0), (101.0, None), (111.0, 112.0)),
    ]
    rooms = {name["room"]: name["room"] for name in rows}
    kills = [Kill(100.0, (*rooms, "nobody came")), Kill(110.0, ("twice",))]
    found = fates(kills, rows, rooms)
    assert {name: found[name] for name in ("kills", "calls", "went_on", "hung_up", "lost")} == {
        "kills": 2,
        "calls": 6,
        "went_on": 4,
        "hung_up": 1,
        "lost": 1,
    }
    assert (found["different_calls"], found["hit_twice"], found["over_6_s"]) == (5, 1, 1)
    assert found["audio_after_ms"] == {"p50": 2750.0, "p95": 10650.0, "max": 12000.0, "n": 4}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path / 'repartee.db'}", spool=tmp_path / "spool")
    yield opened
    opened.close()


def test_what_was_done_twice_and_what_was_told_and_not_done(tmp_path: Path, store: Store) -> None:
    for call_id, reason in (("one", "caller_left"), ("two", None)):
        ended = datetime.now(UTC) if reason else None
        store.write([CallRow(call_id, "A", "1", call_id, datetime.now(UTC), ended_at=ended, reason=reason)])
    store.write(
        [
            TurnRow("one", 1, "a", "Here is what I found. case 101 is noted"),
            TurnRow("one", 2, "b", "Here is what I found. case 102 is noted"),
            TurnRow("two", 1, "c", "Here is what I found. case 101 is", "noted"),
            EventRow("one", 1.0, "tool.repeated", {"tool": "note"}),
            EventRow("one", 2.0, "tool.refused", {"tool": "note", "why": "unknown"}),
            EventRow("one", 3.0, "tool.refused", {"tool": "note", "why": "fenced"}),
        ]
    )
    notes = [["one", 101], ["one", 101], ["two", 101]]
    (tmp_path / NOTES).write_text("".join(json.dumps(note) + "\n" for note in notes))
    assert effects(tmp_path, store) == {
        "done": 2,
        "doubled": 1,
        "told": 2,
        "told_and_not_done": 1,
        "not_done_again": 1,
        "not_known": 1,
        "ended_because": {"caller_left": 1, "none": 1},
    }


def test_the_model_has_most_things_noted_and_tells_what_it_was_told() -> None:
    replies = NotingReplies(None, "short")
    said = [f"Order {number} loaves" for number in range(30)]
    calls = [replies.answer([{"role": "user", "content": text}]) for text in said]
    noted = [(text, reply) for text, reply in zip(said, calls, strict=True) if reply.tool]
    assert 10 < len(noted) < 28
    assert all(reply.arguments == {"case": code(text)} for text, reply in noted)
    told = replies.answer([{"role": "user", "content": "x"}, {"role": "tool", "content": "case 7 is noted"}])
    assert "case 7 is noted" in told.text
    busy = [{"role": "user", "content": noted[0][0]}, {"role": "tool", "content": "case 7 is noted"}]
    asked = [*busy, {"role": "system", "content": "Answer in one short sentence."}]
    assert replies.answer(asked).tool is None, "what a busy server asks for beside it changes nothing"
    assert replies.answer([{"role": "system", "content": "x"}]).tool is None
