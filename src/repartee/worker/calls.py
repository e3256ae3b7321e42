"""What becomes of a worker's calls: begun, handed on when their agent dies, taken from the dead, ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import structlog

from repartee.errors import CapacityError
from repartee.session import SessionSpec
from repartee.session.keeping import keeping
from repartee.session.resuming import resume_of
from repartee.session.spec import Resume
from repartee.store import Held
from repartee.telemetry.redaction import without_number
from repartee.worker import rooms
from repartee.worker.config import WorkerConfig
from repartee.worker.metrics import WorkerMetrics
from repartee.worker.pool import Pool
from repartee.worker.process import Call, losses_after
from repartee.worker.seating import Seating, held
from repartee.worker.tasks import Tasks
from repartee.worker.tokens import LiveKitAccess

log = structlog.get_logger()
MAX_LOSSES = 3
"""A call that has lost so many agents, each within a minute, is what kills them."""
STAYS_OPEN = frozenset({"caller_left", "room_closed", "handed_over"})
"""Reasons to end a call after which nobody is left alone in the room. After any other it is closed: the caller would
hear nothing any more, or come back to nobody."""


class Calls:
    """The calls of one worker, from the first agent of each to the end.

    Args:
        config: What the worker runs.
        seating: Its part in the seats.
        metrics: What it counts.
        tasks: What runs beside; whoever made it waits for them in the end.
        before_free: Awaited before a seat is given back.
        on_fewer: Called when there may be a call less.
        on_over: Called with a call that is over for good, whatever its agents were.

    Attributes:
        pool: The processes that have the calls.
        access: The LiveKit server; to be set before the first call, as is `speech_url`.
        speech_url: The speech host, where one is needed.
    """

    def __init__(
        self,
        config: WorkerConfig,
        seating: Seating,
        metrics: WorkerMetrics,
        tasks: Tasks,
        *,
        before_free: Callable[[], Awaitable[None]],
        on_fewer: Callable[[], None],
        on_over: Callable[[Call], None],
    ) -> None:
        self._config = config
        self._seating = seating
        self._metrics = metrics
        self._tasks = tasks
        self._before_free = before_free
        self._on_fewer = on_fewer
        self._on_over = on_over
        self._store = keeping(config.settings).store
        self.pool = Pool(
            config.settings, config.agent_path, self._lost_or_over, metrics.store_trouble, metrics.answered
        )
        self._moving: set[str] = set()
        """Calls on their way to an agent: the first, or another."""
        self._handing_over = False
        """Other workers get the calls that are left."""
        self.access = LiveKitAccess("", "", "")
        self.speech_url: str | None = None

    def __len__(self) -> int:
        """Return how many there are, those on their way to an agent among them."""
        return len(self.pool.live) + len(self._moving)

    def has(self, call_id: str) -> bool:
        """Say whether a call is here, or on its way to a process."""
        return call_id in self.pool.live or call_id in self._moving

    def new_spec(self, call_id: str, room: str) -> SessionSpec:
        """Return a call for an agent with an identity and a token of its own."""
        identity = f"agent-{uuid.uuid4().hex[:12]}"
        access = self.access
        return SessionSpec(
            call_id=call_id,
            room=room,
            url=access.url,
            token=access.join_token(room, identity, self._config.settings.agent_name),
            identity=identity,
            agent_path=self._config.agent_path,
            caller_identity=None,
            data_dir=self._config.data_dir,
            speech_url=self.speech_url,
            worker_id=self._seating.worker_id,
        )

    @contextlib.contextmanager
    def on_its_way(self, call_id: str) -> Iterator[None]:
        """Count a call as one that is here while it has no process yet."""
        self._moving.add(call_id)
        try:
            yield
        finally:
            self._moving.discard(call_id)
            self._on_fewer()

    # --- its first agent --------------------------------------------------------------------------------------

    async def begin(self, spec: SessionSpec) -> None:
        """Begin a call that is on its way.

        Raises:
            CapacityError: No process takes it; its room is closed.
            TimeoutError: None did in time; its room is closed.
        """
        await self._place_new(replace(spec, epoch=await self._seating.take(spec)))

    def fetch(self, room: str) -> asyncio.Task[bool]:
        """Begin the call of a caller who has a seat and waits in a room, and for whom LiveKit has sent no agent.

        It counts from now on.

        Returns:
            Says in the end whether it is this worker's.
        """
        spec = self.new_spec(uuid.uuid4().hex, room)
        self._moving.add(spec.call_id)
        return self._tasks.begin(self._fetch(spec))

    async def _fetch(self, spec: SessionSpec) -> bool:
        with self.on_its_way(spec.call_id):
            try:
                epoch = await self._seating.take_promised(spec)
                if epoch is None:
                    return False
                log.warning("call.fetched", call_id=spec.call_id, room=without_number(spec.room))
                await self._place_new(replace(spec, epoch=epoch))
            except (CapacityError, TimeoutError):
                return False
        return True

    async def _place_new(self, spec: SessionSpec) -> None:
        """Hand a new call, whose seat is taken, to a process; where none takes it, its caller is told by its end."""
        placed = False
        try:
            await self._place(spec)
            placed = True
        except (CapacityError, TimeoutError):
            log.exception("call.not_started", call_id=spec.call_id)
            raise
        finally:
            if not placed and await self._seating.holds(spec) is not False:
                await rooms.close(self.access, spec.room)
                await self._seating.give_back(spec.room, spec.epoch)
        self._metrics.started()
        log.info("call.started", call_id=spec.call_id, room=without_number(spec.room))

    async def _place(self, spec: SessionSpec) -> None:
        """Hand a call to a process; it stays no longer than the others."""
        with self._kept(spec):
            call = await self.pool.take(spec)
        if self._handing_over:
            call.tell_hand_over()

    @contextlib.contextmanager
    def _kept(self, spec: SessionSpec) -> Iterator[None]:
        """Keep the seat of a call that is on its way: other workers would take it for left alone."""
        keeping = self._tasks.begin(self._seating.keep(spec))
        try:
            yield
        finally:
            keeping.cancel()  # not waited for: a call that has been placed is marked as one at once

    # --- from one agent to another ----------------------------------------------------------------------------

    async def _hand_over(self, call: Call) -> None:
        """A process has died: another goes on with its call, in the same room."""
        old, began_s = call.spec, time.monotonic()
        # Beside: it is dead for certain, and what is left of it in the room holds nobody up.
        self._tasks.begin(rooms.put_out(self.access, old.room, old.identity))
        gone_on = False
        try:
            new = await self._successor(call)
            gone_on = await self._placed(new, "call.not_handed_over")
        finally:
            self._moving.discard(old.call_id)
        if not gone_on:
            self._finish(call)
            return
        self._metrics.handed_over()
        log.warning(
            "call.handed_over",
            call_id=old.call_id,
            exit_code=call.exit_code,
            took_ms=round((time.monotonic() - began_s) * 1000),
        )

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
                await self._seating.let_go(spec, spec.losses)
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
        knows = self._past(new, died_now=True) if caller or old.resume else _none()
        epoch, resume = await asyncio.gather(self._seating.take_over(held(old), new), knows)
        # Nobody can be asked; or somebody was faster, who has this epoch and the seat: that fences this one off.
        return replace(new, epoch=epoch or old.epoch + 1, resume=resume)

    async def _past(self, spec: SessionSpec, *, died_now: bool) -> Resume:
        return await asyncio.to_thread(
            resume_of, self._store, spec.call_id, spec.takeovers, died_now=died_now
        )

    async def adopt(self, orphan: Held) -> bool:
        """Go on with a call whose worker is gone; return whether it is this worker's now."""
        losses = losses_after(orphan.kept_s, orphan.losses)
        new = replace(self.new_spec(orphan.call_id, orphan.room), takeovers=orphan.epoch, losses=losses)
        if losses >= MAX_LOSSES:
            log.error("call.given_up", call_id=orphan.call_id, agents=orphan.epoch)
            await rooms.close(self.access, orphan.room)
            await self._seating.give_back(orphan.room, orphan.epoch)
            return False
        with self.on_its_way(orphan.call_id):
            epoch = await self._seating.take_over(orphan, new)
            if epoch is None:
                return False
            new = replace(new, epoch=epoch)
            with self._kept(new):
                resume, _ = await asyncio.gather(
                    self._past(new, died_now=False),
                    rooms.put_out(self.access, orphan.room, orphan.identity),
                )
            if not await self._placed(replace(new, resume=resume), "call.not_adopted"):
                return False
        self._metrics.handed_over()
        log.warning("call.adopted", call_id=orphan.call_id, silent_s=round(orphan.silent_s, 1))
        return True

    # --- the end ----------------------------------------------------------------------------------------------

    def stop(self, call_id: str) -> None:
        """Ask a call's session to end it, where it is here."""
        if call := self.pool.live.get(call_id):
            call.tell_stop()

    def stop_vacant(self) -> None:
        """Ask the sessions of calls that nobody has entered to end them."""
        for call in self.pool.live.values():
            if not call.entered:
                call.tell_stop()

    def leave_to_others(self) -> None:
        """Have every session leave its call to another worker's agent, now and from now on."""
        self._handing_over = True
        for call in list(self.pool.live.values()):
            call.tell_hand_over()

    def _lost_or_over(self, call: Call) -> None:
        if call.outcome is None and self._handing_over:
            call.failure = "handed_over"
        elif call.outcome is None and not self.pool.closing and call.losses < MAX_LOSSES:
            self._moving.add(call.spec.call_id)
            self._tasks.begin(self._hand_over(call))
            return
        self._finish(call)

    def _finish(self, call: Call) -> None:
        outcome = call.outcome or "crashed"
        self._metrics.ended(outcome, call.failure)
        if call.bill is not None:
            self._metrics.billed(call.bill)
        self._metrics.network(call.network)
        self._metrics.provider_failures(call.providers)
        if call.failure not in STAYS_OPEN:
            self._tasks.begin(self._close_room(call))
        log.info("call.ended", call_id=call.spec.call_id, outcome=outcome, detail=call.failure)
        self._on_fewer()
        self._tasks.begin(self._leave_seat(call))
        self._on_over(call)

    async def _leave_seat(self, call: Call) -> None:
        # LiveKit first: who gets the seat has an agent sent for at once, and never to a worker thought to be full.
        await self._before_free()
        if call.failure == "handed_over":
            await self._seating.let_go(call.spec, call.losses_before)
        else:
            await self._seating.give_back(call.spec.room, call.spec.epoch)

    async def _close_room(self, call: Call) -> None:
        """Close a call's room, unless the call goes on in it with an agent of another worker."""
        spec = call.spec
        ours = await self._seating.holds(spec)
        # Who has lost the room, and cannot ask either, was cut off, and has probably been taken for dead.
        if ours or (ours is None and call.failure != "media_lost"):
            await rooms.close(self.access, spec.room)


async def _none() -> None:
    return None
