"""A spoken call as its caller's end tells it, the room and the server played."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import httpx
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from repartee.errors import MediaError, ProviderError
from repartee.session.toolbox import ToolRun
from repartee.session.typed import Happened
from repartee.simulator.audio import Pcm
from repartee.simulator.caller import Caller
from repartee.simulator.invitation import Invitation
from repartee.simulator.spoken import BUSY_S, SpokenLine, SpokenWay

PLACE = Invitation("ws://nowhere", "token", "room")
RUN = ToolRun("price", 0, {"what": "rye"}, "four euros", "done", 10.0, 1.0)


class Phone:
    """A caller in no room."""

    def __init__(self) -> None:
        self.on_caption: Callable[[str, str, str, bool], None]
        self.on_state: Callable[[str], None]
        self.gone = asyncio.Event()
        self.steps: list[str] = []
        self.said: asyncio.Queue[int] = asyncio.Queue()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def join(self, invitation: Invitation | None) -> None:
        assert invitation == PLACE
        self.steps.append("joined")

    async def leave(self) -> None:
        self.steps.append("left")

    async def say(self, pcm: Pcm) -> float:
        self.said.put_nowait(len(pcm))
        await self.may_end.wait()
        return 0.0

    def agent_attributes(self) -> dict[str, str]:
        return {"repartee.call": "call-1"}


class Scene:
    def __init__(self, *, mute: bool = False) -> None:
        self.told: asyncio.Queue[Happened] = asyncio.Queue()
        self.phone = Phone()
        self.runs: list[ToolRun] = []
        self.stop = asyncio.Event()

        async def speak(text: str) -> Pcm:
            if mute:
                raise ProviderError("the caller's voice failed", kind="unavailable", provider="on-device")
            return np.zeros(len(text), np.int16)

        async def tools(call_id: str) -> list[ToolRun]:
            assert call_id == "call-1"
            return self.runs

        phone = cast("Caller", cast("Any", self.phone))
        self.line = SpokenLine(self.told.put_nowait, phone, speak, tools, PLACE)
        self.taking = asyncio.create_task(self.line.take(self.stop))

    async def happened(self, number: int) -> list[tuple[str, str]]:
        async with asyncio.timeout(5):
            found = [await self.told.get() for _ in range(number)]
        return [(one.kind, one.tool.tool if one.tool else one.text) for one in found]

    async def end(self) -> None:
        await asyncio.wait_for(self.taking, 5)


async def test_greeting_question_tool_and_answer_in_order() -> None:
    scene = Scene()
    await scene.line.open.wait()
    assert scene.phone.steps == [], "it is entered when the caller comes"
    scene.line.join()
    scene.phone.on_caption("agent", "a0", "Hello", False)
    scene.phone.on_caption("agent", "a0", "Hello there.", True)
    assert await scene.happened(3) == [("started", ""), ("speaking", ""), ("finished", "Hello there.")]
    assert scene.line.greeted.is_set()
    scene.line.say("What is the price?")
    assert await scene.phone.said.get() == len("What is the price?")
    scene.phone.on_caption("user", "u1", "What is", False)
    scene.phone.on_caption("user", "u1", "What is the price?", True)
    assert await scene.happened(1) == [("user", "What is the price?")]
    scene.phone.on_state("thinking")
    scene.phone.on_state("thinking")
    scene.runs.append(RUN)
    scene.phone.on_caption("agent", "a1", "Four euros.", True)
    assert await scene.happened(4) == [
        ("started", ""),
        ("speaking", ""),
        ("tool", "price"),
        ("finished", "Four euros."),
    ]
    scene.phone.on_caption("agent", "a2", "Anything else?", True)
    assert ("tool", "price") not in await scene.happened(3), "it is told once"
    scene.line.hang_up()
    await scene.end()
    assert scene.phone.steps == ["joined", "left"]


async def test_an_answer_that_ends_while_the_caller_speaks_was_interrupted() -> None:
    scene = Scene()
    scene.line.join()
    scene.phone.may_end.clear()
    scene.phone.on_caption("agent", "a0", "There is rye", False)
    assert await scene.happened(2) == [("started", ""), ("speaking", "")]
    scene.line.say("Stop")
    await scene.phone.said.get()
    scene.phone.on_caption("agent", "a0", "There is rye,", True)
    assert await scene.happened(1) == [("interrupted", "There is rye,")]
    scene.stop.set()
    await scene.end()
    assert scene.phone.steps == ["joined", "left"]


async def test_an_agent_that_leaves_ends_it() -> None:
    scene = Scene()
    scene.line.join()
    scene.phone.gone.set()
    await scene.end()
    assert scene.phone.steps == ["joined", "left"]


async def test_a_caller_without_a_voice_says_why() -> None:
    scene = Scene(mute=True)
    scene.line.join()
    scene.line.say("Hello")
    with pytest.raises(ProviderError, match="the caller's voice failed"):
        await scene.end()
    assert scene.phone.steps == ["joined", "left"]


@contextlib.asynccontextmanager
async def server(*answers: web.Response) -> AsyncIterator[tuple[SpokenWay, list[web.Response]]]:
    """A server that gives these answers to who asks for a place."""
    left = list(answers)
    app = web.Application()

    async def token(_: web.Request) -> web.Response:
        return left.pop(0)

    app.router.add_post("/api/token", token)
    async with TestServer(app) as serving, httpx.AsyncClient() as client:
        yield SpokenWay(str(serving.make_url("")).rstrip("/"), "", client), left


def busy(retry_after_s: int) -> web.Response:
    said = {"error": "capacity", "message": "All lines are busy.", "retry_after": retry_after_s}
    return web.json_response(said, status=503, headers={"Retry-After": str(retry_after_s)})


async def test_a_server_that_is_busy_is_asked_again() -> None:
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    told: list[str] = []
    place = web.json_response({"server_url": "ws://here", "participant_token": "t", "room_name": "r"})
    async with server(busy(20), busy(30), place) as (way, left):
        way.wait = wait
        await way.ready(told.append)
        assert not left
    assert waited == [20, 30]
    assert told[0] == "all lines are busy; tries again in 20 s"


async def test_one_that_stays_busy_or_refuses_is_told_of() -> None:
    async with server(busy(int(BUSY_S) + 1), web.json_response({"message": "No."}, status=403)) as (
        way,
        left,
    ):
        with pytest.raises(MediaError, match="All lines are busy"):
            await way.ready(lambda _: None)
        with pytest.raises(MediaError, match=r"refused the call: No\."):
            await way.ready(lambda _: None)
        assert not left
