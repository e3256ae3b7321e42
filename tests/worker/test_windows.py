"""Session processes that die at every moment of a takeover, alone and in pairs: no call is lost or had twice."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import Any

import pytest

from repartee.errors import CapacityError
from repartee.session import SessionSpec
from repartee.settings import Settings
from repartee.store import seats as seats_module
from repartee.worker import pool as pool_module
from repartee.worker import process as process_module
from repartee.worker import seating as seating_module
from repartee.worker import worker as worker_module
from repartee.worker.pool import Pool
from repartee.worker.seating import held
from tests.conftest import FRONT_DESK
from tests.worker.test_worker import Rig

SHORT_S = 20.0


class Agents:
    """A session process that does what the test has it do."""

    def __init__(self, machine: Machine, theirs: Connection) -> None:
        self._machine = machine
        self._theirs = theirs
        self.sentinel, self._alive = os.pipe()
        self.pid = next(machine.pids)
        self.exitcode: int | None = None
        self.is_ready = False
        self.calls: dict[str, SessionSpec] = {}
        self.left: set[str] = set()
        """Calls that it was told to leave to others."""

    def start(self) -> None:
        if self._machine.refuses:
            self._machine.refuses -= 1
            raise self._machine.refusal
        self.pipe = Connection(os.dup(self._theirs.fileno()))
        self._machine.processes.append(self)

    def ready(self) -> None:
        self.is_ready = True
        self.pipe.send(("ready", "", {}))

    def tell(self, name: str, call_id: str, **data: Any) -> None:
        self.pipe.send((name, call_id, data))

    def take(self) -> dict[str, SessionSpec]:
        """Take what was sent."""
        while self.exitcode is None and self.pipe.poll():
            message = self.pipe.recv()
            if isinstance(message, SessionSpec):
                assert message.call_id not in self.calls, "two agents of one call in one process"
                self.calls[message.call_id] = message
            elif message[0] == "hand over":
                self.left.add(message[1])
        return self.calls

    def kill(self) -> None:
        if self.exitcode is None:
            self.exitcode = -9
            self.pipe.close()
            os.close(self._alive)

    terminate = kill

    def join(self) -> None:
        os.close(self.sentinel)


class Machine:
    """Where processes are started: in place of the fork server."""

    Pipe = staticmethod(Pipe)

    def __init__(self) -> None:
        self.pids = itertools.count(1)
        self.processes: list[Agents] = []
        self.refuses = 0
        """So many starts fail."""
        self.refusal: Exception = BlockingIOError(11, "Resource temporarily unavailable")

    def Process(self, *, args: tuple[Any, ...], **_: object) -> Agents:  # noqa: N802 - a context's name for it
        return Agents(self, args[0])

    @property
    def living(self) -> list[Agents]:
        return [process for process in self.processes if process.exitcode is None]


class Office(Rig):
    """A worker with a real pool, whose processes are the test's."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.machine = Machine()
        self.real = Pool(settings, FRONT_DESK, self.calls._lost_or_over)
        self.real._context = self.machine  # type: ignore[assignment]
        self.pool = self.calls.pool = self.real  # type: ignore[assignment]

    async def __aenter__(self) -> Office:
        starting = asyncio.create_task(self.real.start())
        await self.until(lambda: len(self.machine.processes) == self.real._wanted)
        for process in self.machine.processes:
            process.ready()
        await starting
        await super().__aenter__()
        return self

    async def until(self, true: Callable[[], object]) -> Any:
        async with asyncio.timeout(SHORT_S):
            while not (found := true()):  # noqa: ASYNC110 - pipes and threads tell nobody here
                await asyncio.sleep(0.002)
        return found

    async def begin(self, job_id: str) -> str:
        """Begin a call; return its id."""
        return (await self.call(job_id)).spec.call_id

    def having(self, call_id: str) -> list[Agents]:
        """Return the living processes that have a call."""
        return [process for process in self.machine.living if call_id in process.take()]

    async def had(self, call_id: str) -> Agents:
        """Return the one process that has a call, once there is one."""
        await self.until(lambda: self.having(call_id))
        (process,) = self.having(call_id)
        return process

    async def talks(self, call_id: str) -> None:
        process = await self.had(call_id)
        process.tell("caller", call_id, identity="caller-1")
        await self.until(lambda: "caller" in self.real.live[call_id].told)

    def ready(self, most: int = 100) -> int:
        """Make some of the processes ready that are not; return how many live."""
        for process in [process for process in self.machine.living if not process.is_ready][:most]:
            process.ready()
        return len(self.machine.living)

    async def new_process(self, *known: Agents) -> Agents:
        """Return a process that was started meanwhile; it is not ready yet."""
        return await self.until(  # type: ignore[no-any-return]
            lambda: next((p for p in self.machine.living if p not in known and not p.is_ready), None)
        )

    async def goes_on(self, call_id: str) -> SessionSpec:
        """Check that the call is somebody's and that nobody closed its room; return what it is."""
        spec = (await self.had(call_id)).calls[call_id]
        await self.until(lambda: call_id in self.real.live and not self.calls._moving)
        assert self.real.live[call_id].spec == spec
        assert self.worker.has(call_id)
        assert self.livekit.deleted.empty()
        assert await asyncio.to_thread(self.seats.keep, [held(spec)]) == set(), "and is not fenced off"
        assert self.worker.calls == len(self.real.live)
        return spec


@pytest.fixture
def office(plain_settings: Settings) -> Office:
    return Office(plain_settings.model_copy(update={"session_processes": 1, "warm_processes": 1}))


async def asking(office: Office, call_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spare process dies while the store is asked about the call that would go to it."""
    asked, answer, ask = asyncio.Event(), asyncio.Event(), office.worker.seating.take_over

    async def slow(*args: Any) -> int | None:
        asked.set()
        await answer.wait()
        return await ask(*args)

    monkeypatch.setattr(office.worker.seating, "take_over", slow)
    known = list(office.machine.processes)
    (await office.had(call_id)).kill()
    await asyncio.wait_for(asked.wait(), SHORT_S)
    for process in office.machine.living:
        process.kill()
    (await office.new_process(*known)).ready()
    answer.set()


async def starting(office: Office, call_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both die at once, and the next one as well, before it is ready."""
    monkeypatch.setattr(pool_module, "RESTART_S", 0.0)
    known = list(office.machine.processes)
    await office.had(call_id)
    for process in office.machine.living:
        process.kill()
    first = await office.new_process(*known)
    await office.until(lambda: len(office.machine.living) == 2)
    for process in office.machine.living:
        process.kill()
    (await office.new_process(*known, first)).ready()


async def sent(office: Office, call_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one dies when it has the call and has told nothing of it."""
    (await office.had(call_id)).kill()
    second = await office.had(call_id)
    office.ready()
    second.kill()
    await office.until(lambda: call_id not in second.calls or second.exitcode is not None)


async def talking(office: Office, call_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one dies in the middle of the talk."""
    (await office.had(call_id)).kill()
    await office.talks(call_id)
    known = list(office.machine.processes)
    (await office.had(call_id)).kill()
    (await office.new_process(*known)).ready()


async def no_room(office: Office, call_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process can be started when both are gone; later one can."""
    monkeypatch.setattr(pool_module, "RESTART_S", 0.0)
    known = list(office.machine.processes)
    await office.had(call_id)
    office.machine.refuses = 2
    for process in office.machine.living:
        process.kill()
    (await office.new_process(*known)).ready()


Second = Callable[[Office, str, pytest.MonkeyPatch], Any]


@pytest.mark.parametrize("first", ["sent", "talking"])
@pytest.mark.parametrize("second", [asking, starting, sent, talking, no_room])
async def test_a_call_goes_on_whenever_two_processes_die(
    office: Office, first: str, second: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office:
        call_id = await office.begin("AJ_1")
        before = (await office.had(call_id)).calls[call_id]
        if first == "talking":
            await office.talks(call_id)
        await second(office, call_id, monkeypatch)
        after = await office.goes_on(call_id)
        assert after.epoch > before.epoch
        assert (after.room, after.call_id) == (before.room, before.call_id)
        assert after.identity != before.identity
        if first == "talking":
            assert after.caller_identity == "caller-1"
            assert after.resume is not None


async def test_a_call_that_waits_for_its_first_process_is_nobody_s_orphan(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seating_module, "KEEP_S", 0.01)
    async with office:
        known = list(office.machine.processes)
        for process in known:
            process.kill()
        begun = asyncio.create_task(office.begin("AJ_1"))
        await office.until(lambda: office.calls._moving)
        (call_id,) = office.calls._moving
        assert office.worker.has(call_id)
        assert office.worker.calls == 1
        await office.until(lambda: office.seats.orphans(-1))  # it has its seat
        monkeypatch.setattr(seats_module, "database_now_s", lambda _: time.time() + 4)
        await office.until(lambda: office.seats.orphans(3) == [])
        (await office.new_process(*known)).ready()
        assert await begun == call_id
        await office.goes_on(call_id)
        await office.until(lambda: not office.worker._tasks)  # who keeps a seat is the process from now on


@pytest.mark.parametrize("starts", ["hang", "fail"])
async def test_a_new_call_goes_to_a_process_that_has_its_share_when_others_do_not_become_ready(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch, starts: str
) -> None:
    monkeypatch.setattr(pool_module, "PATIENCE_S", 0.1)
    monkeypatch.setattr(pool_module, "RESTART_S", 0.02)
    update = {"session_processes": 2, "warm_processes": 0, "max_calls": 2}
    office = Office(plain_settings.model_copy(update=update))
    async with office:
        first = await office.had(await office.begin("AJ_1"))
        (second,) = (process for process in office.machine.living if process is not first)
        office.machine.refuses = 10**6 if starts == "fail" else 0
        second.kill()
        await office.until(lambda: all(child.process.pid != second.pid for child in office.real._children))
        if starts == "hang":
            await office.new_process(first, second)
        assert await office.had(await office.begin("AJ_2")) is first


async def test_a_fork_server_that_died_is_said_in_a_sentence(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "RESTART_S", 0.0)
    office = Office(plain_settings.model_copy(update={"session_processes": 1, "warm_processes": 0}))
    office.machine.refuses, office.machine.refusal = 1, EOFError("unexpected EOF")
    try:
        with pytest.raises(CapacityError, match="a session process cannot be started: EOFError"):
            await office.real.start()
    finally:
        await office.real.close()


async def test_who_takes_over_goes_to_a_process_that_is_ready_though_it_has_its_share(
    plain_settings: Settings,
) -> None:
    update = {"session_processes": 2, "warm_processes": 0, "max_calls": 2}
    office = Office(plain_settings.model_copy(update=update))
    async with office:
        one, two = await office.begin("AJ_1"), await office.begin("AJ_2")
        first, second = await office.had(one), await office.had(two)
        first.kill()
        assert await office.had(one) is second
        await office.goes_on(one)
        await office.goes_on(two)


async def test_what_kills_three_agents_in_a_row_is_ended_and_what_loses_one_now_and_then_is_not(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office:
        call_id = await office.begin("AJ_1")
        room = (await office.had(call_id)).calls[call_id].room

        async def lose() -> None:
            process = await office.had(call_id)
            office.ready()
            process.kill()

        monkeypatch.setattr(process_module, "STEADY_S", 0.0)
        for _ in range(4):
            await lose()
            await office.goes_on(call_id)
        monkeypatch.setattr(process_module, "STEADY_S", 60.0)
        for _ in range(2):
            await lose()
            await office.goes_on(call_id)
        await lose()
        assert await asyncio.wait_for(office.livekit.deleted.get(), SHORT_S) == room
        assert not office.worker.has(call_id)


async def test_a_process_that_dies_while_the_worker_drains_costs_no_call(plain_settings: Settings) -> None:
    office = Office(plain_settings.model_copy(update={"session_processes": 1, "drain_s": 60.0}))
    async with office:
        call_id = await office.begin("AJ_1")
        office.stop.set()
        await office.until(lambda: office.worker.draining)
        (await office.had(call_id)).kill()
        await office.goes_on(call_id)
        await office.had(call_id)
        (call,) = office.real.live.values()
        call.child.process.tell("ended", call_id, reason="caller_left")  # type: ignore[attr-defined]
        await asyncio.wait_for(office.running, SHORT_S)


async def test_a_process_that_dies_while_others_get_the_calls_leaves_its_own_to_them(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HAND_OVER_S", SHORT_S)
    async with office:
        call_id = await office.begin("AJ_1")
        office.seats.announce("another", 10)
        office.stop.set()
        await office.until(lambda: office.calls._handing_over)
        (await office.had(call_id)).kill()
        await asyncio.wait_for(office.running, SHORT_S)
        (orphan,) = office.seats.orphans(3)
        assert orphan.call_id == call_id
        assert office.livekit.deleted.empty(), "the caller waits in the room"


async def test_a_process_that_dies_as_all_of_them_end_leaves_nobody_alone_in_the_room(office: Office) -> None:
    async with office:
        call_id = await office.begin("AJ_1")
        room = (await office.had(call_id)).calls[call_id].room
        await office.worker.close()
        assert await asyncio.wait_for(office.livekit.deleted.get(), SHORT_S) == room
        assert not office.worker.has(call_id)


async def test_a_call_between_two_processes_goes_to_another_worker_with_the_rest(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HAND_OVER_S", SHORT_S)
    async with office:
        call_id = await office.begin("AJ_1")
        office.seats.announce("another", 10)
        known = list(office.machine.processes)
        for process in known:
            process.kill()
        await office.until(lambda: office.calls._moving)
        office.stop.set()
        await office.until(lambda: office.calls._handing_over)
        (await office.new_process(*known)).ready()
        process = await office.had(call_id)
        await office.until(lambda: process.take() and call_id in process.left)
        process.tell("ended", call_id, reason="handed_over")
        await asyncio.wait_for(office.running, SHORT_S)
        assert office.livekit.deleted.empty()
        assert [orphan.call_id for orphan in office.seats.orphans(3)] == [call_id]


@pytest.mark.parametrize("seed", range(6))
async def test_however_processes_die_each_call_has_one_agent(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(process_module, "STEADY_S", 0.0)  # no call is to blame
    monkeypatch.setattr(pool_module, "RESTART_S", 0.0)
    rng = random.Random(seed)
    monkeypatch.setattr(process_module, "SILENT_S", 3600.0)  # none of these has a heartbeat
    update = {"session_processes": 2, "warm_processes": 1, "max_calls": 40}
    office = Office(plain_settings.model_copy(update=update))
    async with office:
        calls: list[str] = []
        for step in range(60):
            for process in office.machine.living:
                process.take()
            match rng.choice(["begin", "kill", "kill", "ready", "ready", "told", "pause"]):
                case "begin" if len(calls) < 6 and any(p.is_ready for p in office.machine.living):
                    office.ready()
                    calls.append(await office.begin(f"AJ_{step}"))
                case "kill" if office.machine.living:
                    rng.choice(office.machine.living).kill()
                case "ready":
                    office.ready(most=1)
                case "told" if calls:
                    for process in office.having(call_id := rng.choice(calls)):
                        process.tell("caller", call_id, identity="caller-1")
                case _:
                    await asyncio.sleep(rng.choice([0.0, 0.01]))
        await office.until(
            lambda: office.ready() == office.real._wanted and not office.calls._moving  # and pipes are read
        )
        for call_id in calls:
            await office.goes_on(call_id)
        assert calls
