"""What machines tell each other through a real Redis, and that no call notices when it is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from repartee.errors import ProviderError
from repartee.providers.breakers import Breakers
from repartee.providers.deadline import Deadline
from repartee.providers.fleet import RedisFleet
from repartee.providers.health import Health, open_health
from repartee.providers.shared import BreakerKey, FileJournal, MemoryJournal
from tests import redis_server

KEY = BreakerKey("openai", "gpt-4.1-mini", "k1", "chat")


@pytest.fixture
def redis() -> Iterator[redis_server.Server]:
    if redis_server.program() is None:
        pytest.skip(redis_server.MISSING)
    with redis_server.server() as running:
        yield running


class Machine:
    """A process of a machine of its own, whose clock began at another time."""

    def __init__(self, url: str, name: str, booted_s: float) -> None:
        def clock() -> float:
            return time.monotonic() + booted_s

        self.clock = clock
        self.fleet = RedisFleet(url, MemoryJournal(), name, self.clock)
        self.health = Health(self.fleet, fleet=self.fleet, clock_s=self.clock)

    @property
    def breakers(self) -> Breakers:
        return self.health.breakers

    def fail(self, times: int = 5) -> None:
        for _ in range(times):
            ticket = self.breakers.ask(KEY)
            assert ticket is not None
            self.breakers.tell(ticket, "failed")


@pytest.fixture
def machines(redis: redis_server.Server) -> Iterator[tuple[Machine, Machine]]:
    both = Machine(redis.url, "a", 0.0), Machine(redis.url, "b", 5_000_000.0)
    assert all(machine.fleet.reading.wait(5) for machine in both)
    yield both
    for machine in both:
        machine.fleet.close()


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110 - another thread's news
            await asyncio.sleep(0.01)


async def test_what_one_machine_finds_out_the_other_knows(machines: tuple[Machine, Machine]) -> None:
    here, there = machines
    here.fail()
    assert here.breakers.state(KEY) == "open", "at once, without Redis"
    await until(lambda: there.breakers.state(KEY) == "open")
    left_s = there.breakers._breaker(KEY).open_until_s
    assert left_s is not None
    assert 0 < left_s - there.clock() < 7, "for as long, on a clock of its own"


async def test_a_process_that_starts_learns_what_is_open(
    machines: tuple[Machine, Machine], redis: redis_server.Server
) -> None:
    machines[0].fail()
    await until(lambda: machines[1].breakers.state(KEY) == "open")
    late = Machine(redis.url, "c", 77.0)
    await until(lambda: late.breakers.state(KEY) == "open")
    late.fleet.close()


async def test_too_many_requests_lower_the_limit_everywhere(machines: tuple[Machine, Machine]) -> None:
    here, there = machines
    for machine in machines:
        machine.health.limits.allow({"openai": 10})
    ticket = here.breakers.ask(KEY)
    assert ticket is not None
    here.breakers.tell(ticket, "limited", retry_after_s=3.0)
    assert here.health.limits.limit(KEY) == 7
    await until(lambda: there.breakers.state(KEY) == "open")
    assert there.health.limits.limit(KEY) == 7


async def test_places_are_counted_among_all_and_given_back(machines: tuple[Machine, Machine]) -> None:
    here, there = machines
    for machine in machines:
        machine.health.limits.allow({"openai": 2})

    async with here.health.limits.place(KEY, Deadline.after(5)):
        async with there.health.limits.place(KEY, Deadline.after(5, there.clock)):
            with pytest.raises(ProviderError, match="all 2 requests"):
                async with there.health.limits.place(KEY, Deadline.after(5, there.clock), 0.05):
                    pass
        async with there.health.limits.place(KEY, Deadline.after(5, there.clock), 0.5):
            pass


async def test_redis_away_never_hurts_a_call(
    machines: tuple[Machine, Machine], redis: redis_server.Server
) -> None:
    here, there = machines
    redis.stop()
    began_s = time.monotonic()
    async with here.health.limits.place(KEY, Deadline.after(5)):
        here.fail()
    assert here.breakers.state(KEY) == "open"
    assert time.monotonic() - began_s < 0.5
    assert there.breakers.state(KEY) == "closed", "each goes by what it knows"
    redis.start()
    await until(here.fleet.reading.is_set)
    await until(there.fleet.reading.is_set)
    other = BreakerKey("cartesia", "sonic-3", "k", "speak")

    def heard() -> bool:
        ticket = here.breakers.force(other)
        here.breakers.tell(ticket, "failed")
        return there.breakers.state(other) == "open"

    await until(heard)


async def test_a_record_of_its_own_machine_counts_once(redis: redis_server.Server, tmp_path: Path) -> None:
    """Two processes of one machine share its file; what comes back from Redis is theirs already."""
    first, second = open_health(tmp_path, redis.url), open_health(tmp_path, redis.url)
    for _ in range(3):
        ticket = first.breakers.ask(KEY)
        assert ticket is not None
        first.breakers.tell(ticket, "failed")
    assert second.breakers.state(KEY) == "closed"
    elsewhere = Machine(redis.url, "elsewhere", 0.0)
    await until(lambda: elsewhere.breakers.states() and len(elsewhere.breakers._breaker(KEY)._calls) == 3)
    elsewhere.fleet.close()
    assert second.breakers.state(KEY) == "closed"
    assert len(second.breakers._breaker(KEY)._calls) == 3


def test_a_machine_has_one_name(tmp_path: Path) -> None:
    assert FileJournal(tmp_path).machine == FileJournal(tmp_path).machine
    assert FileJournal(tmp_path).machine != FileJournal(tmp_path / "other").machine
