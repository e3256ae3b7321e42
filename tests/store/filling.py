"""Rows to fill a store with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from repartee.store import CallEnd, CallRow, LedgerRow, Row, Store, TurnRow
from repartee.telemetry.usage import Usage

START = datetime(2026, 9, 30, 9, 0, tzinfo=UTC)


def call(call_id: str, **changes: Any) -> CallRow:
    values: dict[str, Any] = {
        "call_id": call_id,
        "agent": "front-desk",
        "agent_version": "abc123",
        "room": f"room-{call_id}",
        "started_at": START,
        "caller_id": "ann",
    }
    return CallRow(**values | changes)


def ledger(request_id: str, call_id: str | None, cost: str | None, **changes: Any) -> LedgerRow:
    """A request to a model; `changes` go to its usage, but for `used`, `at` and `agent`."""
    row = {name: changes.pop(name) for name in ("used", "at", "agent") if name in changes}
    values: dict[str, Any] = {
        "request_id": request_id,
        "stage": "llm",
        "provider": "openai",
        "model": "gpt-4.1-mini",
        "quantities": {"tokens_in": Decimal(1500), "tokens_out": Decimal(25)},
        "turn_id": 1,
        "ended_at_ms": 30_000.0,
    }
    usage = Usage(**values | changes)
    plain: dict[str, Any] = {"agent": "front-desk", "at": START, "used": True}
    price = None if cost is None else Decimal(cost)
    return LedgerRow(
        usage=usage,
        call_id=call_id,
        price_version=None if cost is None else "2026-09-29",
        cost=price,
        **plain | row,
    )


def fill(store: Store) -> None:
    """Two days, two agents, three calls: one of a minute, one of two, one that crashed after half a minute."""
    rows: list[Row] = [
        call("aa11"),
        TurnRow("aa11", 0, heard_text="Front desk, good morning."),
        TurnRow(
            "aa11", 1, "Are you open on Sunday?", "No, we are", "closed on Sundays.", 1000.0, 2500.0, 480.0
        ),
        CallEnd("aa11", "caller left", START + timedelta(minutes=1), speech_s=12.5),
        ledger("aa11-1", "aa11", "0.0006"),
        ledger("aa11-2", "aa11", "0.0002", used=False, outcome="cancelled", estimated=True),
        ledger(
            "aa11-3",
            "aa11",
            "0.0009",
            stage="tts",
            model="tts-1",
            quantities={"characters": Decimal(60)},
        ),
        call("bb22", caller_id="bob", started_at=START + timedelta(days=1), agent="sales"),
        TurnRow("bb22", 1, "Hello?", "", "", 500.0, 900.0, None),
        CallEnd("bb22", "agent ended", START + timedelta(days=1, minutes=2)),
        ledger(
            "bb22-1",
            "bb22",
            "0.0004",
            stage="stt",
            model="gpt-4o-mini-transcribe",
            quantities={"audio_s": Decimal(8)},
            at=START + timedelta(days=1),
            agent="sales",
        ),
        ledger("bb22-2", "bb22", None, model="gpt-9", at=START + timedelta(days=1), agent="sales"),
        call("cc33", caller_id=None, started_at=START + timedelta(days=1, hours=1)),
        ledger("cc33-1", "cc33", "0.0001", at=START + timedelta(days=1, hours=1)),
    ]
    store.write(rows)
