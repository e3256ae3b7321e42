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

import psutil
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


async def recordings(folder: Path, **texts: str) -> dict[str, Path]:
    files = {name: folder / f"{name}.wav" for name in texts}
    await say([(texts[name], file) for name, file in files.items()])
    return files


async def test_it_does_not_hear_itself_and_is_interrupted_by_somebody_in_the_room(tmp_path: Path) -> None:
    said = await recordings(
        tmp_path, hours="What are your opening hours?", parking="Excuse me, is there parking?"
    )
    async with (
        server(FRONT_DESK, tmp_path) as running,
        pulse.room(tmp_path / "pulse") as room,
        device(room, running.url) as board,
    ):
        await board.until("speaking")
        await board.until("listening")
        assert named(running, "speech.started", "reply.cancelled") == [], "the greeting is heard whole"
        await room.say(said["hours"])
        await board.until("speaking")
        await room.say(said["parking"])
        await eventually(lambda: named(running, "reply.cancelled"))
        await board.until("speaking")
        await board.until("listening")
    store = Store.open(f"sqlite:///{running.state_dir / 'repartee.db'}", spool=None)
    (kept,) = store.calls(10)
    turns = [turn for turn in store.turns(kept.call.call_id) if turn.user_text]
    asked = [turn.user_text.lower() for turn in turns]
    assert len(asked) == 2, f"who spoke was heard, and nobody else: {asked}"
    assert "opening hours" in asked[0]
    assert "parking" in asked[1]
    assert 0 < len(turns[0].heard_text) < len(HOURS), "the answer was cut off"
    assert "parking is free" in turns[1].heard_text
    assert kept.call.reason == "caller_left", "it leaves in order"


async def test_without_echo_cancellation_it_does_hear_itself(tmp_path: Path) -> None:
    """The room of these tests is one in which the test above can fail."""
    async with (
        server(FRONT_DESK, tmp_path) as running,
        pulse.room(tmp_path / "pulse") as room,
        device(room, running.url, "--no-aec") as board,
    ):
        await board.until("speaking")
        await eventually(lambda: named(running, "speech.started"))


LOUDER = """\
name: Test
persona: You answer in one sentence.
greeting: Hello, this is the test.
tools: tools.py
answers:
  - {id: louder, ask: ["What are your opening hours?"], do: set_volume, say: "Is this better?"}
"""
TOOLS = """\
from repartee import ToolContext, tool


@tool(side_effect=True)
async def set_volume(ctx: ToolContext) -> str:
    "Set how loud the caller hears you."
    return await ctx.ask_client("set_volume", "35")
"""


async def test_it_outlives_its_sound_card_and_lets_the_agent_set_its_volume(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(LOUDER)
    (tmp_path / "tools.py").write_text(TOOLS)
    # A sentence that the small Whisper model hears well; what it means is the agent file's affair.
    said = await recordings(tmp_path, louder="What are your opening hours?")
    async with (
        server(tmp_path / "agent.yaml", tmp_path) as running,
        pulse.room(tmp_path / "pulse") as room,
        device(room, running.url) as board,
    ):
        await board.until("speaking")
        await board.until("listening")
        for program in psutil.Process(board.process.pid).children():
            program.kill()  # parec and pacat, as when a sound card is pulled out
            program.wait(10)
        await eventually(lambda: not room.recorded())
        await eventually(room.recorded)
        await room.say(said["louder"])
        await board.until("speaking")
        await board.until("listening")
    store = Store.open(f"sqlite:///{running.state_dir / 'repartee.db'}", spool=None)
    (kept,) = store.calls(10)
    (turn,) = [turn for turn in store.turns(kept.call.call_id) if turn.user_text]
    assert "opening hours" in turn.user_text.lower()
    assert "better" in turn.heard_text
    ran = [event.data for event in store.events(kept.call.call_id) if event.kind == "tool"]
    assert [(run["tool"], run["outcome"], run["result"]) for run in ran] == [("set_volume", "done", "35")]
