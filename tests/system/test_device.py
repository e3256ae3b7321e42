"""The device client on a sound server: its loudspeaker is heard by its microphone, as on a table."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from repartee.cli.instance import Instance
from repartee.cli.say import say
from repartee.store import Store
from tests.conftest import FRONT_DESK, ROOT
from tests.system import pulse
from tests.system.helpers import eventually, server

DEVICE = ROOT / "clients" / "device" / "device.py"
LIMIT_S = 30.0
HOURS = "We are open Monday to Friday, from eight in the morning to six in the evening. At weekends we are closed."

pytestmark = [
    pytest.mark.long,
    pytest.mark.livekit,
    pytest.mark.models,
    pytest.mark.skipif(not pulse.there(), reason=pulse.MISSING),
]


class Running:
    """A device: what it shows, line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self.process, self._lines = process, process.stdout
        self.shown: list[str] = []

    async def until(self, state: str) -> None:
        """Wait until it shows a state from now on."""
        async with asyncio.timeout(LIMIT_S):
            while line := (await self._lines.readline()).decode().strip():
                self.shown.append(line)
                if line == state:
                    return
        raise AssertionError(f"it ended without showing {state}; it showed {self.shown}")


@contextlib.asynccontextmanager
async def device(room: pulse.Room, url: str, *options: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(DEVICE), url, "--volume=100", *options),
        env=room.environment,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.wait()


def marks(running: Instance) -> list[dict[str, Any]]:
    (file,) = (running.state_dir / "calls").glob("*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def named(running: Instance, *names: str) -> list[dict[str, Any]]:
    return [mark for mark in marks(running) if mark["name"] in names]


async def test_it_does_not_hear_itself_and_is_interrupted_by_somebody_in_the_room(tmp_path: Path) -> None:
    hours, parking = tmp_path / "hours.wav", tmp_path / "parking.wav"
    await say([("What are your opening hours?", hours), ("Excuse me, is there parking?", parking)])
    async with (
        server(FRONT_DESK, tmp_path) as running,
        pulse.room(tmp_path / "pulse") as room,
        device(room, running.url) as board,
    ):
        await board.until("speaking")
        await board.until("listening")
        assert named(running, "speech.started", "reply.cancelled") == [], "the greeting is heard whole"
        await room.say(hours)
        await board.until("speaking")
        await room.say(parking)
        await eventually(lambda: named(running, "reply.cancelled"))
        await board.until("speaking")
        await board.until("listening")
    store = Store.open(f"sqlite:///{running.state_dir / 'repartee.db'}", spool=None)
    (kept,) = store.calls(10)
    turns = [turn for turn in store.turns(kept.call.call_id) if turn.user_text]
    assert [turn.user_text for turn in turns] == []
