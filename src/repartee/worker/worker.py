"""A LiveKit agent worker: registers, takes jobs, runs each in a process of its own."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from livekit.protocol import agent as proto
from livekit.protocol import models

from repartee.errors import CapacityError, MediaError
from repartee.providers.breakers import Breakers
from repartee.providers.shared import FileJournal
from repartee.session import SessionSpec
from repartee.settings import Settings
from repartee.telemetry.load import LoadBoard
from repartee.version import VERSION
from repartee.worker.degrading import LoadWatch
from repartee.worker.metrics import WorkerMetrics
from repartee.worker.pool import Child, Pool
from repartee.worker.tokens import LiveKitAccess

log = structlog.get_logger()
STATUS_S = 2.5
BACKOFF_S = (0.2, 10.0)
REGISTER_S = 10.0
PROVIDERS_FOLDER = "providers"
"""In the state folder: what all calls have found out about the providers."""


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
        self._pool = Pool(config.settings, config.agent_path, self._call_over)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._jobs: dict[str, str] = {}
        self._accepted: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self._access = LiveKitAccess("", "", "")
        self._speech_url: str | None = None
        self.registered = asyncio.Event()
        self.metrics = WorkerMetrics(lambda: self.calls, self.registered.is_set)
        breakers = Breakers(FileJournal(config.data_dir.absolute() / PROVIDERS_FOLDER))
        self.load = LoadWatch(
            LoadBoard(config.data_dir), breakers=breakers.states, pinned=config.settings.level
        )
        self.metrics.watch_load(self.load)

    @property
    def calls(self) -> int:
        """Calls in progress or promised."""
        return len(self._pool.live) + len(self._accepted)

    @property
    def max_calls(self) -> int:
        """How many calls it takes at once."""
        return self._config.settings.max_calls

    async def warm(self) -> None:
        """Start the session processes.

        Raises:
            CapacityError: None could be started.
        """
        await self._pool.start()

    async def close(self) -> None:
        """End every session process."""
        self.draining = True
        await self._pool.close()

    async def run(self, stop: asyncio.Event, access: LiveKitAccess, speech_url: str | None) -> None:
        """Serve until `stop` is set, then end every call. `warm` comes first.

        Args:
            stop: Set to end.
            access: The LiveKit server.
            speech_url: The speech host, where one is needed.

        Raises:
            MediaError: The server refuses the key.
        """
        self._access, self._speech_url = access, speech_url
        serving = asyncio.create_task(self._serve(), name="worker")
        watching = asyncio.create_task(self.load.run(), name="load")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
        finally:
            self.draining = True
            await self._send_status()
            await self.close()
            serving.cancel()
            stopping.cancel()
            watching.cancel()
            await asyncio.gather(serving, stopping, watching, *self._tasks, return_exceptions=True)

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
                if child := self._pool.live.get(self._jobs.get(event.termination.job_id, "")):
                    child.tell_stop()

    async def _answer(self, job: proto.Job) -> None:
        free = not self.draining and not self.load.closed and self.calls < self.max_calls
        if free:
            self._accepted.add(job.id)
        else:
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

    async def _begin(self, job: proto.Job) -> None:
        identity = f"agent-{uuid.uuid4().hex[:12]}"
        access = self._access
        call_id = uuid.uuid4().hex
        spec = SessionSpec(
            call_id=call_id,
            room=job.room.name,
            url=access.url,
            token=access.join_token(job.room.name, identity, self._config.settings.agent_name),
            identity=identity,
            agent_path=self._config.agent_path,
            caller_identity=None,
            data_dir=self._config.data_dir,
            speech_url=self._speech_url,
        )
        self._jobs[job.id] = call_id
        try:
            await self._pool.take(spec)
        except (CapacityError, TimeoutError) as error:
            log.exception("call.not_started", job_id=job.id)
            self._jobs.pop(job.id, None)
            await self._job_status(job.id, proto.JS_FAILED, str(error))
            return
        finally:
            self._accepted.discard(job.id)
        self.metrics.started()
        log.info("call.started", call_id=call_id, room=job.room.name)
        await self._job_status(job.id, proto.JS_RUNNING)

    def _call_over(self, child: Child) -> None:
        call_id = child.spec.call_id if child.spec else ""
        job_id = next((job for job, call in self._jobs.items() if call == call_id), None)
        good = child.outcome == "ended"
        self.metrics.ended(child.outcome or "crashed")
        if child.bill is not None:
            self.metrics.billed(child.bill)
        log.info("call.ended", call_id=call_id, outcome=child.outcome or "crashed", detail=child.failure)
        if job_id is not None:
            del self._jobs[job_id]
            error = (
                "" if good else child.failure or f"the session process ended with {child.process.exitcode}"
            )
            self._own(self._job_status(job_id, proto.JS_SUCCESS if good else proto.JS_FAILED, error))

    async def _job_status(self, job_id: str, status: proto.JobStatus, error: str = "") -> None:
        await self._send(update_job=proto.UpdateJobStatus(job_id=job_id, status=status, error=error))

    async def _report_status(self) -> None:
        while True:
            await self._send_status()
            await asyncio.sleep(STATUS_S)

    async def _send_status(self) -> None:
        full = self.draining or self.load.closed or self.calls >= self.max_calls
        await self._send(
            update_worker=proto.UpdateWorkerStatus(
                status=proto.WS_FULL if full else proto.WS_AVAILABLE,
                load=min(1.0, self.calls / self.max_calls),
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

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
