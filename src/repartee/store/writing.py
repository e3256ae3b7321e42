"""How rows enter the database: every write may be repeated, in any number, without changing what stands."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, assert_never

from sqlalchemy import Connection, Table, case, select, update
from sqlalchemy.dialects import postgresql, sqlite

from repartee.store import schema
from repartee.store.rows import (
    CallEnd,
    CallerFact,
    CallRow,
    EventRow,
    LedgerRow,
    Record,
    TurnRow,
    clean,
)

_BEGUN = ("agent", "agent_version", "room", "started_at", "caller_id")


def write(connection: Connection, records: Iterable[Record]) -> None:
    """Write clean rows in their order."""
    for record in records:
        revision = record.revision
        match record.row:
            case CallRow() as call:
                _begin(connection, call)
            case CallEnd() as end:
                _end(connection, end)
            case TurnRow() as turn:
                _turn(connection, turn, revision)
            case LedgerRow() as line:
                _usage(connection, line, revision)
            case EventRow() as event:
                _event(connection, event, revision)
            case never:
                assert_never(never)


def write_facts(connection: Connection, caller_id: str, facts: Iterable[CallerFact]) -> None:
    """Remember facts of a caller; the same fact again is as if it were learned anew."""
    for fact in map(clean, facts):
        values = {
            "caller_id": caller_id,
            "kind": fact.kind,
            "text": fact.text,
            "learned_at": fact.learned_at,
            "call_id": fact.call_id,
            "digest": hashlib.sha256(fact.text.encode()).hexdigest(),
        }
        statement = insert_or(connection, schema.caller_facts).values(values)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["caller_id", "kind", "digest"],
                set_={name: statement.excluded[name] for name in ("learned_at", "call_id")},
            )
        )


def insert_or(connection: Connection, table: Table) -> Any:
    """Return the dialect's INSERT, which knows ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _begin(connection: Connection, row: CallRow) -> None:
    values = {name: getattr(row, name) for name in CallRow.__dataclass_fields__}
    begun = {name: values[name] for name in _BEGUN}
    if row.ended_at is not None:
        begun |= {name: values[name] for name in ("ended_at", "reason", "call_s", "speech_s")}
    statement = insert_or(connection, schema.calls).values(values)
    erased = schema.calls.c.erased_at.is_not(None)
    begun["caller_id"] = case((erased, None), else_=statement.excluded.caller_id)
    begun["room"] = case((erased, ""), else_=statement.excluded.room)
    connection.execute(statement.on_conflict_do_update(index_elements=["call_id"], set_=begun))


def _known(connection: Connection, call_id: str, at: datetime) -> bool:
    """Make sure that a call has a row: what belongs to it is kept even when its beginning was lost.

    Returns:
        Whether its words may be kept: not if they were erased.
    """
    values = {"call_id": call_id, "agent": "", "agent_version": "", "room": "", "started_at": at}
    connection.execute(insert_or(connection, schema.calls).values(values).on_conflict_do_nothing())
    erased = select(schema.calls.c.erased_at).where(schema.calls.c.call_id == call_id)
    return connection.execute(erased).scalar_one() is None


def _end(connection: Connection, row: CallEnd) -> None:
    _known(connection, row.call_id, row.ended_at)
    call_s = row.call_s
    if call_s is None:
        begun = select(schema.calls.c.started_at).where(schema.calls.c.call_id == row.call_id)
        call_s = (row.ended_at - connection.execute(begun).scalar_one()).total_seconds()
    values = {
        "ended_at": row.ended_at,
        "reason": row.reason,
        "call_s": max(0.0, call_s),
        "speech_s": row.speech_s,
    }
    # Where two agents have told an end, one of them cut off from the call and taken for dead, the later one is right.
    calls = schema.calls
    open_or_earlier = calls.c.ended_at.is_(None) | (calls.c.ended_at <= row.ended_at)
    connection.execute(update(calls).where(calls.c.call_id == row.call_id, open_or_earlier).values(values))


def _turn(connection: Connection, row: TurnRow, revision: int) -> None:
    if not _known(connection, row.call_id, datetime.now(UTC)):
        row = replace(row, user_text="", heard_text="", unheard_text="")
    values = {name: getattr(row, name) for name in TurnRow.__dataclass_fields__}
    values |= {"timings": dict(row.timings), "revision": revision}
    _upsert(connection, schema.turns, values, ["call_id", "turn_id"])


def _usage(connection: Connection, row: LedgerRow, revision: int) -> None:
    used = row.usage
    values: dict[str, Any] = {
        name: getattr(used, name) for name in used.__dataclass_fields__ if name != "quantities"
    }
    values |= {unit: used.quantities.get(unit) for unit in schema.UNITS}  # type: ignore[call-overload]
    values |= {name: getattr(row, name) for name in LedgerRow.__dataclass_fields__ if name != "usage"}
    values |= {"day": row.at.astimezone(UTC).date(), "revision": revision}
    _upsert(connection, schema.usage, values, ["request_id"])


def _event(connection: Connection, row: EventRow, revision: int) -> None:
    if not _known(connection, row.call_id, datetime.now(UTC)):
        return
    values = {
        "call_id": row.call_id,
        "at_ms": row.at_ms,
        "kind": row.kind,
        "data": dict(row.data),
        "revision": revision,
    }
    statement = insert_or(connection, schema.events).values(values)
    connection.execute(statement.on_conflict_do_nothing(index_elements=["call_id", "revision"]))


def _upsert(connection: Connection, table: Table, values: dict[str, Any], key: list[str]) -> None:
    """Insert, or replace what is older."""
    statement = insert_or(connection, table).values(values)
    replaced = {name: statement.excluded[name] for name in values if name not in key}
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=key, set_=replaced, where=table.c.revision <= statement.excluded.revision
        )
    )
