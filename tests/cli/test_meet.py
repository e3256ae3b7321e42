"""`repartee meet`: what is printed, that it can be stopped, and what is left of many meetings."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

from rich.console import Console
from typer.testing import CliRunner

from repartee.cli import app
from repartee.cli.meetings import COUNTED, Count, Plan, run_meeting, run_meetings
from repartee.errors import ConfigError
from repartee.session.meeting import MeetingLimits
from repartee.settings import Settings
from repartee.store import Store
from tests.session.test_meeting import pair, settings

__all__ = ["settings"]


async def test_what_is_said_is_printed_and_how_it_ended(settings: Settings) -> None:
    printed = io.StringIO()
    out = Console(file=printed, highlight=False, width=200)
    assert await run_meeting(Plan(pair(settings), settings, MeetingLimits(turns=3)), out, asyncio.Event())
    lines = printed.getvalue().splitlines()
    assert lines[:3] == [
        "baker: Bakery, how can I help?",
        "customer: Do you have rye?",
        "baker: Yes, two are left.",
    ]
    assert lines[4].startswith("3 turns, 0.")
    assert lines[4].endswith("USD: as many turns as were asked for.")
    store = Store.open(settings.store_url)
    assert {call.call.call_id for call in store.calls()} == set(lines[5].split()[1::2])
    store.close()


async def test_it_is_stopped_with_its_calls(settings: Settings) -> None:
    stop, out = asyncio.Event(), Console(file=io.StringIO())
    meeting = asyncio.create_task(
        run_meeting(Plan(pair(settings), settings, MeetingLimits(turns=1000)), out, stop)
    )
    store = Store.open(settings.store_url)
    async with asyncio.timeout(30):
        while len(store.calls()) < 2:  # noqa: ASYNC110 - a thread writes it, and announces nothing
            await asyncio.sleep(0.02)
    stop.set()
    assert await asyncio.wait_for(meeting, 30)
    assert all(call.call.ended_at for call in store.calls())
    store.close()


async def test_many_are_held_and_counted(settings: Settings, tmp_path: Path) -> None:
    printed, written = io.StringIO(), tmp_path / "results" / "meetings.json"
    out = Console(file=printed, highlight=False, width=200)
    plan = Plan(pair(settings), settings, MeetingLimits(turns=3))
    await run_meetings(plan, 4, written, out, asyncio.Event())
    report = json.loads(written.read_text())
    assert report["meetings"] == 4
    assert report["turns"] == 12
    assert report["ends"] == {"turns": 4}
    assert len(report["left"]) == 5
    assert report["grown"] == {}
    assert all(left["memory_mb"] > 0 and left["sockets"] > 0 for left in report["left"])
    assert "4 ended because as many turns as were asked for" in printed.getvalue()
    store = Store.open(settings.store_url)
    assert len(store.calls()) == 8
    store.close()


async def test_many_are_stopped_and_nothing_is_written(settings: Settings, tmp_path: Path) -> None:
    stop, out = asyncio.Event(), Console(file=io.StringIO())
    stop.set()
    plan = Plan(pair(settings), settings, MeetingLimits(turns=1000))
    assert await run_meetings(plan, 100, tmp_path / "meetings.json", out, stop)
    assert not (tmp_path / "meetings.json").exists()


def test_what_stays_with_each_meeting_is_found_and_what_is_made_once_is_not() -> None:
    counted = Count()
    for number in range(101):
        counted.left.append(dict.fromkeys(COUNTED, 5) | {"sockets": 5 + number, "threads": min(9, number)})
    assert counted.warm() == 10
    assert counted.grown() == {"sockets": 90}


def test_what_is_counted_over_many_is_not_written_of_one(tmp_path: Path) -> None:
    agent = tmp_path / "agent.yaml"
    result = CliRunner().invoke(app, ["meet", str(agent), str(agent), "--write", str(tmp_path / "a.json")])
    assert isinstance(result.exception, ConfigError)
    assert "--write needs --times" in str(result.exception)
