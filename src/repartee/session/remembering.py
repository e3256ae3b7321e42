"""Folds a call's old turns into notes while nobody waits for it.

A fold is asked for when a turn is over and the agent is idle or speaking. It runs in the one task of `run`, under a
deadline; a reply never waits for it. An interruption calls it off, so that the machine and the provider are the new
turn's, and it is begun again at the next quiet moment; after two such it is left to finish.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog

from repartee.conversation import Conversation, Idle, Speaking, UserTurn, Yielding
from repartee.conversation.facts import open_goals
from repartee.conversation.history import History
from repartee.conversation.memory import FoldJob
from repartee.conversation.summaries import Summary
from repartee.errors import ProviderError
from repartee.goals import Goals
from repartee.providers.summariser import PickingSummariser, Summariser

log = structlog.get_logger()
FOLD_S = 30.0
LAST_FOLD_S = 5.0
"""At the end of a call, when the process is about to go."""
CALLED_OFF_MAX = 2
FAILURES_MAX = 2
"""After so many in a row sentences are picked; the next fold asks the model again."""


class Remembering:
    """The fold worker of one call.

    Args:
        history: The call's history.
        summariser: Writes the notes.
        mark: Writes to the timeline.
        goals: Where the call's goals stand; the notes are told of those that are not finished.
    """

    def __init__(
        self,
        history: History,
        summariser: Summariser,
        mark: Callable[..., None],
        goals: Callable[[], Goals] = Goals,
    ) -> None:
        self._history = history
        self._summariser = summariser
        self._picking = PickingSummariser()
        self._mark = mark
        self._goals = goals
        self._wanted = asyncio.Event()
        self._interrupted = asyncio.Event()
        self._called_off = 0
        self._floor: type = Idle

    def state(self, conversation: Conversation) -> None:
        """Hear of the conversation's state. Never waits."""
        before, self._floor = self._floor, type(conversation.state)
        match conversation.state:
            case Idle() | Speaking():
                self._wanted.set()
            case UserTurn() if before in (Speaking, Yielding):
                self._interrupted.set()
            case _:
                pass

    async def run(self) -> None:
        """Fold what is due, one fold at a time, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._interrupted.clear()
            job = self._begin()
            if job is not None:
                await self._fold(job)

    async def finish(self) -> None:
        """Fold the whole call, for what is kept of it; after `run` has ended."""
        number = self._history.memory.next_number
        job = self._begin(number) if number else None
        if job is None:
            return
        try:
            async with asyncio.timeout(LAST_FOLD_S):
                summary, by_model = await self._summariser.summarise(job), self._summariser.by_model
        except (ProviderError, TimeoutError):
            summary, by_model = await self._picking.summarise(job), False
        self._history.fold_done(job.number, summary, by_model=by_model)

    def _begin(self, upto: int | None = None) -> FoldJob | None:
        job = self._history.begin_fold(upto)
        return None if job is None else replace(job, facts=(*job.facts, *open_goals(self._goals(), job.upto)))

    async def _fold(self, job: FoldJob) -> None:
        failing = self._history.memory.failures >= FAILURES_MAX
        summariser: Summariser = self._picking if failing else self._summariser
        work = asyncio.create_task(summariser.summarise(job), name="summary")
        stop = asyncio.create_task(self._interrupted.wait(), name="interrupted")
        waited: set[asyncio.Task[Any]] = {work} if self._called_off >= CALLED_OFF_MAX else {work, stop}
        late = False
        try:
            over, _ = await asyncio.wait(waited, timeout=FOLD_S, return_when=asyncio.FIRST_COMPLETED)
            late = not over
        finally:
            work.cancel()
            stop.cancel()
            result, _ = await asyncio.gather(work, stop, return_exceptions=True)
            if late:
                self._history.fold_failed(job.number)
            elif work.cancelled():
                self._history.fold_withdrawn(job.number)
        if not work.cancelled():
            self._take(job, result, by_model=summariser.by_model)
        elif late:
            self._mark("memory.fold_late", number=job.number)
        else:
            self._called_off += 1
            self._mark("memory.fold_called_off", number=job.number)

    def _take(self, job: FoldJob, result: Summary | BaseException, *, by_model: bool) -> None:
        self._called_off = 0
        match result:
            case Summary():
                self._history.fold_done(job.number, result, by_model=by_model)
                facts = len(self._history.memory.notes.facts)
                self._mark("memory.folded", number=job.number, upto=job.upto, by_model=by_model, facts=facts)
            case ProviderError():
                self._history.fold_failed(job.number)
                log.warning("memory.fold_failed", kind=result.kind, provider=result.provider)
                self._mark("memory.fold_failed", number=job.number)
            case _:
                self._history.fold_failed(job.number)
                raise result
