"""Which rung of a stage is asked next: decided from breakers, the deadline and what has failed already.

`next_step` is the decision and nothing else. `Failover` runs it for one stage of one call: every request begins with
the first choice whose breaker lets it, so a choice that has healed is taken again by itself.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

import structlog

from repartee.errors import ProviderError
from repartee.providers.breakers import Breakers, Ticket
from repartee.providers.deadline import Clock, Deadline
from repartee.providers.failures import PROVIDER_ERRORS, Failure, Why, failure_of
from repartee.providers.limits import Limits
from repartee.providers.shared import BreakerKey, Kind

log = structlog.get_logger()
StageName = Literal["stt", "llm", "tts"]
AGAIN: frozenset[Why] = frozenset({"error", "cut"})
"""Failures after which the same rung may be asked once more: it answered, and quickly."""
MAX_TRIES = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """One rung as a request sees it.

    Attributes:
        key: Its breaker's.
        first_s: The first of its answer must have come by then.
        idle_s: So long it may say nothing in the middle.
        least_s: With less than this left it is not worth asking.
        last_resort: It runs on this machine: asked when nothing else is left, whatever its breaker says.
    """

    key: BreakerKey
    first_s: float
    idle_s: float
    least_s: float = 0.3
    last_resort: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """The next request: which rung, and how long until the first of its answer."""

    index: int
    first_s: float


def next_step(
    choices: Sequence[Choice],
    available: Sequence[bool],
    failed: Sequence[tuple[int, Why]],
    remaining_s: float,
) -> Step | None:
    """Choose the next rung.

    Rungs of vendors come first, in order; then one that failed quickly, once more; then this machine's own. A rung
    that is the last there is may use all the time that is left: there is nothing to keep it for.

    Args:
        choices: The rungs in the order wished for.
        available: Whether each one's breaker lets a request pass.
        failed: What was asked for this answer already, and why it failed.
        remaining_s: What is left of the deadline.

    Returns:
        None when nothing that is left can answer in time.
    """
    order = _order(choices, available, failed)
    usable = [index for index in order if choices[index].least_s <= remaining_s]
    if not usable:
        return None
    index, later = usable[0], usable[1:]
    # A second try of the same rung is no reason to be impatient with the first.
    others = [choices[other].least_s for other in later if other != index]
    if not others or remaining_s - min(others) < choices[index].least_s:
        return Step(index, remaining_s)
    return Step(index, min(remaining_s - min(others), choices[index].first_s))


def _order(
    choices: Sequence[Choice], available: Sequence[bool], failed: Sequence[tuple[int, Why]]
) -> list[int]:
    tried = [index for index, _ in failed]
    vendors = [index for index, choice in enumerate(choices) if not choice.last_resort]
    own = [index for index, choice in enumerate(choices) if choice.last_resort]
    fresh = [index for index in vendors if index not in tried and available[index]]
    again = [
        index
        for index, why in failed
        if why in AGAIN and index in vendors and tried.count(index) < MAX_TRIES and available[index]
    ]
    return [*fresh, *again, *(index for index in own if tried.count(index) < 1)]


@dataclass(frozen=True, slots=True)
class Switched:
    """A stage answers from another rung than before. `why` is None when a better one has healed."""

    stage: StageName
    before: BreakerKey
    now: BreakerKey
    why: Why | None


@dataclass
class Watch:
    """What is told about a stage. None of it may raise or wait."""

    switched: Callable[[Switched], None] = lambda _: None
    failed: Callable[[StageName, BreakerKey, Why], None] = lambda *_: None
    exhausted: Callable[[StageName], None] = lambda _: None


class Failover:
    """The rungs of one stage of one call.

    Args:
        stage: Which.
        choices: Its rungs in order; at least one.
        breakers: Shared by all calls.
        limits: Shared by all calls.
        watch: Who is told.
        clock_s: The machine's monotonic clock.
    """

    def __init__(
        self,
        stage: StageName,
        choices: Sequence[Choice],
        breakers: Breakers,
        limits: Limits,
        *,
        watch: Watch | None = None,
        clock_s: Clock = time.monotonic,
    ) -> None:
        self.stage: StageName = stage
        self.choices = tuple(choices)
        self.breakers, self.limits = breakers, limits
        self.watch = watch or Watch()
        self.clock_s = clock_s
        self.index = 0
        """The rung that answered last."""
        self._switched_at_s = -math.inf

    def request(self, deadline: Deadline, *, skip: Sequence[tuple[int, Why]] = ()) -> Request:
        """Begin one answer; `skip` names rungs that have failed for it already."""
        return Request(self, deadline, list(skip))

    def answered(self, index: int, why: Why | None, asked_at_s: float) -> None:
        """Take note of the rung that answers; one that was asked before the last switch says nothing of now."""
        if index == self.index or asked_at_s < self._switched_at_s:
            return
        before, self.index = self.index, index
        self._switched_at_s = self.clock_s()
        switched = Switched(
            self.stage, self.choices[before].key, self.choices[index].key, why if index > before else None
        )
        log.warning(
            "provider.switched",
            stage=self.stage,
            now=str(switched.now.provider),
            why=switched.why or "healed",
        )
        self.watch.switched(switched)


@dataclass
class Request:
    """One answer in the making: `next` until one succeeds or nothing is left."""

    failover: Failover
    deadline: Deadline
    failed: list[tuple[int, Why]] = field(default_factory=list)
    free_at_s: dict[int, float] = field(default_factory=dict)
    """When rungs that had too many requests may be asked again, by their own word; once each."""

    async def upcoming(self) -> Attempt | None:
        """Return the next attempt; where only a rung is left that asked for a moment, after that moment."""
        attempt = self.next(quiet=True)
        if attempt is None and (index := self._free_in_time()) is not None:
            await asyncio.sleep(max(0.0, self.free_at_s[index] - self.failover.clock_s()))
            self.free_at_s[index] = math.inf
            self.failed = [(other, why) for other, why in self.failed if other != index]
        return attempt or self.next()

    def _free_in_time(self) -> int | None:
        over_s = self.failover.clock_s() + self.deadline.remaining()
        for index, at_s in self.free_at_s.items():
            if at_s + self.failover.choices[index].least_s < over_s:
                return index
        return None

    def next(self, *, quiet: bool = False) -> Attempt | None:
        """Return the next attempt; None when the answer cannot be made in time, which is told unless `quiet`."""
        failover = self.failover
        available = [failover.breakers.available(choice.key) for choice in failover.choices]
        while (
            step := next_step(failover.choices, available, self.failed, self.deadline.remaining())
        ) is not None:
            choice = failover.choices[step.index]
            ticket = failover.breakers.ask(choice.key)
            if ticket is None and choice.last_resort:
                ticket = failover.breakers.force(choice.key)
            if ticket is not None:
                return Attempt(self, step.index, choice, step.first_s, ticket)
            available[step.index] = False  # another call is finding out
        if not quiet:
            failover.watch.exhausted(failover.stage)
        return None

    def error(self) -> ProviderError:
        """Return what is to be raised when nothing is left."""
        whys = ", ".join(f"{self.failover.choices[index].key.provider}: {why}" for index, why in self.failed)
        timed_out = self.deadline.passed or any(why == "timeout" for _, why in self.failed)
        return ProviderError(
            f"no {self.failover.stage} provider answered in time ({whys or 'all are left alone for now'})",
            kind="timeout" if timed_out else "unavailable",
            provider=self.failover.choices[0].key.provider,
        )


class Attempt:
    """One request to one rung. As a context it holds a place, tells the breaker how it ended, and swallows failures.

    Attributes:
        index: Which rung.
        choice: The rung.
        first_s: The first of the answer must come within this.
        failure: Why it failed; None while it has not.
    """

    def __init__(self, request: Request, index: int, choice: Choice, first_s: float, ticket: Ticket) -> None:
        self.index, self.choice, self.first_s = index, choice, first_s
        self.failure: Failure | None = None
        self._request = request
        self._ticket = ticket
        self._began_s = request.failover.clock_s()
        self._got_first_s: float | None = None
        self._stack = AsyncExitStack()

    @property
    def number(self) -> int:
        """1 for the first try of this answer."""
        return len(self._request.failed) + 1

    @property
    def ok(self) -> bool:
        """Whether it has not failed."""
        return self.failure is None

    def first(self) -> None:
        """The first of the answer has come."""
        if self._got_first_s is None:
            failover = self._request.failover
            self._got_first_s = failover.clock_s() - self._began_s
            why = self._request.failed[-1][1] if self._request.failed else None
            failover.answered(self.index, why or "open", self._began_s)

    async def __aenter__(self) -> Attempt:
        """Take a place; finding none is a failure that `ok` tells."""
        failover = self._request.failover
        try:
            place = failover.limits.place(self.choice.key, self._request.deadline)
            await self._stack.enter_async_context(place)
        except BaseException as error:
            if self._ended(error):
                return self
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Tell how it ended; a provider's failure goes no further."""
        await self._stack.aclose()
        if self.failure is not None and error is None:
            return True
        if error is None:
            self._tell("done")
            return True
        return self._ended(error)

    async def leave(self, *, done: bool) -> None:
        """End it where it was no context: it is done, or was given up by us; one that has failed has failed."""
        await self._stack.aclose()
        self._tell("done" if done else "given_up")

    def _ended(self, error: BaseException) -> bool:
        if not isinstance(error, (*PROVIDER_ERRORS, ProviderError)):
            self._tell("given_up")
            return False
        failure = failure_of(error)
        if self._got_first_s is not None and failure.why in {"error", "timeout"}:
            failure = Failure("cut")
        self.fail(failure)
        return True

    def fail(self, failure: Failure) -> None:
        """It has failed."""
        if self.failure is not None:
            return
        self.failure = failure
        kinds: dict[Why, Kind] = {"limited": "limited", "refused": "refused", "busy": "given_up"}
        self._tell(kinds.get(failure.why, "failed"), failure.retry_after_s)
        self._request.failed.append((self.index, failure.why))
        if failure.why == "limited" and failure.retry_after_s is not None:
            free_at_s = self._request.failover.clock_s() + failure.retry_after_s
            self._request.free_at_s.setdefault(self.index, free_at_s)
        self._request.failover.watch.failed(self._request.failover.stage, self.choice.key, failure.why)

    def _tell(self, kind: Kind, retry_after_s: float | None = None) -> None:
        self._request.failover.breakers.tell(
            self._ticket, kind, first_s=self._got_first_s, retry_after_s=retry_after_s
        )
