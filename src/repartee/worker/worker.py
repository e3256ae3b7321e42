"""A LiveKit agent worker: registers, answers jobs, says how full it is, and drains; its calls are in `calls`."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
import uuid
from typing import Any

import aiohttp
import structlog
from livekit.protocol import agent as proto
from livekit.protocol import models

from repartee.errors import CapacityError, MediaError
from repartee.providers.health import open_health
from repartee.session.keeping import keeping
from repartee.store import Held, Seats
from repartee.telemetry.load import LoadBoard
from repartee.version import VERSION
from repartee.worker.calls import Calls
from repartee.worker.capacity import Capacity, most_calls
from repartee.worker.config import WorkerConfig
from repartee.worker.degrading import LoadWatch
from repartee.worker.metrics import WorkerMetrics
from repartee.worker.process import Call
from repartee.worker.seating import Seating
from repartee.worker.tasks import Tasks
from repartee.worker.tokens import LiveKitAccess
from repartee.worker.watchdog import Watchdog

log = structlog.get_logger()
STATUS_S = 2.5
JUDGE_S = 0.5
HEARD_S = 1.0
"""How often the others hear that this worker is there."""
BACKOFF_S = (0.2, 10.0)
TOP_LOAD = 0.69
"""LiveKit prefers not to send jobs to a worker above 0.7 (`agents.target_load`), however many places it has left."""
HAND_OVER_S = 8.0
ASSIGNED_S = 15.0
"""A job that was promised to be taken is assigned by then, or not to this worker."""
ENTERS_S = 5.0
"""Whoever asked for a place to call enters it by then: a worker that ends waits no longer for an empty call."""


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
        worker_id = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self.seating = Seating(Seats(keeping(config.settings).store), worker_id)
        self.capacity = Capacity(most_calls(config.settings))
        self._tasks = Tasks()
        self._calls = Calls(
            config,
            self.seating,
            self.metrics,
            self._tasks,
            before_free=self._send_status,
            on_fewer=self._maybe_empty,
            on_over=self._report_end,
        )
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._jobs: dict[str, str] = {}
        """The call of each job."""
        self._accepted: set[str] = set()
        """Jobs that were promised to be taken, and have not been assigned yet."""
        self._empty = asyncio.Event()
        self.draining = False
        self.load = LoadWatch(
            LoadBoard(config.data_dir),
            breakers=health.breakers.states,
            pinned=config.settings.level,
            calls=lambda: self.calls,
        )
        # As with a seat that is free again: LiveKit first, which sends nobody to a worker it thinks to be full.
        self.load.before_opening = self._send_status
        self.metrics.watch_load(self.load)
        self.metrics.watch_tasks(lambda: self._calls.pool.tasks)
        settings = config.settings
        self.metrics.watch_store(
            settings.state_dir, settings.spool_dir, lambda: self.seating.database_answers
        )

    @property
    def calls(self) -> int:
        """Calls in progress or promised."""
        return len(self._calls) + len(self._accepted)

    @property
    def max_calls(self) -> int:
        """How many calls it takes at once: what is allowed, or less while its processes are late."""
        return self.capacity.seats

    @property
    def seats(self) -> int:
        """How many calls there may be here: none beyond those there are while nobody new is taken."""
        return self.calls if self.draining or self.load.closed else self.max_calls

    @property
    def has_room(self) -> bool:
        """Whether it has room for one of those who have a seat."""
        return not self.draining and self.calls < self.capacity.most

    @property
    def takes_jobs(self) -> bool:
        """Whether LiveKit may send it somebody new."""
        return self.has_room and not self.load.closed

    async def warm(self) -> None:
        """Start the session processes.

        Raises:
            CapacityError: None could be started.
        """
        await self._calls.pool.start()

    async def close(self) -> None:
        """End every session process."""
        self.draining = True
        await self._calls.pool.close()

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
        self._calls.access, self._calls.speech_url = access, speech_url
        await self.seating.announce(self.max_calls, draining=False)
        serving = asyncio.create_task(self._serve(access), name="worker")
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
            vacating = asyncio.get_running_loop().call_later(ENTERS_S, self._calls.stop_vacant)
            waits = [asyncio.create_task(self._empty.wait())]
            waits += [asyncio.create_task(at_once.wait())] if at_once is not None else []
            await asyncio.wait(waits, timeout=drain_s, return_when=asyncio.FIRST_COMPLETED)
            vacating.cancel()
            for wait in waits:
                wait.cancel()
        hurry = at_once is not None and at_once.is_set()
        if self.calls and not hurry and await self.seating.others():
            log.info("worker.handing_over", calls=self.calls)
            self._calls.leave_to_others()
            self._empty.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), HAND_OVER_S)

    async def _serve(self, access: LiveKitAccess) -> None:
        wait_s = BACKOFF_S[0]
        url = access.url.rstrip("/") + "/agent"
        async with aiohttp.ClientSession() as session:
            while True:
                headers = {"Authorization": f"Bearer {access.register_token()}"}
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
                            f"the LiveKit server at {access.url} refuses the key; check "
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
                self._tasks.begin(self._begin(event.assignment.job))
            case "termination":
                self._calls.stop(self._jobs.get(event.termination.job_id, ""))

    async def _answer(self, job: proto.Job) -> None:
        # Who has a token has a seat: only the tokens are fewer while processes are late, not the places behind them.
        # A machine that takes nobody new at all leaves them to others; the watchdog fetches those whom nobody takes.
        free = self.takes_jobs
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
        spec = self._calls.new_spec(uuid.uuid4().hex, job.room.name)
        self._jobs[job.id] = spec.call_id
        with self._calls.on_its_way(spec.call_id):
            self._accepted.discard(job.id)
            try:
                await self._calls.begin(spec)
            except (CapacityError, TimeoutError) as error:
                self._jobs.pop(job.id, None)
                await self._job_status(job.id, proto.JS_FAILED, str(error))
                return
        await self._job_status(job.id, proto.JS_RUNNING)

    def _report_end(self, call: Call) -> None:
        """Tell LiveKit how a job ended; a call that was fetched or adopted is none."""
        call_id = call.spec.call_id
        job_id = next((job for job, known in self._jobs.items() if known == call_id), None)
        if job_id is not None:
            del self._jobs[job_id]
            good = call.outcome == "ended"
            error = "" if good else call.failure or f"the session process ended with {call.exit_code}"
            self._tasks.begin(self._job_status(job_id, proto.JS_SUCCESS if good else proto.JS_FAILED, error))

    # --- for the watchdog -------------------------------------------------------------------------------------

    def has(self, call_id: str) -> bool:
        """Say whether a call is here, or on its way to a process."""
        return self._calls.has(call_id)

    def fetch(self, room: str) -> None:
        """Have the call of a caller begin who has a seat and for whom LiveKit has sent no agent."""
        self._calls.fetch(room)

    async def adopt(self, orphan: Held) -> bool:
        """Go on with a call whose worker is gone, where there is a place; return whether it is here."""
        # As with callers who have a seat: workers that are late take fewer new calls, not fewer of those there are.
        return self.has_room and await self._calls.adopt(orphan)

    # --- how full it is ---------------------------------------------------------------------------------------

    async def _judge(self) -> None:
        """Reckon how many calls there may be, and say so to the last: who is silent is taken for dead."""
        said, said_s = None, 0.0
        while True:
            for late_ms in self._calls.pool.late_ms():
                self.capacity.late(late_ms)
            self.capacity.judge(self.calls, time.monotonic())
            seats, now_s = self.seats, time.monotonic()
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
        await self._send(
            update_worker=proto.UpdateWorkerStatus(
                status=proto.WS_AVAILABLE if self.takes_jobs else proto.WS_FULL,
                load=min(1.0, self.calls / self.capacity.most) * TOP_LOAD,
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
