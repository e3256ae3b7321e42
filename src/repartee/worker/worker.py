"""A LiveKit agent worker: takes jobs, shares them out among its session processes, hands over what dies."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
import uuid
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from livekit.protocol import agent as proto
from livekit.protocol import models

from repartee.errors import CapacityError, MediaError
from repartee.providers.health import open_health
from repartee.session import SessionSpec
from repartee.session.keeping import keeping
from repartee.session.resuming import age_s, resume_of
from repartee.session.spec import Resume
from repartee.settings import Settings
from repartee.store import Held, Seats
from repartee.telemetry.load import LoadBoard
from repartee.telemetry.redaction import without_number
from repartee.version import VERSION
from repartee.worker import rooms
from repartee.worker.capacity import Capacity
from repartee.worker.degrading import LoadWatch
from repartee.worker.metrics import WorkerMetrics
from repartee.worker.pool import STEADY_S, Call, Pool
from repartee.worker.seating import Seating, held
from repartee.worker.tokens import LiveKitAccess
from repartee.worker.watchdog import Watchdog

log = structlog.get_logger()
STATUS_S = 2.5
JUDGE_S = 0.5
HEARD_S = 1.0
"""How often the others hear that this worker is there."""
MAX_LOSSES = 3
"""A call that has lost so many agents, each within a minute, is what kills them."""
BACKOFF_S = (0.2, 10.0)
TOP_LOAD = 0.69
"""LiveKit prefers not to send jobs to a worker above 0.7 (`agents.target_load`), however many places it has left."""
STAYS_OPEN = frozenset({"caller_left", "room_closed", "handed_over"})
"""Reasons to end a call after which nobody is left alone in the room. After any other it is closed: the caller would
hear nothing any more, or come back to nobody."""
HAND_OVER_S = 8.0
ASSIGNED_S = 15.0
"""A job that was promised to be taken is assigned by then, or not to this worker."""
ENTERS_S = 5.0
"""Whoever asked for a place to call enters it by then: a worker that ends waits no longer for an empty call."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker needs."""

    settings: Settings
    agent_path: Path
    data_dir: Path


class Worker:
    """One worker connection and its calls.

    Args:
        config: What to run.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self.registered = asyncio.Event()
        health = open_health(config.data_dir)
        self.metrics = WorkerMetrics(
            lambda: self.calls, self.registered.is_set, health.breakers.states, lambda: self.seats
        )
        self._pool = Pool(
            config.settings,
            config.agent_path,
            self._call_over,
            self.metrics.store_trouble,
            self.metrics.answered,
        )
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._jobs: dict[str, str] = {}
        self._accepted: set[str] = set()
        """Jobs that were promised to be taken, and have not been assigned yet."""
        self._moving: set[str] = set()
        """Calls on their way to an agent: the first, or another."""
        self.worker_id = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._store = keeping(config.settings).store
        self.seating = Seating(Seats(self._store), self.worker_id)
        self.capacity = Capacity(config.settings.max_calls)
        self._empty = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self._handing_over = False
        """Other workers get the calls that are left."""
        self._closing = False
        self._access = LiveKitAccess("", "", "")
        self._speech_url: str | None = None
        self.load = LoadWatch(
            LoadBoard(config.data_dir),
            breakers=health.breakers.states,
            pinned=config.settings.level,
            calls=lambda: self.calls,
        )
        # As with a seat that is free again: LiveKit first, which sends nobody to a worker it thinks to be full.
        self.load.before_opening = self._send_status
        self.metrics.watch_load(self.load)
        self.metrics.watch_tasks(lambda: self._pool.tasks)
        settings = config.settings
        self.metrics.watch_store(
            settings.state_dir, settings.spool_dir, lambda: self.seating.database_answers
        )

    @property
    def calls(self) -> int:
        """Calls in progress or promised."""
        return len(self._pool.live) + len(self._accepted) + len(self._moving)

    @property
    def max_calls(self) -> int:
        """How many calls it takes at once: what is allowed, or less while its processes are late."""
        return self.capacity.seats

    @property
    def seats(self) -> int:
        """How many calls there may be here: none beyond those there are while nobody new is taken."""
        return self.calls if self.draining or self.load.closed else self.max_calls

    @property
    def open(self) -> bool:
        """Whether it takes new calls of those who have a seat."""
        closed = self.draining or self.load.closed
        return not closed and self.calls < self._config.settings.max_calls

    async def warm(self) -> None:
        """Start the session processes.

        Raises:
            CapacityError: None could be started.
        """
        await self._pool.start()

    async def close(self) -> None:
        """End every session process."""
        self.draining = self._closing = True
        await self._pool.close()

    async def run(self, stop: asyncio.Event, access: LiveKitAccess, speech_url: str | None) -> None:
        """Serve until `stop` is set, then drain: live calls may end, what is left is handed over or ended.

        `warm` comes first. A `stop` with an event `at_once` (`Stop`) is not waited for after that is set.

        Args:
            stop: Set to end.
            access: The LiveKit server.
            speech_url: The speech host, where one is needed.

        Raises:
            MediaError: The server refuses the key.
        """
        self._access, self._speech_url = access, speech_url
        await self.seating.announce(self.max_calls, draining=False)
        serving = asyncio.create_task(self._serve(), name="worker")
        judging = asyncio.create_task(self._judge(), name="capacity")
        loading = asyncio.create_task(self.load.run(), name="load")
        watching = asyncio.create_task(Watchdog(self, access).run(), name="watchdog")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
        finally:
            self.draining = True
            watching.cancel()
            await self._send_status()
            await self.seating.announce(self.max_calls, draining=True)
            await self._drain(stop)
            await self.close()
            judging.cancel()
            await self.seating.withdraw()
            beside = (serving, stopping, judging, loading, watching)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, *self._tasks, return_exceptions=True)

    async def _drain(self, stop: asyncio.Event) -> None:
        """Wait for the calls to end; at the deadline another worker gets them, where there is one."""
        at_once = getattr(stop, "at_once", None)
        drain_s = self._config.settings.drain_s
        self._empty.clear()
        if self.calls and drain_s:
            log.info("worker.draining", calls=self.calls, at_most_s=drain_s)
            vacating = asyncio.get_running_loop().call_later(ENTERS_S, self._end_vacant)
            waits = [asyncio.create_task(self._empty.wait())]
            waits += [asyncio.create_task(at_once.wait())] if at_once is not None else []
            await asyncio.wait(waits, timeout=drain_s, return_when=asyncio.FIRST_COMPLETED)
            vacating.cancel()
            for wait in waits:
                wait.cancel()
        hurry = at_once is not None and at_once.is_set()
        if self.calls and not hurry and await self.seating.others():
            log.info("worker.handing_over", calls=self.calls)
            self._handing_over = True
            for call in list(self._pool.live.values()):
                call.tell_hand_over()
            self._empty.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), HAND_OVER_S)

    def _end_vacant(self) -> None:
        for call in self._pool.live.values():
            if not call.entered:
                call.tell_stop()

    async def _serve(self) -> None:
        wait_s = BACKOFF_S[0]
        url = self._access.url.rstrip("/") + "/agent"
        async with aiohttp.ClientSession() as session:
            while True:
                headers = {"Authorization": f"Bearer {self._access.register_token()}"}
                try:
                    async with session.ws_connect(url, headers=headers, heartbeat=20) as socket:
                        self._socket = socket
                        await self._register()
                        await self._listen(socket)
                    if self.registered.is_set():
                        wait_s = BACKOFF_S[0]
                except aiohttp.WSServerHandshakeError as error:
                    if error.status in (401, 403):
                        raise MediaError(
                            f"the LiveKit server at {self._access.url} refuses the key; check "
                            "LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
                        ) from error
                    log.warning("worker.handshake_failed", status=error.status)
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    log.warning(
                        "worker.disconnected", error=type(error).__name__, retry_in_s=round(wait_s, 1)
                    )
                finally:
                    self._socket = None
                    self.registered.clear()
                await asyncio.sleep(wait_s * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
                wait_s = min(BACKOFF_S[1], wait_s * 2)

    async def _register(self) -> None:
        permissions = models.ParticipantPermission(
            can_publish=True, can_subscribe=True, can_publish_data=True, can_update_metadata=True, agent=True
        )
        await self._send(
            register=proto.RegisterWorkerRequest(
                type=proto.JT_ROOM,
                agent_name=self._config.settings.agent_name,
                version=VERSION,
                allowed_permissions=permissions,
            )
        )

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        status = asyncio.create_task(self._report_status(), name="status")
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.BINARY:
                    continue
                event = proto.ServerMessage()
                event.ParseFromString(message.data)
                await self._handle(event)
        finally:
            status.cancel()
            await asyncio.gather(status, return_exceptions=True)

    async def _handle(self, event: proto.ServerMessage) -> None:
        match event.WhichOneof("message"):
            case "register":
                log.info("worker.registered", worker_id=event.register.worker_id)
                self.registered.set()
            case "availability":
                await self._answer(event.availability.job)
            case "assignment":
                self._own(self._begin(event.assignment.job))
            case "termination":
                if call := self._pool.live.get(self._jobs.get(event.termination.job_id, "")):
                    call.tell_stop()

    async def _answer(self, job: proto.Job) -> None:
        # Who has a token has a seat: only the tokens are fewer while processes are late, not the places behind them.
        # A machine that takes nobody new at all takes none of them either.
        free = self.open
        if free:
            self._accepted.add(job.id)
            # It may be another's in the end, or nobody's: nobody says so.
            asyncio.get_running_loop().call_later(ASSIGNED_S, self._forget, job.id)
        else:
            log.warning("job.refused", calls=self.calls, draining=self.draining, closed=self.load.closed)
            self.metrics.refused()
        # Answered at once: LiveKit drops a job for good when the answer takes 2.8 s.
        await self._send(
            availability=proto.AvailabilityResponse(
                job_id=job.id,
                available=free,
                participant_identity=f"reserved-{job.id}",
                participant_name=self._config.settings.agent_name,
            )
        )

    def _forget(self, job_id: str) -> None:
        self._accepted.discard(job_id)
        self._maybe_empty()

    def _maybe_empty(self) -> None:
        """Tell who waits for it that the last call is gone."""
        if not self.calls:
            self._empty.set()

    async def _begin(self, job: proto.Job) -> None:
        spec = self.new_spec(uuid.uuid4().hex, job.room.name)
        self._jobs[job.id] = spec.call_id
        self._moving.add(spec.call_id)
        self._accepted.discard(job.id)
        try:
            spec = replace(spec, epoch=await self.seating.take(spec))
            await self._place_new(spec)
        except (CapacityError, TimeoutError) as error:
            self._jobs.pop(job.id, None)
            await self._job_status(job.id, proto.JS_FAILED, str(error))
            return
        finally:
            self._moving.discard(spec.call_id)
            self._maybe_empty()
        await self._job_status(job.id, proto.JS_RUNNING)

    async def fetch(self, room: str) -> bool:
        """Begin the call of a caller who has a seat and waits in a room, and for whom LiveKit has sent no agent.

        Returns:
            Whether it is this worker's now.
        """
        spec = self.new_spec(uuid.uuid4().hex, room)
        self._moving.add(spec.call_id)
        try:
            epoch = await self.seating.take_promised(spec)
            if epoch is None:
                return False
            log.warning("call.fetched", call_id=spec.call_id, room=without_number(room))
            await self._place_new(replace(spec, epoch=epoch))
        except (CapacityError, TimeoutError):
            return False
        finally:
            self._moving.discard(spec.call_id)
            self._maybe_empty()
        return True

    async def _place_new(self, spec: SessionSpec) -> None:
        """Hand a new call, whose seat is taken, to a process; where none takes it, its caller is told by its end."""
        try:
            await self._place(spec)
        except (CapacityError, TimeoutError):
            log.exception("call.not_started", call_id=spec.call_id)
            await rooms.close(self._access, spec.room)
            await self.seating.give_back(spec.room, spec.epoch)
            raise
        self.metrics.started()
        log.info("call.started", call_id=spec.call_id, room=without_number(spec.room))

    def new_spec(self, call_id: str, room: str) -> SessionSpec:
        """Return a call for an agent with an identity and a token of its own."""
        identity = f"agent-{uuid.uuid4().hex[:12]}"
        access = self._access
        return SessionSpec(
            call_id=call_id,
            room=room,
            url=access.url,
            token=access.join_token(room, identity, self._config.settings.agent_name),
            identity=identity,
            agent_path=self._config.agent_path,
            caller_identity=None,
            data_dir=self._config.data_dir,
            speech_url=self._speech_url,
            worker_id=self.worker_id,
        )

    def has(self, call_id: str) -> bool:
        """Say whether a call is here, or on its way to a process."""
        return call_id in self._pool.live or call_id in self._moving

    def _call_over(self, call: Call) -> None:
        if call.outcome is None and self._handing_over:
            call.failure = "handed_over"
        elif call.outcome is None and not self._closing and call.losses < MAX_LOSSES:
            self._moving.add(call.spec.call_id)
            self._own(self._hand_over(call))
            return
        self._finish(call)

    def _finish(self, call: Call) -> None:
        call_id = call.spec.call_id
        job_id = next((job for job, known in self._jobs.items() if known == call_id), None)
        good = call.outcome == "ended"
        self.metrics.ended(call.outcome or "crashed", call.failure)
        if call.bill is not None:
            self.metrics.billed(call.bill)
        self.metrics.network(call.network)
        self.metrics.provider_failures(call.providers)
        if call.failure not in STAYS_OPEN:
            self._own(self._close_room(call))
        log.info("call.ended", call_id=call_id, outcome=call.outcome or "crashed", detail=call.failure)
        self._maybe_empty()
        self._own(self._leave_seat(call))
        if job_id is not None:
            del self._jobs[job_id]
            error = "" if good else call.failure or f"the session process ended with {call.exit_code}"
            self._own(self._job_status(job_id, proto.JS_SUCCESS if good else proto.JS_FAILED, error))

    async def _leave_seat(self, call: Call) -> None:
        # LiveKit first: who gets the seat has an agent sent for at once, and never to a worker thought to be full.
        await self._send_status()
        if call.failure == "handed_over":
            await self.seating.let_go(call.spec)
        else:
            await self.seating.give_back(call.spec.room, call.spec.epoch)

    async def _close_room(self, call: Call) -> None:
        """Close a call's room, unless the call goes on in it with an agent of another worker."""
        spec = call.spec
        ours = await self.seating.holds(spec)
        # Who has lost the room, and cannot ask either, was cut off, and has probably been taken for dead.
        if ours or (ours is None and call.failure != "media_lost"):
            await rooms.close(self._access, spec.room)

    # --- from one agent to another ----------------------------------------------------------------------------

    async def _hand_over(self, call: Call) -> None:
        """A process has died: another goes on with its call, in the same room."""
        old, began_s = call.spec, time.monotonic()
        # Beside: it is dead for certain, and what is left of it in the room holds nobody up.
        self._own(rooms.put_out(self._access, old.room, old.identity))
        gone_on = False
        try:
            new = await self._successor(call)
            gone_on = await self._placed(new, "call.not_handed_over")
        finally:
            self._moving.discard(old.call_id)
        if not gone_on:
            self._finish(call)
            return
        self.metrics.handed_over()
        log.warning(
            "call.handed_over",
            call_id=old.call_id,
            exit_code=call.exit_code,
            took_ms=round((time.monotonic() - began_s) * 1000),
        )

    async def _place(self, spec: SessionSpec) -> None:
        """Hand a call to a process; it stays no longer than the others."""
        with self._kept(spec):
            call = await self._pool.take(spec)
        if self._handing_over:
            call.tell_hand_over()

    @contextlib.contextmanager
    def _kept(self, spec: SessionSpec) -> Iterator[None]:
        """Keep the seat of a call that is on its way: other workers would take it for left alone."""
        keeping = self._own(self.seating.keep(spec))
        try:
            yield
        finally:
            keeping.cancel()  # not waited for: a call that has been placed is marked as one at once

    async def _placed(self, spec: SessionSpec, failed: str) -> bool:
        """Hand a call that somebody had to a process; one that none takes is left to whoever can go on with it."""
        placed = False
        try:
            await self._place(spec)
            placed = True
        except (CapacityError, TimeoutError):
            log.exception(failed, call_id=spec.call_id)
        finally:
            if not placed:
                await self.seating.let_go(spec)
        return placed

    async def _successor(self, call: Call) -> SessionSpec:
        """Return a dead agent's call for the next one."""
        old = call.spec
        caller = call.told.get("caller", {}).get("identity")
        new = replace(
            self.new_spec(old.call_id, old.room),
            caller_identity=caller or old.caller_identity,
            takeovers=old.takeovers + 1,
            losses=call.losses,
        )
        # Who has not been heard yet begins anew; everybody else goes on.
        knows = self._past(new) if caller or old.resume else _none()
        epoch, resume = await asyncio.gather(self.seating.take_over(held(old), new), knows)
        # Nobody can be asked; or somebody was faster, who has this epoch and the seat: that fences this one off.
        return replace(new, epoch=epoch or old.epoch + 1, resume=resume)

    async def _past(self, spec: SessionSpec) -> Resume:
        return await asyncio.to_thread(resume_of, self._store, spec.call_id, spec.takeovers)

    async def adopt(self, orphan: Held) -> bool:
        """Go on with a call whose worker is gone; return whether it is this worker's now."""
        # As with callers who have a seat: workers that are late take fewer new calls, not fewer of those there are.
        if self.draining or self.calls >= self._config.settings.max_calls:
            return False
        # How the agents before its last one ended nobody knows here.
        losses = 1 if orphan.kept_s < STEADY_S else 0
        new = replace(self.new_spec(orphan.call_id, orphan.room), takeovers=orphan.epoch, losses=losses)
        if losses and orphan.epoch >= MAX_LOSSES and await self._kills(orphan):
            log.error("call.given_up", call_id=orphan.call_id, agents=orphan.epoch)
            await rooms.close(self._access, orphan.room)
            await self.seating.give_back(orphan.room, orphan.epoch)
            return False
        self._moving.add(orphan.call_id)
        try:
            epoch = await self.seating.take_over(orphan, new)
            if epoch is None:
                return False
            new = replace(new, epoch=epoch)
            with self._kept(new):
                resume, _ = await asyncio.gather(
                    self._past(new), rooms.put_out(self._access, orphan.room, orphan.identity)
                )
            if not await self._placed(replace(new, resume=resume), "call.not_adopted"):
                return False
        finally:
            self._moving.discard(orphan.call_id)
            self._maybe_empty()
        self.metrics.handed_over()
        log.warning("call.adopted", call_id=orphan.call_id, silent_s=round(orphan.silent_s, 1))
        return True

    async def _kills(self, orphan: Held) -> bool:
        """Say whether a call can have lost all its agents soon: none of them was steady, so it is not old.

        How many there were alone says nothing: a rollout raises the epoch too, and calls outlast many.
        """
        old_s = await asyncio.to_thread(age_s, self._store, orphan.call_id)
        return old_s is not None and old_s < orphan.epoch * STEADY_S

    async def _judge(self) -> None:
        """Reckon how many calls there may be, and say so to the last: who is silent is taken for dead."""
        said, said_s = None, 0.0
        while True:
            for late_ms in self._pool.late_ms():
                self.capacity.late(late_ms)
            seats, now_s = self.capacity.judge(self.calls, time.monotonic()), time.monotonic()
            if seats != said or now_s - said_s >= HEARD_S:
                said, said_s = seats, now_s
                await self.seating.announce(seats, draining=self.draining)
            await asyncio.sleep(JUDGE_S)

    async def _job_status(self, job_id: str, status: proto.JobStatus, error: str = "") -> None:
        await self._send(update_job=proto.UpdateJobStatus(job_id=job_id, status=status, error=error))

    async def _report_status(self) -> None:
        while True:
            await self._send_status()
            await asyncio.sleep(STATUS_S)

    async def _send_status(self) -> None:
        most = self._config.settings.max_calls
        full = self.draining or self.load.closed or self.calls >= most
        await self._send(
            update_worker=proto.UpdateWorkerStatus(
                status=proto.WS_FULL if full else proto.WS_AVAILABLE,
                load=min(1.0, self.calls / most) * TOP_LOAD,
                job_count=self.calls,
            )
        )

    async def _send(self, **message: Any) -> None:
        socket = self._socket
        if socket is None or socket.closed:
            return
        try:
            await socket.send_bytes(proto.WorkerMessage(**message).SerializeToString())
        except (ConnectionError, aiohttp.ClientError) as error:
            log.warning("worker.send_failed", error=type(error).__name__)

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _none() -> None:
    return None
