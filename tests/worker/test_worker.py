"""The worker against a scripted LiveKit: the agent protocol, message by message."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from livekit.protocol import agent as proto
from livekit.protocol import models

from repartee.errors import CapacityError, MediaError
from repartee.session import SessionSpec
from repartee.settings import Settings
from repartee.worker import LiveKitAccess, Worker, WorkerConfig
from tests.conftest import FRONT_DESK

SECRET = "s" * 40


class LiveKit:
    """The server's side of the agent socket."""

    def __init__(self) -> None:
        self.connections = 0
        self.status = 200
        self.claims: list[dict[str, Any]] = []
        self.received: asyncio.Queue[proto.WorkerMessage] = asyncio.Queue()
        self.socket: web.WebSocketResponse | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/agent", self._agent)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"ws://127.0.0.1:{self.runner.addresses[0][1]}"

    async def _agent(self, request: web.Request) -> web.StreamResponse:
        if self.status != 200:
            return web.Response(status=self.status)
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.claims.append(jwt.decode(token, SECRET, algorithms=["HS256"]))
        self.connections += 1
        socket = self.socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for frame in socket:
            message = proto.WorkerMessage()
            message.ParseFromString(frame.data)
            if message.WhichOneof("message") == "register":
                await self.send(register=proto.RegisterWorkerResponse(worker_id="W"))
            self.received.put_nowait(message)
        return socket

    async def send(self, **message: Any) -> None:
        assert self.socket is not None
        await self.socket.send_bytes(proto.ServerMessage(**message).SerializeToString())

    async def next(self, kind: str) -> Any:
        async with asyncio.timeout(10):
            while True:
                message = await self.received.get()
                if message.WhichOneof("message") == kind:
                    return getattr(message, kind)

    async def job_status(self) -> tuple[str, int, str]:
        update = await self.next("update_job")
        return update.job_id, update.status, update.error


class Child:
    """A session process that does as it is told."""

    def __init__(self, spec: SessionSpec) -> None:
        self.spec = spec
        self.outcome: str | None = "ended"
        self.bill: dict[str, object] | None = None
        self.providers: list[tuple[str, str, str, int]] = []
        self.failure = ""
        self.stopped = asyncio.Event()
        self.process = type("Process", (), {"exitcode": -9})()

    def tell_stop(self) -> None:
        self.stopped.set()


class Pool:
    """A pool without processes."""

    def __init__(self) -> None:
        self.live: dict[str, Child] = {}
        self.fail = False
        self.closed = False

    async def take(self, spec: SessionSpec) -> Child:
        if self.fail:
            raise CapacityError("no process", retry_after_s=1)
        child = self.live[spec.call_id] = Child(spec)
        return child

    async def close(self) -> None:
        self.closed = True


class Rig:
    def __init__(self, settings: Settings) -> None:
        self.livekit, self.pool = LiveKit(), Pool()
        self.worker = Worker(WorkerConfig(settings, FRONT_DESK, settings.state_dir))
        self.worker._pool = self.pool  # type: ignore[assignment]
        self.stop = asyncio.Event()

    async def __aenter__(self) -> Rig:
        await self.livekit.start()
        access = LiveKitAccess(self.livekit.url, "key", SECRET)
        self.running = asyncio.create_task(self.worker.run(self.stop, access, None))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await asyncio.gather(self.running, return_exceptions=True)
        await self.livekit.runner.cleanup()

    async def call(self, job_id: str) -> Child:
        if self.livekit.socket is None:
            await self.livekit.next("register")
        job = proto.Job(id=job_id, room=models.Room(name=f"room-{job_id}"))
        await self.livekit.send(availability=proto.AvailabilityRequest(job=job))
        answer = await self.livekit.next("availability")
        assert answer.available, "the worker is free"
        await self.livekit.send(assignment=proto.JobAssignment(job=job))
        assert await self.livekit.job_status() == (job_id, proto.JS_RUNNING, "")
        return list(self.pool.live.values())[-1]

    def over(self, child: Child) -> None:
        del self.pool.live[child.spec.call_id]
        self.worker._call_over(child)  # type: ignore[arg-type]


async def test_it_registers_with_a_token_that_only_registers(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        registered = await rig.livekit.next("register")
        assert registered.agent_name == "repartee"
        assert registered.allowed_permissions.agent
        assert not registered.allowed_permissions.hidden
        assert {name for name, given in rig.livekit.claims[0]["video"].items() if given} == {"agent"}


async def test_a_job_is_taken_with_an_identity_and_a_token_of_its_own(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        one, two = (await rig.call("AJ_1")).spec, (await rig.call("AJ_2")).spec
    assert one.identity != two.identity
    claims = jwt.decode(one.token, SECRET, algorithms=["HS256"])
    assert claims["kind"] == "agent"
    assert claims["sub"] == one.identity
    assert claims["video"]["room"] == one.room == "room-AJ_1"
    assert not {"roomAdmin", "roomCreate", "roomList", "hidden", "recorder"} & set(claims["video"])


async def test_the_end_of_a_call_is_reported_as_it_was(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        good, failed, crashed = [await rig.call(f"AJ_{n}") for n in range(3)]
        rig.over(good)
        assert await rig.livekit.job_status() == ("AJ_0", proto.JS_SUCCESS, "")
        failed.outcome, failed.failure = "failed", "no key"
        rig.over(failed)
        assert await rig.livekit.job_status() == ("AJ_1", proto.JS_FAILED, "no key")
        crashed.outcome = None
        rig.over(crashed)
        assert await rig.livekit.job_status() == (
            "AJ_2",
            proto.JS_FAILED,
            "the session process ended with -9",
        )
        text = rig.worker.metrics.text().decode()
    assert 'repartee_calls_ended_total{outcome="crashed"} 1.0' in text
    assert "repartee_calls_started_total 3.0" in text


async def test_a_full_worker_says_so(plain_settings: Settings) -> None:
    async with Rig(plain_settings.model_copy(update={"max_calls": 1})) as rig:
        await rig.call("AJ_1")
        await rig.livekit.send(availability=proto.AvailabilityRequest(job=proto.Job(id="AJ_2")))
        answer = await rig.livekit.next("availability")
        assert (answer.job_id, answer.available) == ("AJ_2", False)


async def test_a_call_that_cannot_start_is_given_back(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        rig.pool.fail = True
        await rig.livekit.next("register")
        job = proto.Job(id="AJ_1", room=models.Room(name="r"))
        await rig.livekit.send(availability=proto.AvailabilityRequest(job=job))
        await rig.livekit.next("availability")
        await rig.livekit.send(assignment=proto.JobAssignment(job=job))
        assert await rig.livekit.job_status() == ("AJ_1", proto.JS_FAILED, "no process")
        assert rig.worker.calls == 0


async def test_termination_ends_the_call(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        child = await rig.call("AJ_1")
        await rig.livekit.send(termination=proto.JobTermination(job_id="AJ_1"))
        await asyncio.wait_for(child.stopped.wait(), 10)


async def test_a_lost_server_is_found_again_and_calls_go_on(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        child = await rig.call("AJ_1")
        assert rig.livekit.socket is not None
        await rig.livekit.socket.close()
        await rig.livekit.next("register")
        assert rig.livekit.connections == 2
        assert rig.worker.calls == 1
        rig.over(child)
        assert await rig.livekit.job_status() == ("AJ_1", proto.JS_SUCCESS, "")


async def test_a_refused_key_ends_the_worker_with_a_sentence(plain_settings: Settings) -> None:
    rig = Rig(plain_settings)
    rig.livekit.status = 401
    async with rig:
        with pytest.raises(MediaError, match="refuses the key; check LIVEKIT_API_KEY"):
            await asyncio.wait_for(rig.running, 10)
    assert rig.pool.closed


async def test_stopping_tells_livekit_and_ends_the_pool(plain_settings: Settings, tmp_path: Path) -> None:
    async with Rig(plain_settings) as rig:
        await rig.livekit.next("register")
        rig.stop.set()
        await asyncio.wait_for(rig.running, 10)
        last = None
        while not rig.livekit.received.empty():
            last = rig.livekit.received.get_nowait()
        assert last is not None
        assert last.update_worker.status == proto.WS_FULL
    assert rig.pool.closed
