"""A place to ask at, for systems that have none."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field

import httpx
import pytest

from repartee.errors import MediaError
from repartee.simulator.invitation import Invitation
from repartee.simulator.reception import Reception
from repartee.simulator.systems import System


@dataclass(eq=False)
class Peer:
    """Answers calls as told."""

    name: str = "peer"
    comes: bool = True
    stopped: list[str] = field(default_factory=list)

    async def invite(self) -> Invitation:
        if not self.comes:
            raise MediaError("the peer 'peer' did not start")
        return Invitation("ws://there", "a token", "a room")

    async def hang_up(self) -> None: ...

    def pid(self) -> int | None:
        return os.getpid() if self.comes else None

    async def stop(self) -> None:
        self.stopped.append(self.name)


async def ask(reception: Reception) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(f"{reception.url}/api/token", json={})


async def test_one_system_for_all_calls_is_one_tree_and_stopped_once() -> None:
    one = Peer()
    async with Reception(lambda: one).opened() as reception:
        answers = [await ask(reception), await ask(reception)]
        assert reception.roots() == [os.getpid()]
    assert [answer.json() for answer in answers] == 2 * [
        {"server_url": "ws://there", "participant_token": "a token", "room_name": "a room"}
    ]
    assert one.stopped == ["peer"]


async def test_a_system_for_each_call_and_all_are_stopped() -> None:
    names, stopped = iter("ab"), list[str]()

    def another() -> System:
        return Peer(next(names), stopped=stopped)

    async with Reception(another).opened() as reception:
        await ask(reception)
        await ask(reception)
        assert len(reception.roots()) == 2
    assert sorted(stopped) == ["a", "b"]


async def test_a_caller_who_gives_up_leaves_nobody_waiting_for_them() -> None:
    hung_up = asyncio.Event()

    class Late(Peer):
        async def invite(self) -> Invitation:
            never: asyncio.Future[Invitation] = asyncio.get_running_loop().create_future()
            return await never

        async def hang_up(self) -> None:
            hung_up.set()

    late = Late()
    async with Reception(lambda: late).opened() as reception:
        async with httpx.AsyncClient(timeout=0.2) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post(f"{reception.url}/api/token", json={})
        await asyncio.wait_for(hung_up.wait(), 5)


async def test_one_that_does_not_come_is_a_refusal() -> None:
    silent = Peer(comes=False)
    async with Reception(lambda: silent).opened() as reception:
        answer = await ask(reception)
        assert reception.roots() == []
    assert answer.status_code == 503
    assert float(answer.headers["Retry-After"]) > 0
    assert "did not start" in answer.json()["error"]
