"""What it costs to be seen: a line of the log, an answer that is counted, a scrape. For `measure.py observing`.

Everything is what runs in a call: the log's whole chain (call and turn, secrets taken out, JSON), the message from a
session process to its worker, the exposition of a worker that has counted a day. Times are of the processor, of the
thread that has the call.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog

from repartee.server.metrics import ServerMetrics
from repartee.session.bill import Bill
from repartee.telemetry.calling import calling, turn_opened
from repartee.telemetry.load import LoadBoard
from repartee.telemetry.timeline import Timeline
from repartee.telemetry.usage import Usage
from repartee.worker.degrading import LoadWatch
from repartee.worker.logs import set_up_logs
from repartee.worker.metrics import WorkerMetrics

LINES, ANSWERS, SCRAPES, TURNS = 20_000, 20_000, 200, 5_000
MARKS = (
    ("speech.stopped", {"ended_at_ms": 1.0}),
    ("transcript", {"words": 5}),
    ("turn.scored", {"probability": 0.9}),
    *(
        (f"reply.{step}", {"reply_id": 1})
        for step in ("started", "first_text", "first_audio", "audible", "finished")
    ),
)
KEYS = ("sk-proj-0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef")


def observing() -> dict[str, Any]:
    """Return microseconds of each, and what a scrape has."""
    with tempfile.TemporaryDirectory() as folder:
        scraped = _scraped(Path(folder))
        return {
            "us": {
                "log line": _log_line(),
                "answer counted, in the call": _told(),
                "answer counted, in the worker": _each(ANSWERS, lambda: scraped.answered(734.0)),
                "timeline of a turn, on disk": _timeline(Path(folder)),
            },
            "scrape_ms": round(_each(SCRAPES, scraped.text) / 1000, 2),
            "scrape_bytes": len(scraped.text()),
            "server_scrape_ms": round(_each(SCRAPES, ServerMetrics().text) / 1000, 2),
        }


def _each(times: int, work: Callable[[], object]) -> float:
    """Return the microseconds of the thread that one of many takes."""
    began = time.thread_time()
    for _ in range(times):
        work()
    return round((time.thread_time() - began) / times * 1e6, 1)


def _log_line() -> float:
    """Time a line that is written to nowhere."""
    real = sys.stderr
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere, calling("0" * 32):
        turn_opened(3)
        sys.stderr = nowhere
        try:
            set_up_logs("info", KEYS, in_call=True)
            log = structlog.get_logger()
            return _each(
                LINES, lambda: log.warning("provider.failed", processor="OpenAILLMService#1", category="x")
            )
        finally:
            sys.stderr = real
            structlog.reset_defaults()


def _told() -> float:
    """Time the call's side of a message to its worker; the other end is read meanwhile, outside of the count."""
    ours, theirs = multiprocessing.Pipe()
    took = 0.0
    for _ in range(ANSWERS):
        began = time.thread_time()
        ours.send(("answered", "0" * 32, {"took_ms": 734.1}))
        took += time.thread_time() - began
        theirs.recv()
    return round(took / ANSWERS * 1e6, 1)


def _timeline(folder: Path) -> float:
    timeline = Timeline(folder / "calls" / "call.jsonl", lambda: 1234.5)

    def turn() -> None:
        for name, values in MARKS:
            timeline.mark(name, **values)

    took = _each(TURNS, turn)
    timeline.close()
    return took


def _scraped(folder: Path) -> WorkerMetrics:
    """Return the metrics of a worker to which everything has happened."""
    metrics = WorkerMetrics(lambda: 8, lambda: True, seats=lambda: 8)
    metrics.watch_load(LoadWatch(LoadBoard(folder), cpu=lambda: 0.5))
    spool = folder / "spool"
    spool.mkdir()
    for call in range(8):
        (spool / f"{call}.jsonl").write_bytes(bytes(10_000))
    metrics.watch_store(folder, spool, lambda: True)
    bill = Bill()
    for stage, model in (("stt", "a"), ("llm", "b"), ("llm", "c"), ("tts", "d")):
        bill.add(Usage(model, stage, "openai", model), Decimal("0.001"))
    metrics.billed(bill.summary())
    for reason in ("caller_left", "hung_up", "silent", "max_duration", "budget"):
        metrics.ended("ended", reason)
    metrics.network({"caller_lost": 1, "caller_returned": 1, "quality_poor": 2, "quality_good": 3})
    metrics.provider_failures([("openai", "llm", why, 1) for why in ("timeout", "cut", "rate_limited")])
    return metrics
