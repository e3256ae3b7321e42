"""Which rung is next: every combination of a small ladder, the deadline, places, and what errors mean."""

from __future__ import annotations

import asyncio
from itertools import product
from random import Random
from typing import Any

import httpx
import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.errors import ConfigError, ProviderError
from repartee.providers.breakers import Breakers
from repartee.providers.deadline import Deadline, TurnBudget
from repartee.providers.failover import MAX_TRIES, Choice, Failover, Switched, Watch, next_step
from repartee.providers.failures import Failure, Why, failure_of, status_failure
from repartee.providers.limits import Concurrency, Limits, plan_limit
from repartee.providers.shared import BreakerKey, Found, MemoryJournal

KEYS = [BreakerKey(name, "m", "k", "chat") for name in ("openai", "cartesia", "on-device")]
FIRST, SECOND = Choice(KEYS[0], 2.0, 1.5), Choice(KEYS[1], 2.0, 1.5)
OWN = Choice(KEYS[2], 4.0, 4.0, least_s=0.8, last_resort=True)
LADDER = [FIRST, SECOND, OWN]
WHYS: tuple[Why, ...] = ("error", "timeout", "limited", "refused", "busy", "cut")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def step(available: str, failed: list[tuple[int, Why]], remaining_s: float = 8.0) -> int | None:
    found = next_step(LADDER, [letter == "y" for letter in available], failed, remaining_s)
    return None if found is None else found.index


@pytest.mark.parametrize(
    ("available", "failed", "remaining_s", "expected"),
    [
        ("yyy", [], 8.0, 0),
        ("nyy", [], 8.0, 1),
        ("nny", [], 8.0, 2),
        ("nnn", [], 8.0, 2),  # the machine's own is asked whatever its breaker says
        ("yyy", [(0, "error")], 8.0, 1),
        ("yyy", [(0, "error"), (1, "error")], 8.0, 0),  # once more, before the machine's own
        ("yyy", [(0, "timeout"), (1, "error")], 8.0, 1),
        ("yyy", [(0, "timeout"), (1, "timeout")], 8.0, 2),
        ("yyy", [(0, "limited"), (1, "refused")], 8.0, 2),
        ("yyy", [(0, "error"), (1, "error"), (0, "error"), (1, "error")], 8.0, 2),
        ("yyy", [(0, "timeout"), (1, "timeout"), (2, "error")], 8.0, None),
        ("yyy", [], 0.5, 0),
        ("nny", [], 0.5, None),  # too late for the machine's own
        ("yyy", [], 0.2, None),
    ],
)
def test_the_table(
    available: str, failed: list[tuple[int, Why]], remaining_s: float, expected: int | None
) -> None:
    assert step(available, failed, remaining_s) == expected


def test_every_history_ends_within_its_tries_and_its_time() -> None:
    """Every set of open breakers, every sequence of failures: it ends, and never asks what it must not."""
    for open_or_not in product([True, False], repeat=3):
        for whys in product(WHYS, repeat=5):
            failed: list[tuple[int, Why]] = []
            remaining_s = 8.0
            for why in whys:
                found = next_step(LADDER, open_or_not, failed, remaining_s)
                if found is None:
                    break
                assert open_or_not[found.index] or LADDER[found.index].last_resort
                assert 0 < found.first_s <= remaining_s
                earlier = [w for index, w in failed if index == found.index]
                assert len(earlier) < MAX_TRIES
                assert all(w in {"error", "cut"} for w in earlier)
                assert (2, "error") not in failed
                failed.append((found.index, why))
                remaining_s -= found.first_s if why == "timeout" else 0.1
            else:
                assert next_step(LADDER, open_or_not, failed, remaining_s) is None


@given(remaining_s=st.floats(0.0, 20.0), index=st.integers(0, 2))
def test_time_is_kept_for_whoever_comes_after(remaining_s: float, index: int) -> None:
    found = next_step(LADDER, [i >= index for i in range(3)], [], remaining_s)
    if found is None:
        assert remaining_s < LADDER[2 if index == 2 else 0].least_s
    elif found.index < 2 and remaining_s >= LADDER[found.index].least_s + OWN.least_s:
        assert LADDER[found.index].least_s <= found.first_s <= LADDER[found.index].first_s
        assert remaining_s - found.first_s >= LADDER[1].least_s - 1e-9
    elif found.index == 2:
        assert found.first_s == remaining_s, "the last there is may use what is left"


# --- run ------------------------------------------------------------------------------------------------------


class Stage:
    def __init__(self, *choices: Choice) -> None:
        self.clock = Clock()
        self.breakers = Breakers(MemoryJournal(), self.clock, Random(1))
        self.limits = Limits({"openai": 2}, clock_s=self.clock)
        self.breakers.on_found = self.limits.take
        self.switched: list[Switched] = []
        self.exhausted: list[str] = []
        watch = Watch(switched=self.switched.append, exhausted=self.exhausted.append)
        self.failover = Failover(
            "llm", choices or LADDER, self.breakers, self.limits, watch=watch, clock_s=self.clock
        )

    async def answer(self, *errors: BaseException | None, deadline_s: float = 8.0) -> str | None:
        """Run one answer; each attempt raises the next error, or succeeds."""
        script = list(errors)
        request = self.failover.request(Deadline.after(deadline_s, self.clock))
        while (attempt := request.next()) is not None:
            async with attempt:
                if (error := script.pop(0) if script else None) is not None:
                    raise error
                attempt.first()
                return attempt.choice.key.provider
        return None


class BrokenError(httpx.ConnectError):
    def __init__(self) -> None:
        super().__init__("no route")


async def test_it_goes_down_and_comes_back_by_itself() -> None:
    stage = Stage()
    for _ in range(5):
        assert await stage.answer(BrokenError()) == "cartesia"
    assert stage.breakers.state(KEYS[0]) == "open"
    assert await stage.answer() == "cartesia", "the first choice is not asked while it is open"
    stage.clock.now += 6.1
    assert await stage.answer() == "openai"
    assert await stage.answer() == "openai"
    assert stage.breakers.state(KEYS[0]) == "closed"
    assert [(s.before.provider, s.now.provider, s.why) for s in stage.switched] == [
        ("openai", "cartesia", "error"),
        ("cartesia", "openai", None),
    ]


async def test_an_interruption_is_nobody_s_failure() -> None:
    stage = Stage()
    for _ in range(10):
        with pytest.raises(asyncio.CancelledError):
            await stage.answer(asyncio.CancelledError())
    assert stage.breakers.state(KEYS[0]) == "closed"
    assert stage.switched == []


async def test_a_fault_of_ours_is_not_swallowed() -> None:
    stage = Stage()
    with pytest.raises(ZeroDivisionError):
        await stage.answer(ZeroDivisionError())
    assert stage.breakers.state(KEYS[0]) == "closed"


async def test_nothing_is_asked_after_the_deadline() -> None:
    stage = Stage()
    assert await stage.answer(deadline_s=0.1) is None
    assert stage.exhausted == ["llm"]
    error = stage.failover.request(Deadline.after(0, stage.clock)).error()
    assert error.kind == "timeout"


async def test_a_rung_that_asked_for_a_moment_gets_it_where_nothing_else_is_left() -> None:
    stage = Stage(FIRST)
    limits = status(429, **{"Retry-After": "0.05"})
    request = stage.failover.request(Deadline.after(5, stage.clock))
    attempt = await request.upcoming()
    assert attempt is not None
    async with attempt:
        raise limits
    stage.clock.now += 0.1
    again = await request.upcoming()
    assert again is not None
    assert again.index == 0
    async with again:
        raise limits
    assert await request.upcoming() is None, "once"
    assert stage.exhausted == ["llm"]


async def test_a_moment_that_is_too_long_is_not_waited_for() -> None:
    stage = Stage(FIRST)
    request = stage.failover.request(Deadline.after(5, stage.clock))
    attempt = await request.upcoming()
    assert attempt is not None
    async with attempt:
        raise status(429, **{"Retry-After": "6"})
    assert await request.upcoming() is None


async def test_no_place_is_a_reason_to_go_on_and_no_failure() -> None:
    stage = Stage()
    deadline = Deadline.after(8, stage.clock)
    async with stage.limits.place(KEYS[0], deadline), stage.limits.place(KEYS[0], deadline):
        stage.clock.now += 8  # the wait for a place ends with the clock, which the wait itself does not move
        waited = Deadline.after(0.0, stage.clock)
        with pytest.raises(ProviderError, match="all 2 requests"):
            async with stage.limits.place(KEYS[0], waited):
                pass
        request = stage.failover.request(Deadline.after(8, stage.clock))
        attempt = request.next()
        assert attempt is not None
        attempt.fail(failure_of(ProviderError("full", kind="rate_limited", provider="openai")))
        assert request.failed == [(0, "busy")]
        following = request.next()
        assert following is not None
        assert following.index == 1
    assert stage.breakers.state(KEYS[0]) == "closed"


async def test_a_place_that_becomes_free_is_taken() -> None:
    limits = Limits({"openai": 1})
    taken = asyncio.Event()

    async def second() -> None:
        async with limits.place(KEYS[0], Deadline.after(60), wait_s=60):
            taken.set()

    async with limits.place(KEYS[0], Deadline.after(60)):
        waiting = asyncio.create_task(second())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not taken.is_set()
    await asyncio.wait_for(waiting, 10)


# --- limits and errors ----------------------------------------------------------------------------------------


def found(kind: Any, at_s: float, asked_at_s: float | None = None) -> Found:
    return Found(KEYS[0], kind, at_s, at_s if asked_at_s is None else asked_at_s)


def test_too_many_lowers_by_30_percent_once_and_quiet_raises_by_one() -> None:
    limit = Concurrency(20)
    limit.take(found("limited", 10))
    assert limit.limit == 14
    limit.take(found("limited", 10.2, asked_at_s=9.0))
    assert limit.limit == 14, "it was asked before the limit was lowered"
    limit.take(found("limited", 11))
    assert limit.limit == 9
    for at_s in (20, 40, 41, 60, 75):
        limit.take(found("done", at_s))
    assert limit.limit == 11, "raised at 41 s and at 75 s"
    for at_s in range(100, 3000, 10):
        limit.take(found("done", at_s))
    assert limit.limit == 20
    for at_s in range(3000, 3100):
        limit.take(found("limited", at_s))
    assert limit.limit == 1


@pytest.mark.parametrize(
    ("provider", "plan", "model", "expected"),
    [
        ("elevenlabs", "creator", "eleven_flash_v2_5", 10),
        ("elevenlabs", "creator", "eleven_multilingual_v2", 5),
        ("cartesia", "pro", "sonic-3", 3),
        ("cartesia", "40", "sonic-3", 40),
    ],
)
def test_plans(provider: str, plan: str, model: str, expected: int) -> None:
    assert plan_limit(provider, plan, model) == expected


def test_a_plan_that_is_none_is_said() -> None:
    with pytest.raises(ConfigError, match="CARTESIA_PLAN is 'gold'; it is a number"):
        plan_limit("cartesia", "gold", "sonic-3")


def status(code: int, body: Any = None, **headers: str) -> openai.APIStatusError:
    response = httpx2.Response(
        code, headers=headers, json=body or {}, request=httpx2.Request("POST", "http://x")
    )
    return openai.APIStatusError("no", response=response, body=(body or {}).get("error"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (status(500), Failure("error")),
        (status(429, **{"Retry-After": "3"}), Failure("limited", 3.0)),
        (status(429, **{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), Failure("limited")),
        (status(429, {"error": {"code": "insufficient_quota"}}), Failure("refused")),
        (status(401), Failure("refused")),
        (status(403), Failure("refused")),
        (status(404), Failure("refused")),
        (status(504), Failure("timeout")),
        (TimeoutError(), Failure("timeout")),
        (httpx.ReadTimeout("slow"), Failure("timeout")),
        (httpx2.ReadError("gone"), Failure("error")),
        (ProviderError("full", kind="rate_limited", provider="x"), Failure("busy")),
    ],
)
def test_what_errors_mean(error: BaseException, expected: Failure) -> None:
    assert failure_of(error) == expected


@given(code=st.integers(400, 599), after=st.text(max_size=30))
def test_every_status_means_something(code: int, after: str) -> None:
    failure = status_failure(code, {"retry-after": after})
    assert failure.why in {"error", "timeout", "limited", "refused"}
    assert failure.retry_after_s is None or 0 <= failure.retry_after_s < 86_400


def test_one_deadline_is_shared_and_only_goes_down() -> None:
    clock = Clock()
    budget = TurnBudget(default_s=4.0, clock_s=clock)
    assert budget.deadline().remaining() == 4.0
    deadline = budget.begin(8.0)
    clock.now = 3.0
    assert budget.deadline() is deadline
    assert deadline.remaining() == 5.0
    assert deadline.within(2.0) == 2.0
    assert deadline.within(9.0, keep_s=1.0) == 4.0
    clock.now = 9.0
    assert deadline.passed
    assert deadline.within(2.0) == 0.0
    budget.extend(3.0)
    assert budget.deadline().remaining() == 3.0, "a tool runs, and there is time for what follows"
    budget.extend(1.0)
    assert budget.deadline().remaining() == 3.0, "it takes nothing away"
    budget.end()
    budget.extend(9.0)
    assert budget.deadline().remaining() == 4.0, "no reply, nothing to extend"
