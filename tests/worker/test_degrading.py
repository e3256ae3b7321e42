"""The worker's view: processes, processors and providers become one level, and every process hears it."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from repartee.conversation.degradation import Level
from repartee.providers.breakers import State
from repartee.providers.shared import BreakerKey
from repartee.telemetry.load import LoadBoard, ProcessLoad
from repartee.worker import degrading
from repartee.worker.degrading import LoadWatch, dead_stages
from repartee.worker.metrics import WorkerMetrics


def key(model: str, operation: str) -> BreakerKey:
    return BreakerKey("openai", model, "k", operation)


class Machine:
    """A board, a clock, processors and providers, all in hand."""

    def __init__(self, folder: Path, pinned: int | None = None) -> None:
        self.now_s = 1000.0
        self.cpu = 0.1
        self.states: dict[BreakerKey, State] = {}
        self.board = LoadBoard(folder, lambda: self.now_s)
        self.watch = LoadWatch(
            self.board,
            breakers=lambda: self.states,
            pinned=pinned,
            cpu=lambda: self.cpu,
            clock_s=lambda: self.now_s,
        )

    def seconds(self, count: int, **processes: float) -> Level:
        for _ in range(count):
            self.now_s += 1.0
            for pid, (_, lag_ms) in enumerate(processes.items()):
                self.board.tell(ProcessLoad(pid + 1, self.now_s, lag_ms))
            self.watch.judge(self.cpu, 0.0)
            self.watch.tell()
        return self.watch.level


def test_the_latest_of_the_processes_counts_and_all_hear_the_level(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.seconds(12, one=2.0, two=3.0) is Level.NORMAL
    assert machine.seconds(12, one=2.0, two=50.0) is Level.SMALL
    assert machine.board.level().level == Level.SMALL
    assert machine.board.level().why == ("lag",)
    assert machine.watch.changes == 1
    assert machine.seconds(68, one=2.0) is Level.NORMAL, "the late process has gone"


def test_processors_alone_are_enough_to_close(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.cpu = 0.99
    assert machine.seconds(12) is Level.CLOSED
    assert machine.watch.closed


def test_a_machine_without_a_call_is_never_closed_to_the_first(tmp_path: Path) -> None:
    """What else runs on it may take its processors; nobody is spared anything by a refusal."""
    calls, seconds = 0, itertools.count(1000)
    board = LoadBoard(tmp_path, lambda: 1000.0)
    watch = LoadWatch(board, calls=lambda: calls, cpu=lambda: 0.99, clock_s=lambda: next(seconds))
    for _ in range(20):
        watch.judge(0.99, 0.0)
    watch.tell()
    assert (watch.level, watch.closed, board.level().level) == (Level.PLAIN, False, Level.PLAIN)
    calls = 1
    assert watch.judge(0.99, 0.0) is Level.CLOSED, "the second would spoil the first"
    assert LoadWatch(board, calls=lambda: 0, pinned=4).judge(0.1, 0.0) is Level.CLOSED


def test_slow_first_tokens_are_counted_once_each_from_all_processes(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    tokens: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for second in range(160):
        machine.now_s += 1.0
        took_ms = 400.0 if second < 90 else 900.0
        for pid, told in tokens.items():
            told.append((machine.now_s, took_ms))
            machine.board.tell(ProcessLoad(pid, machine.now_s, 1.0, tuple(told[-5:])))
        machine.watch.judge(machine.cpu, 0.0)
    assert len(machine.watch._tokens._times) == 320
    assert machine.watch.load.first_token == pytest.approx(2.25)
    assert machine.watch.level is Level.SMALL


def test_a_stage_without_anybody_left_is_down_and_one_that_may_be_tried_is_not() -> None:
    chat, other, voice = key("large", "chat"), key("small", "chat"), key("tts", "speech")
    assert dead_stages({}) == frozenset()
    assert dead_stages({chat: "open", other: "closed", voice: "closed"}) == frozenset()
    assert dead_stages({chat: "open", other: "refused", voice: "closed"}) == {"chat"}
    assert dead_stages({chat: "half_open", other: "refused"}) == frozenset()


def test_a_dead_stage_takes_the_machine_down_and_one_probe_that_may_be_made_brings_it_back(
    tmp_path: Path,
) -> None:
    machine = Machine(tmp_path)
    chat = key("large", "chat")
    machine.states = {chat: "open"}
    assert machine.seconds(6) is Level.NORMAL
    assert machine.seconds(4) is Level.DOWN
    machine.states = {chat: "half_open"}
    assert machine.seconds(1) is Level.NORMAL


def test_a_pinned_level_holds_whatever_is_measured(tmp_path: Path) -> None:
    machine = Machine(tmp_path, pinned=2)
    machine.cpu = 0.99
    assert machine.seconds(20) is Level.SMALL
    assert machine.board.level().level == Level.SMALL


def test_the_level_and_what_it_comes_from_are_in_the_metrics(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    metrics = WorkerMetrics(lambda: 0, lambda: True)
    metrics.watch_load(machine.watch)
    machine.cpu = 0.88
    machine.seconds(12, one=7.5)
    lines = metrics.text().decode().splitlines()
    assert "repartee_level 1.0" in lines
    assert "repartee_level_changes 1.0" in lines
    assert "repartee_loop_lag_ms 7.5" in lines
    assert "repartee_cpu_share 0.88" in lines


async def test_who_lets_people_in_again_tells_livekit_before_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path)
    machine.cpu = 0.99
    assert machine.seconds(12) is Level.CLOSED
    heard = asyncio.Event()
    door: list[int] = []

    async def opening() -> None:
        door.append(machine.board.level().level)
        heard.set()

    machine.watch.before_opening = opening
    monkeypatch.setattr(degrading, "JUDGE_S", 0.0)
    monkeypatch.setattr(machine.watch, "_cpu", lambda: 0.1)
    minutes = itertools.count(machine.now_s, 61.0)
    monkeypatch.setattr(machine.watch, "_clock_s", lambda: next(minutes))
    watching = asyncio.create_task(machine.watch.run())
    try:
        await asyncio.wait_for(heard.wait(), 20)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert door == [Level.CLOSED]


async def test_it_measures_by_itself_once_a_second_and_tells(tmp_path: Path) -> None:
    board = LoadBoard(tmp_path)
    watch = LoadWatch(board, pinned=2)
    watching = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(20):
            while watch.load.cpu <= 0.0:  # noqa: ASYNC110 - the second look is the first that knows
                await asyncio.sleep(0.05)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert 0.0 < watch.load.cpu <= 1.0
    assert board.level().level == Level.SMALL
