"""The worker against a scripted LiveKit: the agent protocol, message by message."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from livekit.protocol import agent as proto
from livekit.protocol import models, room
from livekit.protocol.room import RoomParticipantIdentity

from repartee.cli.stopping import Stop
from repartee.conversation.degradation import Level
from repartee.errors import CapacityError, MediaError, StoreError
from repartee.session import SessionSpec
from repartee.session.keeping import keeping
from repartee.settings import Settings
from repartee.store import CallRow, Seats, TurnRow
from repartee.worker import LiveKitAccess, Worker, WorkerConfig
from repartee.worker import worker as worker_module
from repartee.worker.calls import MAX_LOSSES
from repartee.worker.seating import held
from tests.conftest import FRONT_DESK

SECRET = "s" * 40


class LiveKit:
    """The server's side of the agent socket."""

    def __init__(self) -> None:
        self.connections = 0
        self.removed: list[tuple[str, str]] = []
        self.status = 200
        self.claims: list[dict[str, Any]] = []
        self.received: asyncio.Queue[proto.WorkerMessage] = asyncio.Queue()
        self.socket: web.WebSocketResponse | None = None
        self.deleted: asyncio.Queue[str] = asyncio.Queue()

    async def _delete(self, request: web.Request) -> web.Response:
        asked = room.DeleteRoomRequest()
        asked.ParseFromString(await request.read())
        self.deleted.put_nowait(asked.room)
        return web.Response(content_type="application/protobuf")

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/agent", self._agent)
        app.router.add_post("/twirp/livekit.RoomService/DeleteRoom", self._delete)
        app.router.add_post("/twirp/livekit.RoomService/RemoveParticipant", self._remove)
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

    async def _remove(self, request: web.Request) -> web.Response:
        asked = RoomParticipantIdentity()
        asked.ParseFromString(await request.read())
        self.removed.append((asked.room, asked.identity))
        return web.Response(body=b"", content_type="application/protobuf")

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


class Call:
    """A call whose session process does as it is told."""

    exit_code = -9

    def __init__(self, spec: SessionSpec) -> None:
        self.spec = spec
        self.outcome: str | None = "ended"
        self.bill: dict[str, object] | None = None
        self.network: dict[str, int] = {}
        self.providers: list[tuple[str, str, str, int]] = []
        self.failure = ""
        self.told: dict[str, dict[str, str]] = {}
        self.entered = True
        self.stopped = asyncio.Event()
        self.left = asyncio.Event()

    @property
    def losses(self) -> int:
        return self.spec.losses + 1

    @property
    def losses_before(self) -> int:
        return self.spec.losses

    def tell_stop(self) -> None:
        self.stopped.set()

    def tell_hand_over(self) -> None:
        self.left.set()


class Pool:
    """A pool without processes."""

    tasks = 0

    def __init__(self) -> None:
        self.live: dict[str, Call] = {}
        self.fail = False
        self.closing = self.closed = False
        self.late: list[float] = []
        self.taken: asyncio.Queue[Call] = asyncio.Queue()

    async def take(self, spec: SessionSpec) -> Call:
        if self.fail:
            raise CapacityError("no process", retry_after_s=1)
        call = self.live[spec.call_id] = Call(spec)
        self.taken.put_nowait(call)
        return call

    def late_ms(self) -> list[float]:
        late, self.late = self.late, []
        return late

    async def close(self) -> None:
        self.closing = self.closed = True


class Rig:
    def __init__(self, settings: Settings) -> None:
        settings = settings.model_copy(update={"drain_s": 0.0}) if settings.drain_s == 20 else settings
        self.livekit, self.pool = LiveKit(), Pool()
        self.seats = Seats(keeping(settings).store)
        self.worker = Worker(WorkerConfig(settings, FRONT_DESK, settings.state_dir))
        self.calls = self.worker._calls
        self.calls.pool = self.pool  # type: ignore[assignment]
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

    async def call(self, job_id: str) -> Call:
        if self.livekit.socket is None:
            await self.livekit.next("register")
        job = proto.Job(id=job_id, room=models.Room(name=f"room-{job_id}"))
        await self.livekit.send(availability=proto.AvailabilityRequest(job=job))
        answer = await self.livekit.next("availability")
        assert answer.available, "the worker is free"
        await self.livekit.send(assignment=proto.JobAssignment(job=job))
        assert await self.livekit.job_status() == (job_id, proto.JS_RUNNING, "")
        return list(self.pool.live.values())[-1]

    async def seats_are(self, count: int) -> None:
        """Wait until the worker has said that it has so many."""
        async with asyncio.timeout(10):
            while self.seats.seating().seats != count:  # noqa: ASYNC110 - a thread writes it
                await asyncio.sleep(0.05)

    def over(self, call: Call) -> None:
        del self.pool.live[call.spec.call_id]
        self.calls._lost_or_over(call)  # type: ignore[arg-type]


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
        crashed.spec = replace(crashed.spec, losses=MAX_LOSSES)
        rig.over(crashed)
        assert await rig.livekit.job_status() == (
            "AJ_2",
            proto.JS_FAILED,
            "the session process ended with -9",
        )
        text = rig.worker.metrics.text().decode()
    assert 'repartee_calls_ended_total{outcome="crashed"} 1.0' in text
    assert "repartee_calls_started_total 3.0" in text


async def test_a_room_is_closed_when_the_agent_ended_the_call_and_its_network_is_counted(
    plain_settings: Settings,
) -> None:
    async with Rig(plain_settings) as rig:
        left, lost = [await rig.call(f"AJ_{n}") for n in range(2)]
        left.failure, lost.failure = "caller_left", "caller_lost"
        lost.network = {"caller_lost": 2, "caller_returned": 1}
        rig.over(left)
        rig.over(lost)
        assert await asyncio.wait_for(rig.livekit.deleted.get(), 10) == "room-AJ_1"
        assert rig.livekit.deleted.empty(), "who has left closes their room themselves"
        text = rig.worker.metrics.text().decode()
    assert 'repartee_network_events_total{what="caller_lost"} 2.0' in text


@pytest.mark.parametrize(
    ("outcome", "why", "closes"),
    [
        ("failed", "no key", True),
        (None, "", True),
        ("ended", "media_lost", True),
        ("ended", "no_caller", True),
        ("ended", "stopped", True),
        ("ended", "handed_over", False),
    ],
)
async def test_nobody_is_left_alone_in_a_room_without_an_agent(
    plain_settings: Settings, outcome: str | None, why: str, closes: bool
) -> None:
    async with Rig(plain_settings) as rig:
        call = await rig.call("AJ_1")
        call.spec = replace(call.spec, losses=MAX_LOSSES)
        call.outcome, call.failure = outcome, why
        rig.over(call)
        await rig.livekit.job_status()
        await asyncio.gather(*rig.worker._tasks)
        assert rig.livekit.deleted.empty() is not closes


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
        assert await rig.livekit.deleted.get() == "r", "whoever is in it is told that there is no call"


async def test_a_caller_with_a_seat_whom_livekit_sent_nobody_to_is_fetched(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        await rig.livekit.next("register")
        assert rig.seats.promise("r", 30) is None
        assert await rig.calls.fetch("r")
        (call,) = rig.pool.live.values()
        assert (call.spec.room, call.spec.epoch, call.spec.takeovers) == ("r", 1, 0), "it begins as any other"
        assert rig.worker.calls == rig.seats.seating().taken == 1
        assert not await rig.calls.fetch("r"), "somebody has it"
        assert rig.worker.calls == 1
        rig.over(call)


async def test_a_caller_who_is_fetched_takes_a_place_at_once(plain_settings: Settings) -> None:
    async with Rig(plain_settings.model_copy(update={"max_calls": 1})) as rig:
        await rig.livekit.next("register")
        assert rig.worker.has_room
        rig.worker.fetch("r")
        assert not rig.worker.has_room, "before anybody has been asked"


async def test_a_machine_that_closes_leaves_new_callers_to_others_and_fetches_those_with_a_seat(
    plain_settings: Settings,
) -> None:
    async with Rig(plain_settings) as rig:
        await rig.call("AJ_1")
        assert rig.seats.promise("r", 30) is None
        rig.worker.load._pinned = int(Level.CLOSED)
        rig.worker.load.judge(1.0, 0.0)
        job = proto.Job(id="AJ_2", room=models.Room(name="other"))
        await rig.livekit.send(availability=proto.AvailabilityRequest(job=job))
        assert not (await rig.livekit.next("availability")).available
        await rig.seats_are(1)
        assert rig.seats.promise("other", 30) is not None, "token servers on other machines know of it"
        assert rig.worker.has_room
        assert await rig.calls.fetch("r")
        assert rig.worker.calls == 2


async def test_one_who_cannot_be_served_after_all_is_told_by_the_end(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        await rig.livekit.next("register")
        assert rig.seats.promise("r", 30) is None
        rig.pool.fail = True
        assert not await rig.calls.fetch("r")
        assert await rig.livekit.deleted.get() == "r"
        assert rig.worker.calls == rig.seats.seating().taken == 0


async def test_termination_ends_the_call(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        call = await rig.call("AJ_1")
        await rig.livekit.send(termination=proto.JobTermination(job_id="AJ_1"))
        await asyncio.wait_for(call.stopped.wait(), 10)


async def test_a_lost_server_is_found_again_and_calls_go_on(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        call = await rig.call("AJ_1")
        assert rig.livekit.socket is not None
        await rig.livekit.socket.close()
        await rig.livekit.next("register")
        assert rig.livekit.connections == 2
        assert rig.worker.calls == 1
        rig.over(call)
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


async def test_a_call_whose_process_died_goes_on_with_another_agent(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        dead = await rig.call("AJ_1")
        await rig.pool.taken.get()
        store = keeping(plain_settings).store
        began = datetime.now(UTC) - timedelta(seconds=60)
        store.write(
            [
                CallRow(dead.spec.call_id, "Desk", "v", dead.spec.room, began),
                TurnRow(dead.spec.call_id, 0, "", "Hello, this is the desk."),
                TurnRow(
                    dead.spec.call_id,
                    1,
                    "When do you open?",
                    "We open at",
                    "nine o'clock.",
                    timings={"reply.sounding": 59_000.0},
                ),
            ]
        )
        dead.told["caller"] = {"identity": "caller-1"}
        dead.outcome = None
        rig.over(dead)
        async with asyncio.timeout(10):
            again = await rig.pool.taken.get()
        new = again.spec
        assert (new.call_id, new.room) == (dead.spec.call_id, dead.spec.room)
        assert new.identity != dead.spec.identity
        assert new.caller_identity == "caller-1"
        assert (dead.spec.epoch, new.epoch, new.takeovers) == (1, 2, 1)
        assert rig.livekit.removed == [(dead.spec.room, dead.spec.identity)], "the ghost is put out"
        assert new.resume is not None
        assert new.resume.turns == (("", "Hello, this is the desk."), ("When do you open?", "We open at"))
        assert (new.resume.rest, new.resume.next_turn_id) == ("nine o'clock.", 2)
        assert new.resume.started_at is not None
        assert datetime.now(UTC) - new.resume.started_at >= timedelta(seconds=60)
        assert not rig.seats.holds(held(dead.spec)), "the old agent is fenced off"
        rig.over(again)
        assert await rig.livekit.job_status() == ("AJ_1", proto.JS_SUCCESS, "")
        assert "repartee_calls_handed_over_total 1.0" in rig.worker.metrics.text().decode()


@pytest.mark.parametrize(
    ("reason", "taken_over", "closed"),
    [
        ("error", False, True),
        ("media_lost", False, True),
        ("error", True, False),
        ("media_lost", True, False),
    ],
)
async def test_a_room_in_which_another_agent_has_the_call_is_left_open(
    plain_settings: Settings, reason: str, taken_over: bool, closed: bool
) -> None:
    async with Rig(plain_settings) as rig:
        call = await rig.call("AJ_1")
        if taken_over:
            mine = held(call.spec)
            assert rig.seats.take_over(mine, replace(mine, worker_id="another", identity="agent-2")) == 2
        call.failure = reason
        rig.over(call)
        await asyncio.wait_for(asyncio.gather(*rig.worker._tasks), 10)
        assert rig.livekit.deleted.empty() is not closed


async def test_who_lost_the_room_and_cannot_ask_closes_nothing(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> bool:
        raise StoreError("it is away")

    async with Rig(plain_settings) as rig:
        lost, ended = await rig.call("AJ_1"), await rig.call("AJ_2")
        monkeypatch.setattr(Seats, "holds", away)
        lost.failure, ended.failure = "media_lost", "error"
        rig.over(lost)
        rig.over(ended)
        await asyncio.wait_for(asyncio.gather(*rig.worker._tasks), 10)
        assert rig.livekit.deleted.get_nowait() == ended.spec.room
        assert rig.livekit.deleted.empty()


async def test_a_call_nobody_was_heard_in_begins_anew(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        dead = await rig.call("AJ_1")
        await rig.pool.taken.get()
        dead.outcome = None
        rig.over(dead)
        async with asyncio.timeout(10):
            again = await rig.pool.taken.get()
        assert again.spec.resume is None
        assert again.spec.epoch == 2


async def test_the_seat_is_taken_and_given_back(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        call = await rig.call("AJ_1")
        assert rig.seats.seating().taken == 1
        rig.over(call)
        await asyncio.wait_for(asyncio.gather(*rig.worker._tasks), 10)
        assert rig.seats.seating().taken == 0


async def test_livekit_knows_of_a_free_place_before_anybody_gets_the_seat(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "STATUS_S", 3600.0)
    async with Rig(plain_settings.model_copy(update={"max_calls": 1})) as rig:
        call = await rig.call("AJ_1")
        taken = list[int]()
        send = rig.calls._before_free

        async def sent() -> None:
            taken.append(rig.seats.seating().taken)
            await send()

        monkeypatch.setattr(rig.calls, "_before_free", sent)
        rig.over(call)
        told = await rig.livekit.next("update_worker")
        assert (told.status, told.job_count) == (proto.WS_AVAILABLE, 0)
        assert taken == [1]


async def test_a_worker_that_drains_lets_its_calls_end(plain_settings: Settings) -> None:
    async with Rig(plain_settings.model_copy(update={"drain_s": 60.0})) as rig:
        rig.over(await rig.call("AJ_0"))  # it was empty before
        assert await rig.livekit.job_status() == ("AJ_0", proto.JS_SUCCESS, "")
        call = await rig.call("AJ_1")
        rig.stop.set()
        while (await rig.livekit.next("update_worker")).status != proto.WS_FULL:
            pass
        assert not rig.pool.closed
        rig.over(call)
        await asyncio.wait_for(rig.running, 10)
        assert rig.pool.closed


async def test_a_worker_that_drains_does_not_wait_for_a_call_that_nobody_is_in(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "ENTERS_S", 0.0)
    async with Rig(plain_settings.model_copy(update={"drain_s": 60.0})) as rig:
        talking, vacant = await rig.call("AJ_1"), await rig.call("AJ_2")
        vacant.entered = False
        rig.stop.set()
        await asyncio.wait_for(vacant.stopped.wait(), 10)
        assert not talking.stopped.is_set()
        rig.over(vacant)
        rig.over(talking)
        await asyncio.wait_for(rig.running, 10)


async def test_who_is_in_a_hurry_does_not_wait_for_calls(plain_settings: Settings) -> None:
    async with Rig(plain_settings.model_copy(update={"drain_s": 60.0})) as rig:
        rig.stop = Stop()
        rig.running.cancel()
        await asyncio.gather(rig.running, return_exceptions=True)
        rig.worker.draining = False
        access = LiveKitAccess(rig.livekit.url, "key", SECRET)
        rig.running = asyncio.create_task(rig.worker.run(rig.stop, access, None))
        await rig.call("AJ_1")
        rig.stop.set()
        rig.stop.at_once.set()
        await asyncio.wait_for(rig.running, 10)


async def test_what_is_left_at_the_deadline_is_handed_to_another_worker(plain_settings: Settings) -> None:
    async with Rig(plain_settings.model_copy(update={"drain_s": 0.1})) as rig:
        call = await rig.call("AJ_1")
        rig.seats.announce("another", 10)
        rig.stop.set()
        await asyncio.wait_for(call.left.wait(), 10)
        call.failure = "handed_over"
        rig.over(call)
        await asyncio.wait_for(rig.running, 10)
        assert [orphan.call_id for orphan in rig.seats.orphans(3)] == [call.spec.call_id]
