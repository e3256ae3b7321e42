"""Forgetting: what was said and who said it goes, the figures of the calls and the bill stay."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, select, text, update

from repartee.store.schema import acts, caller_facts, calls, events, turns


def forget_caller(connection: Connection, caller_id: str) -> int:
    """Erase the facts known about a caller and the texts of the caller's calls; return how many rows changed."""
    facts = connection.execute(delete(caller_facts).where(caller_facts.c.caller_id == caller_id)).rowcount
    return facts + _erase(connection, calls.c.caller_id == caller_id)


def purge(connection: Connection, before: datetime) -> int:
    """Erase the texts of the calls that began before; return how many rows changed."""
    return _erase(connection, calls.c.started_at < before)


def delete_call(connection: Connection, call_id: str) -> bool:
    """Delete a call with its turns and events; what was paid for it stays in the bill."""
    connection.execute(delete(acts).where(acts.c.call_id == call_id))
    found = connection.execute(delete(calls).where(calls.c.call_id == call_id)).rowcount > 0
    _wipe_words(connection)
    return found


def _erase(connection: Connection, which: ColumnElement[bool]) -> int:
    chosen = select(calls.c.call_id).where(which)
    connection.execute(delete(acts).where(acts.c.call_id.in_(chosen)))
    gone = connection.execute(delete(events).where(events.c.call_id.in_(chosen))).rowcount
    nothing: dict[str, Any] = dict.fromkeys(("user_text", "heard_text", "unheard_text"), "")
    said = (turns.c.user_text + turns.c.heard_text + turns.c.unheard_text) != ""
    blanked = connection.execute(
        update(turns).where(turns.c.call_id.in_(chosen), said).values(nothing)
    ).rowcount
    if blanked:
        _wipe_words(connection)
    # The last, since it may be the caller's name that chooses the calls.
    fresh = update(calls).where(which, calls.c.erased_at.is_(None))
    unnamed = connection.execute(fresh.values(caller_id=None, room="", erased_at=datetime.now(UTC))).rowcount
    return gone + blanked + unnamed


def _wipe_words(connection: Connection) -> None:
    """Let SQLite forget the words that were taken out of its index: until it is put together anew, they are in it."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("INSERT INTO turn_words (turn_words) VALUES ('optimize')"))
