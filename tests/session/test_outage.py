"""Every provider is down: the caller hears why, the call is noted for a call back, and it ends cleanly."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from repartee.conversation.degradation import Level
from repartee.session.clips import clips_for
from repartee.store import Store
from tests.session.rig import Loudspeaker
from tests.session.test_whole_call import Caller, Room, rooms_of_calls

NOBODY = "http://127.0.0.1:9/v1"
"""Nothing listens there."""


class Recorder(Loudspeaker):
    """Keeps what is played."""

    def __init__(self) -> None:
        super().__init__()
        self.pcm = bytearray()

    async def write(self, pcm: bytes) -> None:
        await super().write(pcm)
        self.pcm += pcm


class RecordedRoom(Room):
    def __init__(self, *arguments: object, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.sink = Recorder()


@pytest.fixture
def caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Caller:
    rooms = rooms_of_calls(monkeypatch, RecordedRoom)
    simulator: Any = type("Nobody", (), {"url": NOBODY.removesuffix("/v1")})
    caller = Caller(simulator, tmp_path, rooms)
    caller.settings = caller.settings.model_copy(update={"openai_api_key": SecretStr("k")})
    return caller


async def finished(caller: Caller, replies: int) -> None:
    await caller.until(lambda: caller.times("reply.finished") >= replies)


async def over(caller: Caller) -> None:
    """Listen until the agent has hung up."""
    async with asyncio.timeout(30):
        while not caller._running.done():
            caller._rooms[-1].sink.play(100)
            await asyncio.sleep(0.001)


def heard(caller: Caller, name: str) -> bool:
    """Whether a recording was played."""
    recorder = caller._rooms[-1].sink
    assert isinstance(recorder, Recorder)
    clip = np.frombuffer(clips_for("en")[name].pcm(), np.int16)
    middle = clip[len(clip) // 2 : len(clip) // 2 + 2400].tobytes()
    return middle in recorder.pcm


def marks(caller: Caller, name: str) -> list[dict[str, Any]]:
    found = (json.loads(line) for line in caller.marks)
    return [mark for mark in found if mark["name"] == name]


async def test_three_troubles_are_said_from_recordings_and_the_call_is_noted_and_ended(
    caller: Caller,
) -> None:
    async with caller:
        for number in range(3):
            caller.hooks.chat("When are you open?")
            await finished(caller, number + 1)
        await over(caller)
    assert caller._running.result() == "trouble"
    lines = [(mark["line"], mark["recorded"]) for mark in marks(caller, "line")]
    assert lines == [
        (name, recorded) for name in ("trouble", "trouble_again", "hang_up") for recorded in (False, True)
    ]
    assert all(heard(caller, name) for name in ("trouble", "trouble_again", "hang_up"))
    with_rows = Store.open(caller.settings.store_url)
    call = with_rows.call("call-1")
    assert call is not None
    assert call.call.reason == "trouble"
    assert [event.kind for event in with_rows.events("call-1")].count("callback.wanted") == 1


async def test_a_call_on_a_machine_whose_help_is_gone_hears_the_recording_and_ends(caller: Caller) -> None:
    caller.settings = caller.settings.model_copy(update={"level": int(Level.DOWN)})
    async with caller:
        await over(caller)
    assert caller._running.result() == "trouble"
    assert heard(caller, "hang_up")
    assert not marks(caller, "reply.started"), "no model is asked"
    assert marks(caller, "callback.wanted")
