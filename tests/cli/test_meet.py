"""`repartee meet`: what is printed, and that it can be stopped."""

from __future__ import annotations

import asyncio
import io

from rich.console import Console

from repartee.cli.meet import run_meeting
from repartee.session.meeting import MeetingLimits
from repartee.settings import Settings
from repartee.store import Store
from tests.session.test_meeting import pair, settings

__all__ = ["settings"]


async def test_what_is_said_is_printed_and_how_it_ended(settings: Settings) -> None:
    printed = io.StringIO()
    out = Console(file=printed, highlight=False, width=200)
    assert await run_meeting(
        pair(settings), settings, MeetingLimits(turns=3), out, asyncio.Event(), aloud=False
    )
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
        run_meeting(pair(settings), settings, MeetingLimits(turns=1000), out, stop, aloud=False)
    )
    store = Store.open(settings.store_url)
    async with asyncio.timeout(30):
        while len(store.calls()) < 2:  # noqa: ASYNC110 - a thread writes it, and announces nothing
            await asyncio.sleep(0.02)
    stop.set()
    assert await asyncio.wait_for(meeting, 30)
    assert all(call.call.ended_at for call in store.calls())
    store.close()
