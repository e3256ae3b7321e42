"""How late a loop is, and how processes hear of one another."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from repartee.telemetry.load import LEVEL_FILE, WINDOW_S, LoadBoard, LoopLag, ProcessLoad


class Board:
    def __init__(self, folder: Path) -> None:
        self.now_s = 1000.0
        self.board = LoadBoard(folder, lambda: self.now_s)


async def test_a_loop_that_stands_still_is_late_for_as_long() -> None:
    lag = LoopLag()
    lag.start()
    time.sleep(0.6)  # noqa: ASYNC251 - this is the lag
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    lag.stop()
    assert 400 < lag.p95_ms() < 5000
    assert lag.longest_ms() >= lag.p95_ms()
    assert len(lag._late_ms) >= 10, "each tick that was missed was late"


def test_a_window_forgets() -> None:
    now_s = 0.0
    lag = LoopLag(lambda: now_s)
    lag._due_s = 0.0
    lag._arm = lambda: None  # type: ignore[method-assign]
    now_s = 0.5
    lag._tick()
    assert lag.p95_ms() > 300
    for _ in range(int(WINDOW_S / 0.05)):
        lag._due_s = now_s
        lag._tick()
    assert lag.p95_ms() == lag.longest_ms() == 0.0


def test_what_processes_tell_is_read_by_all_while_it_is_new(tmp_path: Path) -> None:
    clock = Board(tmp_path)
    mine = ProcessLoad(1, 1000.0, 12.5, ((999.0, 350.0),))
    clock.board.tell(mine)
    clock.board.tell(ProcessLoad(2, 1000.0, 3.0))
    assert sorted(clock.board.loads(), key=lambda load: load.pid) == [mine, ProcessLoad(2, 1000.0, 3.0)]
    clock.board.leave(2)
    assert clock.board.loads() == [mine]
    clock.now_s += 6.0
    assert clock.board.loads() == []
    assert not (tmp_path / "load" / "1.json").exists(), "what a dead process left is removed"


def test_a_level_of_another_boot_or_half_a_file_is_none(tmp_path: Path) -> None:
    clock = Board(tmp_path)
    assert clock.board.level().level == 0
    clock.board.tell_level(3, ("lag",))
    assert (clock.board.level().level, clock.board.level().why) == (3, ("lag",))
    clock.now_s = 5.0
    assert clock.board.level().level == 0, "the clock has begun anew"
    (tmp_path / "load" / LEVEL_FILE).write_text('{"level": 3')
    assert clock.board.level().level == 0


@pytest.mark.parametrize("content", ["[]", '{"pid": "x"}', json.dumps({"pid": 1, "at_s": 1, "lag_ms": None})])
def test_what_makes_no_sense_is_nobody(tmp_path: Path, content: str) -> None:
    clock = Board(tmp_path)
    (tmp_path / "load").mkdir()
    (tmp_path / "load" / "1.json").write_text(content)
    assert clock.board.loads() == []


def test_a_disk_that_fails_costs_the_ladder_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "load").write_text("a file where the folder should be")
    clock = Board(tmp_path)
    clock.board.tell(ProcessLoad(1, 1000.0, 1.0))
    clock.board.tell_level(4)
    assert clock.board.loads() == []
    assert clock.board.level().level == 0
