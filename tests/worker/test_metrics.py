"""What a worker counts of its calls' bills."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from repartee.providers.health import Health
from repartee.providers.shared import BreakerKey
from repartee.session import SessionSpec
from repartee.session.bill import Bill
from repartee.telemetry.usage import Usage
from repartee.worker.metrics import WorkerMetrics
from repartee.worker.process import Call, Child


def bill() -> Bill:
    bill = Bill()
    heard = Usage("a", "stt", "openai", "whisper-1", {"audio_s": Decimal("2.5")})
    bill.add(heard, Decimal("0.25"))
    bill.judge(heard, Decimal("0.25"), used=False)
    bill.add(Usage("b", "llm", "openai", "new"), None)
    bill.add(Usage("c", "llm", "openai", "m", outcome="failed", billed=False), Decimal(0))
    bill.call_s, bill.speech_s = 60.0, 12.0
    return bill


def test_bills_are_summed_by_stage() -> None:
    metrics = WorkerMetrics(lambda: 0, lambda: True)
    for _ in range(2):
        metrics.billed(bill().summary())
    text = metrics.text().decode()
    for line in (
        'repartee_requests_total{stage="llm"} 4.0',
        'repartee_requests_failed_total{stage="llm"} 2.0',
        'repartee_requests_unpriced_total{model="openai:new"} 2.0',
        'repartee_cost_usd_total{stage="stt"} 0.5',
        'repartee_cost_wasted_usd_total{stage="stt"} 0.5',
        'repartee_audio_seconds_total{what="sent"} 5.0',
        'repartee_audio_seconds_total{what="speech"} 24.0',
        'repartee_audio_seconds_total{what="call"} 120.0',
    ):
        assert line in text


def test_what_failed_is_counted_and_breakers_are_read_when_asked() -> None:
    health = Health()
    metrics = WorkerMetrics(lambda: 0, lambda: True, health.breakers.states)
    metrics.provider_failures([("openai", "llm", "timeout", 2), ("cartesia", "tts", "cut", 1)])
    key = BreakerKey("openai", "gpt-4.1-mini", "k", "chat")
    for _ in range(5):
        health.breakers.tell(health.breakers.force(key), "failed")
    text = metrics.text().decode()
    for line in (
        'repartee_provider_failures_total{provider="openai",stage="llm",why="timeout"} 2.0',
        'repartee_provider_failures_total{provider="cartesia",stage="tts",why="cut"} 1.0',
        'repartee_provider_breaker{model="gpt-4.1-mini",operation="chat",provider="openai"} 2.0',
    ):
        assert line in text, text


class Pipe:
    def __init__(self, *messages: tuple[str, str, Any]) -> None:
        self.messages = list(messages)

    def recv(self) -> tuple[str, str, Any]:
        return self.messages.pop(0)


def test_a_bill_told_with_the_end_is_kept() -> None:
    child: Any = Child.__new__(Child)
    call = Call(SessionSpec("c", "r", "u", "t", "i", Path("a"), None, Path("d"), None), child)
    over: list[Call] = []
    child.calls, child._on_over = {"c": call}, over.append
    child.pipe = Pipe(
        (
            "ended",
            "c",
            {"reason": "budget", "bill": bill().summary(), "providers": [("openai", "llm", "cut", 1)]},
        ),
        ("ended", "c", {"reason": "budget"}),
    )
    child._read()
    assert not over, "the process may have rows to write"
    child._read()
    assert over == [call]
    assert (call.outcome, call.failure) == ("ended", "budget")
    assert call.bill == bill().summary()
    assert call.providers == [("openai", "llm", "cut", 1)]


def test_a_call_s_trouble_with_the_database_is_counted_while_it_lasts() -> None:
    metrics = WorkerMetrics(lambda: 0, lambda: True)
    child: Any = Child.__new__(Child)
    child.calls, child._on_trouble = {}, metrics.store_trouble
    child.pipe = Pipe(
        ("trouble", "c", {"what": "store.journal_failed"}), ("trouble", "c", {"what": "store.away"})
    )
    child._read()
    child._read()
    text = metrics.text().decode()
    assert 'repartee_store_troubles_total{what="journal_failed"} 1.0' in text
    assert 'repartee_store_troubles_total{what="away"} 1.0' in text


def test_answers_are_counted_while_the_call_lasts() -> None:
    metrics = WorkerMetrics(lambda: 0, lambda: True)
    child: Any = Child.__new__(Child)
    child.calls, child._on_answered = {}, metrics.answered
    child.pipe = Pipe(("answered", "c", {"took_ms": 640.0}), ("answered", "c", {"took_ms": 12_000.0}))
    child._read()
    child._read()
    text = metrics.text().decode()
    for line in (
        'repartee_response_seconds_bucket{le="0.6"} 0.0',
        'repartee_response_seconds_bucket{le="0.7"} 1.0',
        'repartee_response_seconds_bucket{le="10.0"} 1.0',
        'repartee_response_seconds_bucket{le="+Inf"} 2.0',
    ):
        assert line in text, text


def test_why_calls_ended_and_what_is_rare_is_there_from_the_start() -> None:
    metrics = WorkerMetrics(lambda: 0, lambda: True)
    before = metrics.text().decode()
    assert 'repartee_calls_ended_total{outcome="crashed"} 0.0' in before
    assert 'repartee_store_troubles_total{what="rows_lost"} 0.0' in before
    metrics.ended("ended", "budget")
    metrics.ended("failed", "the model 'x' of Mr Smith is not known")
    after = metrics.text().decode()
    assert 'repartee_calls_ended_because_total{reason="budget"} 1.0' in after
    assert "Smith" not in after, "a sentence is no label"
    assert 'repartee_calls_ended_total{outcome="failed"} 1.0' in after


def test_rows_that_wait_and_a_database_that_is_away_are_shown(tmp_path: Path) -> None:
    metrics, answers = WorkerMetrics(lambda: 0, lambda: True), [True]
    metrics.watch_store(tmp_path, tmp_path / "spool", lambda: answers[0])
    text = metrics.text().decode()
    assert "repartee_spool_bytes 0.0" in text, "the folder is not made before there is something to write"
    assert "repartee_database_up 1.0" in text
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "a.jsonl").write_bytes(bytes(3000))
    answers[0] = False
    text = metrics.text().decode()
    assert "repartee_spool_bytes 3000.0" in text
    assert "repartee_database_up 0.0" in text
    [free] = [line.split()[1] for line in text.splitlines() if line.startswith("repartee_disk_free_bytes")]
    assert float(free) > 1e6
