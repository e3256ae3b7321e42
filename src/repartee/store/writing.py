"""How rows enter the database: every write may be repeated, in any number, without changing what stands."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, assert_never

from sqlalchemy import Connection, Select, Table, Update, bindparam, case, select, update
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
_ENDED = ("ended_at", "reason", "call_s", "speech_s")
_CALL = "of_call"
_TOLD = "told_at"


def write(connection: Connection, records: Iterable[Record]) -> None:
    """Write clean rows in their order."""
    rows = _Rows(connection)
    for record in records:
        revision = record.revision
        match record.row:
            case CallRow() as call:
                rows.begin(call)
            case CallEnd() as end:
                rows.end(end)
            case TurnRow() as turn:
                rows.turn(turn, revision)
            case LedgerRow() as line:
                rows.usage(line, revision)
            case EventRow() as event:
                rows.event(event, revision)
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
    return _insert(connection.dialect.name, table)


def _insert(dialect: str, table: Table) -> Any:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@dataclass(frozen=True, slots=True)
class _Statements:
    """What rows are written with. Made once: to put one together takes longer than the database does."""

    known: Any
    erased: Select[Any]
    begin: Any
    begin_ended: Any
    started: Select[Any]
    end: Update
    turn: Any
    usage: Any
    event: Any


@cache
def _statements(dialect: str) -> _Statements:
    calls = schema.calls
    this = calls.c.call_id == bindparam(_CALL)
    # Where two agents have told an end, one of them cut off from the call and taken for dead, the later one is right.
    open_or_earlier = calls.c.ended_at.is_(None) | (calls.c.ended_at <= bindparam(_TOLD))
    return _Statements(
        known=_insert(dialect, calls).on_conflict_do_nothing(),
        erased=select(calls.c.erased_at).where(this),
        begin=_beginning(dialect, _BEGUN),
        begin_ended=_beginning(dialect, (*_BEGUN, *_ENDED)),
        started=select(calls.c.started_at).where(this),
        end=update(calls).where(this, open_or_earlier),
        turn=_upsert(dialect, schema.turns, ("call_id", "turn_id")),
        usage=_upsert(dialect, schema.usage, ("request_id",)),
        event=_insert(dialect, schema.events).on_conflict_do_nothing(index_elements=["call_id", "revision"]),
    )


def _beginning(dialect: str, names: Iterable[str]) -> Any:
    statement = _insert(dialect, schema.calls)
    begun = {name: statement.excluded[name] for name in names}
    erased = schema.calls.c.erased_at.is_not(None)
    begun["caller_id"] = case((erased, None), else_=statement.excluded.caller_id)
    begun["room"] = case((erased, ""), else_=statement.excluded.room)
    return statement.on_conflict_do_update(index_elements=["call_id"], set_=begun)


def _upsert(dialect: str, table: Table, key: Collection[str]) -> Any:
    """Return an INSERT that replaces what is older."""
    statement = _insert(dialect, table)
    replaced = {column.name: statement.excluded[column.name] for column in table.c if column.name not in key}
    return statement.on_conflict_do_update(
        index_elements=list(key), set_=replaced, where=table.c.revision <= statement.excluded.revision
    )


class _Rows:
    """Rows on their way into one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._statements = _statements(connection.dialect.name)
        self._there: set[str] = set()
        """Calls that are known to have a row: this transaction has seen to it."""

    def begin(self, row: CallRow) -> None:
        values = {name: getattr(row, name) for name in CallRow.__dataclass_fields__}
        ended = row.ended_at is not None
        self._connection.execute(self._statements.begin_ended if ended else self._statements.begin, values)
        self._there.add(row.call_id)

    def _known(self, call_id: str, at: datetime) -> bool:
        """Make sure that a call has a row: what belongs to it is kept even when its beginning was lost.

        Returns:
            Whether its words may be kept: not if they were erased.
        """
        if call_id not in self._there:
            values = {"call_id": call_id, "agent": "", "agent_version": "", "room": "", "started_at": at}
            self._connection.execute(self._statements.known, values)
            self._there.add(call_id)
        # Asked for each row: they may be erased while a long transaction writes.
        return self._connection.execute(self._statements.erased, {_CALL: call_id}).scalar_one() is None

    def end(self, row: CallEnd) -> None:
        self._known(row.call_id, row.ended_at)
        call_s = row.call_s
        if call_s is None:
            begun = self._connection.execute(self._statements.started, {_CALL: row.call_id}).scalar_one()
            call_s = (row.ended_at - begun).total_seconds()
        values = {
            _CALL: row.call_id,
            _TOLD: row.ended_at,
            "ended_at": row.ended_at,
            "reason": row.reason,
            "call_s": max(0.0, call_s),
            "speech_s": row.speech_s,
        }
        self._connection.execute(self._statements.end, values)

    def turn(self, row: TurnRow, revision: int) -> None:
        if not self._known(row.call_id, datetime.now(UTC)):
            row = replace(row, user_text="", heard_text="", unheard_text="")
        values = {name: getattr(row, name) for name in TurnRow.__dataclass_fields__}
        values |= {"timings": dict(row.timings), "revision": revision}
        self._connection.execute(self._statements.turn, values)

    def usage(self, row: LedgerRow, revision: int) -> None:
        used = row.usage
        values: dict[str, Any] = {
            name: getattr(used, name) for name in used.__dataclass_fields__ if name != "quantities"
        }
        values |= {unit: used.quantities.get(unit) for unit in schema.UNITS}  # type: ignore[call-overload]
        values |= {name: getattr(row, name) for name in LedgerRow.__dataclass_fields__ if name != "usage"}
        values |= {"day": row.at.astimezone(UTC).date(), "revision": revision}
        self._connection.execute(self._statements.usage, values)

    def event(self, row: EventRow, revision: int) -> None:
        if not self._known(row.call_id, datetime.now(UTC)):
            return
        values = {
            "call_id": row.call_id,
            "at_ms": row.at_ms,
            "kind": row.kind,
            "data": dict(row.data),
            "revision": revision,
        }
        self._connection.execute(self._statements.event, values)
