"""Breakers: the table of what opens and closes them, and a random machine against a plain model of the rules."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from repartee.providers.breakers import Breakers, Rules, State, Ticket
from repartee.providers.shared import BreakerKey, FileJournal, FileSlots, Found, Kind, MemoryJournal

KEY = BreakerKey("openai", "gpt-4.1-mini", "k1", "chat")
OTHER = BreakerKey("cartesia", "sonic-3", "k2", "speech")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Middle(Random):
    """No jitter."""

    def random(self) -> float:
        return 0.5


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(MemoryJournal(), clock, Middle())


def call(breakers: Breakers, kind: Kind, times: int = 1, key: BreakerKey = KEY, **more: float) -> None:
    for _ in range(times):
        ticket = breakers.ask(key)
        assert ticket is not None
        breakers.tell(ticket, kind, **more)


@pytest.mark.parametrize(
    ("done", "failed", "opens"),
    [(0, 4, False), (0, 5, True), (3, 2, False), (3, 3, True), (5, 4, False), (5, 5, True), (4, 1, False)],
)
def test_it_opens_at_half_of_at_least_five(breakers: Breakers, done: int, failed: int, opens: bool) -> None:
    call(breakers, "done", done)
    call(breakers, "failed", failed)
    assert breakers.state(KEY) == ("open" if opens else "closed")
    assert breakers.state(OTHER) == "closed"


def test_what_was_30_seconds_ago_does_not_count(breakers: Breakers, clock: Clock) -> None:
    call(breakers, "failed", 4)
    clock.now += 30
    call(breakers, "failed")
    assert breakers.state(KEY) == "closed"
    call(breakers, "failed", 4)
    assert breakers.state(KEY) == "open"


@pytest.mark.parametrize(("usual", "late", "opens"), [(5, 7, False), (5, 8, True)])
def test_it_opens_when_six_in_ten_are_three_times_as_late_as_usual(
    breakers: Breakers, clock: Clock, usual: int, late: int, opens: bool
) -> None:
    call(breakers, "done", 20, first_s=0.3)
    clock.now += 31
    call(breakers, "done", usual, first_s=0.3)
    call(breakers, "done", late, first_s=0.91)
    assert (breakers.state(KEY) == "open") is opens


def test_exactly_three_times_as_late_is_not_late(breakers: Breakers) -> None:
    call(breakers, "done", 20, first_s=0.25)
    call(breakers, "done", 19, first_s=0.75)
    assert breakers.state(KEY) == "closed"


def test_slow_is_measured_against_what_has_become_usual(breakers: Breakers, clock: Clock) -> None:
    call(breakers, "done", 10, first_s=0.2)
    for _ in range(30):
        clock.now += 20
        if (ticket := breakers.ask(KEY)) is not None:
            breakers.tell(ticket, "done", first_s=1.0)
    clock.now += 100
    call(breakers, "done", 2, first_s=1.0)
    assert breakers.state(KEY) == "closed", "what is always slow is the speed of that provider"


def test_it_opens_for_5_seconds_doubling_to_60(breakers: Breakers, clock: Clock) -> None:
    call(breakers, "failed", 5)
    for length in (5, 10, 20, 40, 60, 60):
        clock.now += length - 0.01
        assert breakers.ask(KEY) is None
        clock.now += 0.02
        assert breakers.state(KEY) == "half_open"
        call(breakers, "failed")
        assert breakers.state(KEY) == "open"


def test_one_probe_at_a_time_and_two_successes_close(breakers: Breakers, clock: Clock) -> None:
    call(breakers, "failed", 5)
    clock.now += 5
    probe = breakers.ask(KEY)
    assert probe is not None
    assert probe.probe
    assert breakers.ask(KEY) is None
    assert not breakers.available(KEY)
    breakers.tell(probe, "done")
    assert breakers.state(KEY) == "half_open"
    call(breakers, "done")
    assert breakers.state(KEY) == "closed"
    call(breakers, "failed", 5)
    clock.now += 5
    assert breakers.state(KEY) == "half_open", "a breaker that closed begins at 5 s again"


def test_a_probe_that_was_cut_off_says_nothing_and_frees_its_place(breakers: Breakers, clock: Clock) -> None:
    call(breakers, "failed", 5)
    clock.now += 5
    call(breakers, "given_up", 3)
    assert breakers.state(KEY) == "half_open"
    lost = breakers.ask(KEY)
    clock.now += 15
    assert breakers.ask(KEY) is not None, "a probe whose process died is given up after 15 s"
    assert lost is not None


def test_what_we_cut_off_counts_as_neither(breakers: Breakers) -> None:
    call(breakers, "failed", 4)
    call(breakers, "given_up", 50)
    assert breakers.state(KEY) == "closed"
    call(breakers, "failed")
    assert breakers.state(KEY) == "open", "50 cut off are no successes either"


def test_retry_after_is_obeyed(breakers: Breakers, clock: Clock) -> None:
    call(breakers, "limited", retry_after_s=7)
    clock.now += 6.9
    assert breakers.state(KEY) == "open"
    clock.now += 0.2
    assert breakers.state(KEY) == "half_open"
    call(breakers, "limited", retry_after_s=100_000)
    clock.now += 300
    assert breakers.state(KEY) == "half_open", "nobody is left alone for more than five minutes"


def test_too_many_without_retry_after_is_a_failure(breakers: Breakers) -> None:
    call(breakers, "limited", 5)
    assert breakers.state(KEY) == "open"


def test_refused_stays_open_until_settings_change(breakers: Breakers, clock: Clock) -> None:
    early = breakers.ask(KEY)
    call(breakers, "refused")
    assert early is not None
    breakers.tell(early, "done")
    clock.now += 1e6
    assert breakers.state(KEY) == "refused"
    assert breakers.ask(KEY) is None
    breakers.changed(KEY)
    assert breakers.state(KEY) == "closed"


def test_what_was_asked_before_it_opened_does_not_keep_it_open(breakers: Breakers, clock: Clock) -> None:
    stragglers = [breakers.ask(KEY) for _ in range(10)]
    call(breakers, "failed", 5)
    clock.now += 4
    for straggler in stragglers[:5]:
        assert straggler is not None
        breakers.tell(straggler, "failed")
    clock.now += 1
    call(breakers, "done", 2)
    for straggler in stragglers[5:]:
        assert straggler is not None
        breakers.tell(straggler, "failed")
    assert breakers.state(KEY) == "closed"


def test_jitter_is_within_a_fifth_and_drawn_from_what_is_injected(clock: Clock) -> None:
    lengths = set()
    for seed in range(40):
        breakers = Breakers(MemoryJournal(), clock, Random(seed))
        call(breakers, "failed", 5)
        until = breakers._breakers[KEY].open_until_s
        assert until is not None
        lengths.add(round(until - clock.now, 3))
    assert 4.0 <= min(lengths) < 4.3
    assert 5.7 < max(lengths) <= 6.0


def test_told_twice_counts_once(breakers: Breakers) -> None:
    ticket = breakers.ask(KEY)
    assert ticket is not None
    for _ in range(10):
        breakers.tell(ticket, "failed")
    assert breakers.state(KEY) == "closed"


def test_switches_are_told(breakers: Breakers, clock: Clock) -> None:
    told: list[tuple[State, State]] = []
    breakers.on_switch = lambda _, before, now: told.append((before, now))
    call(breakers, "failed", 5)
    clock.now += 5
    call(breakers, "done", 2)
    assert told == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]


# --- shared ---------------------------------------------------------------------------------------------------


def test_two_processes_of_a_machine_know_the_same(tmp_path: Path, clock: Clock) -> None:
    one = Breakers(FileJournal(tmp_path), clock, Random(1))
    two = Breakers(FileJournal(tmp_path), clock, Random(2))
    call(one, "failed", 3)
    call(two, "failed", 2)
    assert one.state(KEY) == two.state(KEY) == "open"
    assert one._breakers[KEY].open_until_s == two._breakers[KEY].open_until_s, "jitter is drawn once"
    clock.now += 6.1
    assert one.ask(KEY) is not None
    assert two.ask(KEY) is None, "one probe at a time for all of them"
    late = Breakers(FileJournal(tmp_path), clock, Random(3))
    assert late.state(KEY) == "half_open", "a call that begins later knows what was found out before it"


def test_half_a_line_and_nonsense_are_passed_over(tmp_path: Path, clock: Clock) -> None:
    journal = FileJournal(tmp_path)
    breakers = Breakers(journal, clock, Random(1))
    call(breakers, "failed", 4)
    with journal._path.open("ab") as file:
        file.write(b'{"kind": "burned"}\nnot json\n[]\n{"kind":"failed","key":{"provider":1}}\n')
    call(breakers, "failed")
    assert breakers.state(KEY) == "open"


def test_a_journal_that_was_put_away_is_followed(tmp_path: Path, clock: Clock) -> None:
    one = Breakers(FileJournal(tmp_path), clock, Random(1))
    call(one, "failed", 2)
    path = next(tmp_path.glob("*.jsonl"))
    path.write_bytes(path.read_bytes() + b"#" * 300_000)
    two = Breakers(FileJournal(tmp_path), clock, Random(1))
    call(two, "failed", 5)
    assert one.state(KEY) == "open"


def test_without_a_disk_a_process_goes_by_its_own(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("no folder")
    breakers = Breakers(FileJournal(tmp_path / "file"), clock, Random(1))
    call(breakers, "failed", 5)
    assert breakers.state(KEY) == "open"
    assert FileSlots(tmp_path / "file").take("x", 1) is not None


def test_a_place_is_given_back_by_a_process_that_dies(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from repartee.providers.shared import FileSlots\n"
        f"take = FileSlots(Path({json.dumps(str(tmp_path))})).take\n"
        "held = [take('x', 2), take('x', 2)]; print(take('x', 2)); sys.stdout.flush(); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "None"
        slots = FileSlots(tmp_path)
        assert slots.take("x", 2) is None
        assert slots.take("x", 3) is not None
        child.kill()
        child.wait()
        assert slots.take("x", 2) is not None


# --- a machine ------------------------------------------------------------------------------------------------


class BreakerMachine(RuleBasedStateMachine):
    """Two processes ask and tell in any order; a model written the plain way says what must hold."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        journal = MemoryJournal()
        self.both = [
            Breakers(journal, self.clock, Random(1)),
            Breakers(journal.reader(), self.clock, Random(2)),
        ]
        self.told: list[Found] = []
        self.both[0].on_found = self.told.append
        self.limits = Rules()
        self.probes: dict[str, float] = {}
        self.out: set[str] = set()

    @rule(who=st.integers(0, 1), target=tickets)
    def ask(self, who: int) -> object:
        breakers = self.both[who]
        state = breakers.state(KEY)
        ticket = breakers.ask(KEY)
        if state in {"open", "refused"}:
            assert ticket is None
        if state == "closed":
            assert ticket is not None
            assert not ticket.probe
        if ticket is None:
            return multiple()
        if ticket.probe:
            alive = [p for p, at in self.probes.items() if self.clock.now - at < self.limits.probe_s]
            assert alive == [], "one probe at a time"
            self.probes[ticket.by] = self.clock.now
        return (who, ticket)

    @rule(
        held=tickets,
        kind=st.sampled_from(["done", "done", "done", "failed", "failed", "given_up", "limited"]),
        first_s=st.sampled_from([None, 0.2, 0.25, 0.3, 2.0]),
        retry_after_s=st.sampled_from([None, 1.0, 20.0]),
    )
    def tell(
        self, held: tuple[int, Ticket], kind: Kind, first_s: float | None, retry_after_s: float | None
    ) -> None:
        who, ticket = held
        before = self.both[who].state(KEY)
        first = first_s if kind == "done" else None
        self.both[who].tell(
            ticket, kind, first_s=first, retry_after_s=retry_after_s if kind == "limited" else None
        )
        self.probes.pop(ticket.by, None)
        if kind == "given_up":
            assert self.both[who].state(KEY) == before, "what we cut off changes nothing"
        if kind == "limited" and retry_after_s and ticket.by not in self.out and before != "refused":
            assert self.both[who].state(KEY) == "open"
        self.out.add(ticket.by)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 12.0, 31.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def refuse_and_change(self) -> None:
        ticket = self.both[0].ask(KEY)
        if ticket is not None:
            self.both[0].tell(ticket, "refused")
            self.probes.clear()
            self.clock.now += 1000
            assert self.both[1].state(KEY) == "refused"
        self.both[1].changed(KEY)
        self.probes.clear()
        assert self.both[0].state(KEY) == "closed"

    @invariant()
    def both_know_the_same(self) -> None:
        assert self.both[0].state(KEY) == self.both[1].state(KEY)

    @invariant()
    def it_is_never_open_for_long(self) -> None:
        until = self.both[0]._breakers[KEY].open_until_s
        if until is not None:
            longest = max(self.limits.open_max_s * (1 + self.limits.jitter), 20.0)
            assert until - self.clock.now <= longest + 1e-6

    @invariant()
    def it_is_not_open_without_reason(self) -> None:
        if self.both[0].state(KEY) == "open":
            bad = [found for found in self.told if found.kind in {"failed", "slow", "limited"}]
            assert bad


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
