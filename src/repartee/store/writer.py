"""Takes a call's rows from the event loop and brings them to the database on a thread of its own.

Every batch is in the journal before the database is asked, and leaves it when the database has confirmed. So a kill
loses only what was not handed over yet, and a database that is away costs nothing but time.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Literal

import structlog
from sqlalchemy.exc import SQLAlchemyError

from repartee.errors import ReparteeError
from repartee.store.delivery import Write, deliver, name_of
from repartee.store.journal import MAX_BYTES, Journal
from repartee.store.rows import (
    CallEnd,
    CallRow,
    EventRow,
    LedgerRow,
    Record,
    Row,
    TurnRow,
    clean,
    encode,
    kind_of,
)

MAX_WAITING = 10_000
MAX_IN_MEMORY = 2_000
LINGER_S = 0.05
"""Rows come in bursts; what comes within this time is written in one transaction."""
RETRY_S = (0.25, 0.5, 1.0, 2.0, 5.0)

log = structlog.get_logger()
Trouble = Literal["store.away", "store.back", "store.journal_failed", "store.rows_lost"]
OnTrouble = Callable[[Trouble], None]
"""Told of a trouble when it begins, on whatever thread finds it; must not wait."""


class CallWriter:
    """Rows of one call. No method but `close` waits, and none raises because of the database.

    Args:
        call_id: For the log.
        write: Writes rows in one transaction; called on the writer's thread.
        folder: Where the journal is.
        max_journal_bytes: Its bound; beyond it rows are lost, which the log says.
        on_trouble: Told of what the log says too.
    """

    def __init__(
        self,
        call_id: str,
        write: Write,
        folder: Path,
        *,
        max_journal_bytes: int = MAX_BYTES,
        on_trouble: OnTrouble | None = None,
    ) -> None:
        self._call_id = call_id
        self._on_trouble = on_trouble or (lambda _: None)
        self._write = write
        self._journal = Journal(folder, max_journal_bytes)
        self._queue: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._entry = threading.Lock()
        self._closed = threading.Event()
        self._revision = 0
        self.lost = 0
        """Rows that could be kept nowhere."""
        # From here on, touched by the thread only, or under the hand.
        self._hand = threading.Lock()
        self._abandoned = False
        self._pending: list[Record] = []
        self._spilled = False
        self._away_since: float | None = None
        self._retry_at = 0.0
        self._tries = 0
        self._disk_said = False
        # In the call's context: what the thread logs is about the call's turn.
        work, about = self._run, contextvars.copy_context()
        name = f"store-{call_id[:8]}"
        self._thread = threading.Thread(target=about.run, args=(work,), name=name, daemon=True)
        self._thread.start()

    def begin(self, row: CallRow) -> None:
        """Write that the call began."""
        self._put(row)

    def turn(self, row: TurnRow) -> None:
        """Write a turn, or more of one."""
        self._put(row)

    def usage(self, row: LedgerRow) -> None:
        """Write a request to a provider."""
        self._put(row)

    def event(self, row: EventRow) -> None:
        """Write that something happened."""
        self._put(row)

    def end(
        self,
        call_id: str,
        reason: str,
        ended_at: datetime,
        *,
        call_s: float | None = None,
        speech_s: float | None = None,
    ) -> None:
        """Write that the call ended."""
        self._put(CallEnd(call_id, reason, ended_at, call_s, speech_s))

    def close(self, timeout_s: float) -> bool:
        """Write what is left and stop; blocks, so call it in a thread.

        Returns:
            Whether the database has everything. What it has not is in the journal, for `Store.replay`.
        """
        with self._entry:
            self._closed.set()
            self._queue.put(None)
        self._thread.join(timeout_s)
        with self._hand:
            if self._thread.is_alive():
                # It hangs in the database: what it holds is in the journal already, add what waits behind it.
                self._abandoned = True
                self._keep(self._waiting())
                self._queue.put(None)
                return False
            left = self._waiting()  # only when the thread died
            self._keep(left)
            done = self._away_since is None and not self.lost and not left
            if not self._abandoned:
                self._journal.close()
            return done

    # --- the event loop's side --------------------------------------------------------------------------------

    def _put(self, row: Row) -> None:
        with self._entry:
            if self._closed.is_set() or self._queue.qsize() >= MAX_WAITING:
                self._lose(1)
                return
            self._revision = max(self._revision + 1, time.time_ns())
            self._queue.put(Record(row, self._revision))

    def _lose(self, rows: int) -> None:
        if not self.lost:
            log.error("store.rows_lost", call_id=self._call_id, why="closed or full")
            self._on_trouble("store.rows_lost")
        self.lost += rows

    # --- the thread's side ------------------------------------------------------------------------------------

    def _run(self) -> None:
        last = False
        while not last:
            batch, last = self._take()
            with self._hand:
                if self._abandoned:
                    last = True
                self._keep(batch)
            if last or self._away_since is None or time.monotonic() >= self._retry_at:
                self._pass_on()

    def _take(self) -> tuple[list[Record], bool]:
        """Wait for rows, or for the time to try again; return them and whether they are the last."""
        wait_s = None if self._away_since is None else max(0.0, self._retry_at - time.monotonic())
        try:
            first = self._queue.get(timeout=wait_s)
        except queue.Empty:
            return [], False
        if first is None:
            return [], True
        self._closed.wait(LINGER_S)
        batch = [first, *self._waiting()]
        return batch, self._closed.is_set() and self._queue.empty()

    def _waiting(self) -> list[Record]:
        """Return what waits in the queue; the mark of the end is no row."""
        rows: list[Record] = []
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return rows
            if item is not None:
                rows.append(item)

    def _keep(self, batch: list[Record]) -> None:
        """Put rows into the journal, and into memory while there is room."""
        kept: list[Record] = []
        lines: list[bytes] = []
        for record in batch:
            fit = Record(clean(record.row), record.revision)
            try:
                lines.append(encode(fit))
            except ValueError as error:  # an event's data that is no JSON
                self._refuse(record, error)
            else:
                kept.append(fit)
        room = 0 if self._spilled else max(0, MAX_IN_MEMORY - len(self._pending))
        remembered = kept[:room]
        self._pending += remembered
        self._spilled |= len(kept) > len(remembered)
        try:
            written = self._journal.append(lines, sync=self._away_since is not None)
        except OSError as error:
            self._disk_failed(error.strerror or str(error))
            written = 0
        if written < len(kept):
            self._disk_failed("its bound is reached")
            if over := len(kept) - max(written, len(remembered)):
                self._lose(over)

    def _pass_on(self) -> None:
        """Write everything that is not confirmed, oldest first."""
        newest = self._pending[-1].revision if self._pending else 0
        spilled = (record for record in self._journal.records() if self._spilled and record.revision > newest)
        try:
            rows = deliver(self._write, chain(self._pending, spilled), self._refuse)
        except (SQLAlchemyError, ReparteeError, OSError) as error:
            self._is_away(error)
            return
        with self._hand:
            if not self._abandoned:
                self._journal.clear()
            self._pending, self._spilled = [], False
        if self._away_since is not None:
            away_s = round(time.monotonic() - self._away_since, 1)
            log.info("store.back", call_id=self._call_id, away_s=away_s, rows=rows)
            self._on_trouble("store.back")
        self._away_since, self._tries = None, 0

    def _refuse(self, record: Record, error: Exception) -> None:
        """Leave out a row that no database takes: it must not hold up the others. Its content is not for the log."""
        kind = kind_of(record.row)
        log.error("store.row_refused", call_id=self._call_id, kind=kind, error=name_of(error))
        self.lost += 1

    def _disk_failed(self, why: str) -> None:
        if not self._disk_said:
            log.error("store.journal_failed", call_id=self._call_id, error=why)
            self._disk_said = True
            self._on_trouble("store.journal_failed")

    def _is_away(self, error: Exception) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            log.warning("store.away", call_id=self._call_id, error=name_of(error))
            self._on_trouble("store.away")
            try:
                self._journal.sync()
            except OSError as failed:
                self._disk_failed(failed.strerror or str(failed))
        self._retry_at = now + RETRY_S[min(self._tries, len(RETRY_S) - 1)]
        self._tries += 1
