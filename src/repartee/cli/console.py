"""`repartee call`: a call with recordings as it goes on, with levels and captions; plain lines without a terminal."""

from __future__ import annotations

import contextlib
import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from repartee.cli.asking import count, length
from repartee.simulator.audio import read_audio
from repartee.simulator.caller import RATE_HZ, Caller, CallReport, Exchange, Side

METER_CELLS = 24
FLOOR_DB, LOUD_DB = -54.0, -12.0
"""Where a meter begins, and from where on it is red."""
LINES = 12
"""Of captions that are shown at once."""
SLOW_MS = 1000.0
NAMES: dict[Side, str] = {"user": "you", "agent": "agent"}


class Heard(Protocol):
    """What the console wants to know of a call that goes on."""

    def transcript(self) -> list[tuple[Side, str]]:
        """Return the captions of both sides."""

    def level_db(self, side: Side) -> float:
        """Return how loud a side is."""

    def agent_attributes(self) -> dict[str, str]:
        """Return what the agent shows."""

    def now_s(self) -> float:
        """Return how long the call has lasted."""


class CallConsole:
    """The call as the terminal shows it.

    Args:
        call: The call.
    """

    def __init__(self, call: Heard) -> None:
        self._call = call
        self._waits: dict[int, float | None] = {}
        """By the place of an answer's caption: how long it was waited for."""
        self._files: list[str] = []
        self._over = False

    def saying(self, name: str) -> None:
        """A recording is said."""
        self._files.append(name)

    def answered(self, exchange: Exchange) -> None:
        """An answer has come to its end, or has not come."""
        places = [at for at, (side, _) in enumerate(self._call.transcript()) if side == "agent"]
        if places:
            self._waits[places[-1]] = exchange.latency_ms

    def over(self) -> None:
        """The call has ended: what was said stays to be read, meters go."""
        self._over = True

    def __rich__(self) -> Group:
        said = self._call.transcript()
        first = 0 if self._over else max(0, len(said) - LINES)
        captions = Table.grid(padding=(0, 2))
        captions.add_column(width=5)
        captions.add_column(ratio=1, overflow="fold")
        captions.add_column(justify="right", no_wrap=True)
        for at, (side, text) in enumerate(said[first:], first):
            style = "bold cyan" if side == "user" else "bold"
            captions.add_row(Text(NAMES[side], style=style), Text(text), self._wait(at))
        parts: list[RenderableType] = [captions, Text(), self._status()]
        return Group(*parts) if self._over else Group(self._meters(), Text(), *parts)

    def _meters(self) -> Table:
        grid = Table.grid(padding=(0, 2))
        state = self._call.agent_attributes().get("lk.agent.state", "")
        tool = self._call.agent_attributes().get("repartee.tool", "")
        saying = self._files[-1] if self._files else ""
        grid.add_row(Text("you"), meter(self._call.level_db("user")), Text(saying, style="dim"))
        shown = f"{state}, waits for {tool}" if tool else state
        grid.add_row(Text("agent"), meter(self._call.level_db("agent")), Text(shown, style="dim"))
        return grid

    def _wait(self, at: int) -> Text:
        if at not in self._waits:
            return Text()
        wait_ms = self._waits[at]
        if wait_ms is None:
            return Text("no answer", style="red")
        return Text(f"{wait_ms:.0f} ms", style="red" if wait_ms >= SLOW_MS else "green")

    def _status(self) -> Text:
        waits = [wait for wait in self._waits.values() if wait is not None]
        told = [length(self._call.now_s()), count(len(self._waits), "answer")]
        if waits:
            told += [f"median {statistics.median(waits):.0f} ms", f"slowest {max(waits):.0f} ms"]
        return Text(", ".join(told), style="dim")


def meter(level_db: float) -> Text:
    """Return a level as a bar."""
    share = min(1.0, max(0.0, (level_db - FLOOR_DB) / -FLOOR_DB))
    filled = round(share * METER_CELLS)
    loud = round((LOUD_DB - FLOOR_DB) / -FLOOR_DB * METER_CELLS)
    bar = Text("\N{LEFT ONE EIGHTH BLOCK}", style="dim")
    bar.append("\N{FULL BLOCK}" * min(filled, loud), style="green")
    bar.append("\N{FULL BLOCK}" * max(0, filled - loud), style="red")
    bar.append(" " * (METER_CELLS - filled))
    bar.append("\N{RIGHT ONE EIGHTH BLOCK}", style="dim")
    return bar


class PlainLines:
    """The call where there is no terminal: a line for each thing said, when it is over."""

    def __init__(self, out: Console) -> None:
        self._out = out

    def greeted(self, text: str) -> None:
        """The agent has greeted."""
        self._out.print(f"[bold]agent[/bold]   {escape(text)}", soft_wrap=True)

    def answered(self, exchange: Exchange) -> None:
        """A recording was said and answered."""
        self._out.print(f"[dim]{escape(exchange.audio)}[/dim]")
        self._out.print(f"[bold]heard[/bold]   {escape(exchange.heard)}", soft_wrap=True)
        wait = f"{exchange.latency_ms:.0f} ms" if exchange.latency_ms is not None else "no answer"
        self._out.print(f"[bold]agent[/bold]   {escape(exchange.reply)}  [dim]({wait})[/dim]", soft_wrap=True)


async def hold_call(url: str, files: list[Path], record: Path | None, out: Console | None) -> CallReport:
    """Make one call and return what happened.

    Args:
        url: The server's address.
        files: Recordings, said in this order.
        record: Where both sides are written as a stereo file.
        out: Where it is shown; None shows nothing.

    Raises:
        ConfigError: A recording cannot be read.
        MediaError: The call could not be made.
    """
    for path in files:
        read_audio(path, RATE_HZ)
    caller, report = Caller(url), CallReport()
    plain = PlainLines(out) if out is not None and not out.is_terminal else None
    try:
        await caller.join()
        with _shown(caller, out) as console:
            report.greeting = await caller.hear_greeting()
            if plain is not None:
                plain.greeted(report.greeting)
            for path in files:
                console.saying(path.name)
                report.exchanges.append(exchange := await caller.exchange(path))
                console.answered(exchange)
                if plain is not None:
                    plain.answered(exchange)
        return report
    finally:
        await caller.leave()
        if record is not None:
            caller.record(record)


@contextlib.contextmanager
def _shown(caller: Caller, out: Console | None) -> Iterator[CallConsole]:
    console = CallConsole(caller)
    if out is None or not out.is_terminal:
        yield console
        return
    with Live(console, console=out, refresh_per_second=12) as live:
        try:
            yield console
        finally:
            console.over()
            live.refresh()


def report_json(report: CallReport) -> str:
    """Return a report as JSON."""
    return json.dumps(asdict(report), indent=2)
