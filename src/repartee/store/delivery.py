"""Brings rows to the database in pieces, and leaves out the one it does not take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from repartee.store.rows import Record

CHUNK = 500
Write = Callable[[Sequence[Record]], None]
"""Writes rows in one transaction."""


def deliver(write: Write, records: Iterable[Record], refuse: Callable[[Record, Exception], None]) -> int:
    """Write rows in their order; return how many.

    Args:
        write: Writes a piece.
        records: The rows.
        refuse: Told of a row that no database takes: it must not hold up the others.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database is away. What was written before stays, and may be written again.
    """
    rows = 0
    for chunk in _chunks(records):
        rows += _write(write, chunk, refuse)
    return rows


def name_of(error: Exception) -> str:
    """Return an error's name; its text may hold what somebody said."""
    return type(getattr(error, "orig", None) or error).__name__


def _write(write: Write, chunk: list[Record], refuse: Callable[[Record, Exception], None]) -> int:
    try:
        write(chunk)
    except (StatementError, ValueError, TypeError, OverflowError) as error:
        if not _is_the_row_s_fault(error):
            raise
        if len(chunk) == 1:
            refuse(chunk[0], error)
            return 0
        return sum(_write(write, [record], refuse) for record in chunk)
    return len(chunk)


def _is_the_row_s_fault(error: Exception) -> bool:
    return not isinstance(error, DBAPIError) or isinstance(error, DataError | IntegrityError)


def _chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
