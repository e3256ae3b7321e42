"""What `repartee call` shows of a call that goes on."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from repartee.cli.console import METER_CELLS, CallConsole, PlainLines, meter
from repartee.simulator.caller import Exchange, Side

FULL = "\N{FULL BLOCK}"


class Call:
    """A call as far as the console looks at it."""

    def __init__(self) -> None:
        self.said: list[tuple[Side, str]] = [("agent", "Hello [you].")]
        self.levels: dict[Side, float] = {"user": -20.0, "agent": -math.inf}
        self.attributes = {"lk.agent.state": "listening"}

    def transcript(self) -> list[tuple[Side, str]]:
        return self.said

    def level_db(self, side: Side) -> float:
        return self.levels[side]

    def agent_attributes(self) -> dict[str, str]:
        return self.attributes

    def now_s(self) -> float:
        return 65.0


def shown(what: object) -> str:
    out = Console(file=io.StringIO(), width=80, force_terminal=False)
    out.print(what)
    file = out.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize(
    ("level_db", "cells"), [(-math.inf, 0), (-54.0, 0), (-27.0, 12), (0.0, METER_CELLS), (3.0, 24)]
)
def test_a_meter_is_as_full_as_it_is_loud(level_db: float, cells: int) -> None:
    assert shown(meter(level_db)).count(FULL) == cells


def test_what_is_too_loud_is_red() -> None:
    spans = {str(span.style) for span in meter(-3.0).spans}
    assert {"green", "red"} <= spans
    assert "red" not in {str(span.style) for span in meter(-20.0).spans}


def test_captions_come_with_the_wait_of_each_answer() -> None:
    call = Call()
    console = CallConsole(call)
    console.saying("book.wav")
    call.said += [("user", "A table, please."), ("agent", "For when?")]
    call.attributes["repartee.tool"] = "free_tables"
    now = shown(console)
    assert "Hello [you]." in now
    assert "book.wav" in now
    assert "listening, waits for free_tables" in now
    assert "0 answers" in now
    console.answered(Exchange("book.wav", latency_ms=432.1))
    call.said += [("user", "At eight."), ("agent", "Booked.")]
    console.answered(Exchange("eight.wav", latency_ms=1200.0))
    lines = shown(console).splitlines()
    assert [line.split()[-2:] for line in lines if line.endswith("ms") and "median" not in line] == [
        ["432", "ms"],
        ["1200", "ms"],
    ]
    assert "1:05, 2 answers, median 816 ms, slowest 1200 ms" in lines[-1]


def test_afterwards_all_that_was_said_stays_and_meters_go() -> None:
    call = Call()
    call.said = [("agent", f"line {number}.") for number in range(30)]
    console = CallConsole(call)
    assert "line 0." not in shown(console)
    assert FULL in shown(console)
    console.over()
    after = shown(console)
    assert "line 0." in after
    assert "line 29." in after
    assert FULL not in after


def test_an_answer_that_never_came_is_told() -> None:
    console = CallConsole(Call())
    console.answered(Exchange("book.wav"))
    assert "no answer" in shown(console)


def test_without_a_terminal_there_is_a_line_for_each_thing_said() -> None:
    out = Console(file=io.StringIO(), width=80)
    plain = PlainLines(out)
    plain.greeted("Hello [red]you[/red].")
    plain.answered(Exchange("book.wav", "A table.", "For when?", 432.1))
    plain.answered(Exchange("eight.wav"))
    file = out.file
    assert isinstance(file, io.StringIO)
    assert [line.rstrip() for line in file.getvalue().splitlines()] == [
        "agent   Hello [red]you[/red].",
        "book.wav",
        "heard   A table.",
        "agent   For when?  (432 ms)",
        "eight.wav",
        "heard",
        "agent     (no answer)",
    ]
