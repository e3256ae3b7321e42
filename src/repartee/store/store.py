"""The database of calls: opening it, writing to it, asking it, forgetting."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Pool, select, union
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from repartee.errors import ConfigError, StoreError
from repartee.store import erasing, reading, search
from repartee.store.delivery import deliver, name_of
from repartee.store.engine import address, connect, secret_free
from repartee.store.journal import left_behind
from repartee.store.migrating import migrate
from repartee.store.reading import CallSummary, CostLine, GroupBy, Selection
from repartee.store.rows import CallerFact, EventRow, LedgerRow, Record, Row, TurnRow, clean, kind_of
from repartee.store.schema import caller_facts, calls, events, usage
from repartee.store.search import CallQuery, DayStats, FoundCall
from repartee.store.writer import CallWriter, OnTrouble
from repartee.store.writing import write, write_facts

log = structlog.get_logger()


class Store:
    """A database of calls. Its methods may be called from any thread, and block; all raise `StoreError`.

    Open it with `Store.open`.
    """

    def __init__(self, engine: Engine, spool: Path | None) -> None:
        self._engine = engine
        self._writes = engine.execution_options(writes=True)
        self._spool = spool
        self._opening, self._replaying = threading.Lock(), threading.Lock()
        self._migrated = False
        _open_stores.add(self)

    @classmethod
    def open(cls, url: str, *, spool: Path | None = None, must_answer: bool = True) -> Store:
        """Open a database and bring its tables to this version.

        Args:
            url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.
            spool: The folder for what cannot be written yet; for SQLite `spool` beside the file unless given.
            must_answer: Ask it now; otherwise it is asked when it is used, and writers wait for it.

        Raises:
            ConfigError: The URL is wrong, or the tables are of a newer version.
            StoreError: The database does not answer.
        """
        parsed = address(url)
        if spool is None and parsed.database and parsed.drivername == "sqlite":
            spool = Path(parsed.database).parent / "spool"
        store = cls(connect(parsed), spool)
        if must_answer:
            with store._errors():
                store._ready()
        return store

    @property
    def url(self) -> str:
        """Where it is, without the password."""
        return secret_free(self._engine.url)

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    # --- writing ----------------------------------------------------------------------------------------------

    def writer(self, call_id: str, on_trouble: OnTrouble | None = None) -> CallWriter:
        """Return what takes a call's rows from the event loop.

        Args:
            call_id: The call.
            on_trouble: Told on the writer's thread when the database is away or back, or the disk fails.
        """
        return CallWriter(call_id, self.write_records, self._spool_folder(), on_trouble=on_trouble)

    def write(self, rows: Iterable[Row]) -> None:
        """Write rows now, in one transaction."""
        began = time.time_ns()
        with self._errors():
            self.write_records([Record(clean(row), began + number) for number, row in enumerate(rows)])

    def write_records(self, records: Sequence[Record]) -> None:
        """Write rows in one transaction.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: As the database says it; `write` makes one sentence of it.
        """
        self._ready()
        with self._writes.begin() as connection:
            write(connection, records)

    def replay(self, folder: Path | None = None) -> int:
        """Write what dead writers left in a folder, by default this store's; return how many rows.

        A row that is in the database already is not changed by it. Journals of living writers are left alone. Of two
        threads that want it at a time the second waits: who has replayed may rely on its rows being there.
        """
        folder = folder or self._spool_folder()
        rows = 0
        try:
            with self._replaying, self._errors():
                for path, records in left_behind(folder):
                    rows += deliver(self.write_records, records, _refuse)
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"the folder {folder} cannot be read: {error.strerror or error}") from error
        if rows:
            log.info("store.replayed", rows=rows)
        return rows

    # --- asking -----------------------------------------------------------------------------------------------

    def calls(
        self,
        limit: int | None = 50,
        agent: str | None = None,
        since: datetime | None = None,
        caller_id: str | None = None,
        event: str | None = None,
    ) -> list[CallSummary]:
        """Return calls, the newest first; with an event's kind, those in which it happened."""
        conditions = []
        if agent is not None:
            conditions.append(calls.c.agent == agent)
        if since is not None:
            conditions.append(calls.c.started_at >= since)
        if caller_id is not None:
            conditions.append(calls.c.caller_id == caller_id)
        if event is not None:
            happened = select(events.c.call_id).where(events.c.kind == event)
            conditions.append(calls.c.call_id.in_(happened))
        with self.connection() as connection:
            return reading.read_calls(connection, *conditions, limit=limit)

    def call(self, call_id: str) -> CallSummary | None:
        """Return one call."""
        with self.connection() as connection:
            found = reading.read_calls(connection, calls.c.call_id == call_id)
        return found[0] if found else None

    def call_ids(self, beginning: str = "") -> list[str]:
        """Return the ids of calls, the newest first."""
        begins = calls.c.call_id.startswith(beginning, autoescape=True)
        statement = select(calls.c.call_id).where(begins).order_by(calls.c.started_at.desc())
        with self.connection() as connection:
            return list(connection.execute(statement).scalars())

    def find(self, query: CallQuery) -> list[FoundCall]:
        """Return a page of calls, the newest first."""
        with self.connection() as connection:
            return search.find(connection, query, datetime.now(UTC))

    def found(self, call_id: str) -> FoundCall | None:
        """Return one call as it is listed."""
        with self.connection() as connection:
            listed = search.find(connection, CallQuery(call_id=call_id, limit=1), datetime.now(UTC))
        return listed[0] if listed else None

    def count(self, query: CallQuery) -> int:
        """Return how many calls are meant."""
        with self.connection() as connection:
            return search.count(connection, query, datetime.now(UTC))

    def choices(self) -> tuple[list[str], list[str]]:
        """Return the agents that have taken calls, and why calls have ended."""
        with self.connection() as connection:
            return search.agents(connection), search.reasons(connection)

    def stats(self, query: CallQuery) -> list[DayStats]:
        """Return days by agent, the oldest first; of a query its agent, `since` and `until` count."""
        with self.connection() as connection:
            return search.stats(connection, query)

    def words_kept(self, ids: Sequence[str]) -> dict[str, bool]:
        """Say of calls whether their words are kept or were erased; calls that are not known are left out."""
        known = select(calls.c.call_id, calls.c.erased_at).where(calls.c.call_id.in_(ids))
        with self.connection() as connection:
            return {row.call_id: row.erased_at is None for row in connection.execute(known)}

    def agents(self) -> list[str]:
        """Return the names of the agents that have calls or a bill."""
        found = union(select(calls.c.agent), select(usage.c.agent))
        with self.connection() as connection:
            return sorted(name for name in connection.execute(found).scalars() if name)

    def turns(self, call_id: str) -> list[TurnRow]:
        """Return the turns of a call in order."""
        with self.connection() as connection:
            return reading.read_turns(connection, call_id)

    def events(self, call_id: str) -> list[EventRow]:
        """Return the events of a call in order."""
        with self.connection() as connection:
            return reading.read_events(connection, call_id)

    def usage_rows(
        self,
        *,
        call_id: str | None = None,
        agent: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> list[LedgerRow]:
        """Return requests to providers in the order they ended."""
        with self.connection() as connection:
            return reading.read_usage(connection, Selection(agent, since, until, call_id), limit)

    def spent(self, agent: str | None, since: datetime, call_id: str | None = None) -> Decimal:
        """Return USD spent since a moment, by an agent or all, in a call or all; unknown prices are not in it."""
        with self.connection() as connection:
            return reading.read_spent(connection, Selection(agent, since, None, call_id))

    def costs(self, by: Sequence[GroupBy] = (), chosen: Selection | None = None) -> list[CostLine]:
        """Return what was used and what it cost, by group; without groups one line with the key ()."""
        with self.connection() as connection:
            return reading.read_costs(connection, by, chosen or Selection())

    def unpriced(self, chosen: Selection | None = None) -> list[tuple[str, int]]:
        """Return the models whose price is unknown and how many requests each had."""
        with self.connection() as connection:
            return reading.read_unpriced(connection, chosen or Selection())

    # --- callers ----------------------------------------------------------------------------------------------

    def caller_facts(self, caller_id: str) -> list[CallerFact]:
        """Return what is remembered about a caller, in the order it was learned."""
        with self.connection() as connection:
            return reading.read_facts(connection, caller_id)

    def caller_ids(self) -> list[str]:
        """Return the callers of whom something is kept."""
        called = select(calls.c.caller_id).where(calls.c.caller_id.is_not(None))
        with self.connection() as connection:
            return sorted(connection.execute(union(called, select(caller_facts.c.caller_id))).scalars())

    def remember_caller(self, caller_id: str, facts: Iterable[CallerFact]) -> None:
        """Remember facts; one that is known already is learned anew."""
        with self.connection(writes=True) as connection:
            write_facts(connection, caller_id, facts)

    def forget_caller(self, caller_id: str) -> int:
        """Erase what is known of a caller and what was said in the caller's calls; return how many rows changed.

        The calls' figures and their bill stay, without a name. Words of these calls that arrive later are not kept.
        """
        with self.connection(writes=True) as connection:
            changed = erasing.forget_caller(connection, caller_id)
        self._wipe()
        return changed

    def export_caller(self, caller_id: str) -> dict[str, Any]:
        """Return everything that is kept of a caller, ready for JSON."""
        with self.connection() as connection:
            return reading.export_caller(connection, caller_id)

    # --- forgetting -------------------------------------------------------------------------------------------

    def delete_call(self, call_id: str) -> bool:
        """Delete a call; its bill stays. Returns whether it was there."""
        with self.connection(writes=True) as connection:
            found = erasing.delete_call(connection, call_id)
        self._wipe()
        return found

    def purge(self, before: datetime) -> int:
        """Erase texts, events and names of the calls that began before; return how many rows changed.

        Facts about callers stay until they are forgotten.
        """
        with self.connection(writes=True) as connection:
            changed = erasing.purge(connection, before)
        self._wipe()
        return changed

    # --- inside -----------------------------------------------------------------------------------------------

    def _wipe(self) -> None:
        """Let nothing that was erased stay in SQLite's log; PostgreSQL's vacuum does the like by itself."""
        if self._engine.dialect.name == "sqlite":
            with self._errors(), self._engine.connect() as connection:
                driver: Any = connection.connection.dbapi_connection
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _ready(self) -> None:
        if self._migrated:
            return
        with self._opening:
            if not self._migrated:
                migrate(self._engine)
                self._migrated = True

    @contextlib.contextmanager
    def connection(self, *, writes: bool = False) -> Iterator[Connection]:
        """A transaction; for the modules of the store.

        Raises:
            StoreError: The database does not answer, or refuses.
        """
        with self._errors():
            self._ready()
            with (self._writes if writes else self._engine).begin() as connection:
                yield connection

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            # Only what the server says about the connection: other messages quote rows.
            first = str(getattr(error, "orig", "")).strip().splitlines() if _is_away(error) else []
            said = f"{name_of(error)}{': ' + first[0] if first else ''}"
            raise StoreError(
                f"the database {self.url} does not answer or refuses ({said}); check REPARTEE_DATABASE_URL"
            ) from None

    def _spool_folder(self) -> Path:
        if self._spool is None:
            raise ConfigError(
                "a database on a server needs a folder for what waits: Store.open(url, spool=...)"
            )
        return self._spool

    def _leave_to_parent(self) -> None:
        """In a forked child: the connections are the parent's. Not even closing them is allowed."""
        _parents_pools.append(self._engine.pool)
        self._engine.dispose(close=False)
        self._opening, self._replaying = threading.Lock(), threading.Lock()


def _is_away(error: SQLAlchemyError) -> bool:
    return isinstance(error, OperationalError) or type(error) is DatabaseError


def _refuse(record: Record, error: Exception) -> None:
    log.error("store.row_refused", kind=kind_of(record.row), error=name_of(error))


_open_stores: weakref.WeakSet[Store] = weakref.WeakSet()
_parents_pools: list[Pool] = []


def _after_fork() -> None:
    for store in list(_open_stores):
        store._leave_to_parent()  # noqa: SLF001


os.register_at_fork(after_in_child=_after_fork)
