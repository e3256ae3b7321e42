"""Finding calls among many: by agent, days, how they ended and what was said; and how quick they were by day."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    Row,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.sql.selectable import Select

from repartee.store.reading import call_of
from repartee.store.rows import CallRow
from repartee.store.schema import GREETING, calls, turns, usage

State: TypeAlias = Literal["live", "ended", "lost"]
SILENT_FOR = timedelta(minutes=10)
"""A call without an end of which nothing was written for so long is not going on."""
LONGEST = timedelta(days=1)
MAX_WORDS = 8
PERCENTS = (50, 95, 99)
SNIPPET = 60
"""Characters shown before and after a word that was looked for."""
_WORD = re.compile(r"\w+")
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class CallQuery:
    """Which calls are meant; None means any.

    Attributes:
        agent: Its name.
        since: Began then or later.
        until: Began before.
        state: "live" or "ended"; "lost" is a call whose end is not known.
        reason: Why it ended.
        words: All of these, or words that begin so, in one turn.
        before: The last call of the page before: its start and its id.
        limit: At most so many.
        call_id: Only this one.
    """

    agent: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    state: State | None = None
    reason: str | None = None
    words: str | None = None
    before: tuple[datetime, str] | None = None
    limit: int = 50
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class FoundCall:
    """A call in a list.

    Attributes:
        call: The call.
        state: Whether it goes on.
        turns: How many turns are kept of it; the greeting is none.
        latency_ms: The median wait for an answer; None without one.
        slowest_ms: The longest.
        cost: USD, of the requests whose price is known.
        wasted: USD of it for what nobody heard.
        unpriced: Requests whose price is not known.
        turn_id: The turn that has the words that were looked for.
        snippet: What is said around them.
        erased: Its words were erased.
    """

    call: CallRow
    state: State
    turns: int = 0
    latency_ms: float | None = None
    slowest_ms: float | None = None
    cost: Decimal = _NOTHING
    wasted: Decimal = _NOTHING
    unpriced: int = 0
    turn_id: int | None = None
    snippet: str = ""
    erased: bool = False


@dataclass(frozen=True, slots=True)
class DayStats:
    """One day (UTC) of one agent.

    Attributes:
        answers: Turns with a wait.
        p50_ms: Median wait; p95 and p99 likewise.
    """

    day: str
    agent: str
    calls: int = 0
    call_s: float = 0.0
    answers: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    cost: Decimal = _NOTHING
    wasted: Decimal = _NOTHING


def find(connection: Connection, query: CallQuery, now: datetime) -> list[FoundCall]:
    """Return calls, the newest first."""
    statement = _where(select(calls), connection, query, now)
    if query.before is not None:
        at, call_id = query.before
        older = or_(calls.c.started_at < at, and_(calls.c.started_at == at, calls.c.call_id > call_id))
        statement = statement.where(older)
    ordered = statement.order_by(calls.c.started_at.desc(), calls.c.call_id).limit(query.limit)
    rows = connection.execute(ordered).all()
    ids = [row.call_id for row in rows]
    spoken, paid = _turns(connection, ids), _paid(connection, ids)
    said = _matches(connection, ids, query.words)
    found = []
    for row in rows:
        theirs = spoken.get(row.call_id, [])
        waits = sorted(turn.latency_ms for turn in theirs if turn.latency_ms is not None)
        cost, wasted, unpriced = paid.get(row.call_id, (_NOTHING, _NOTHING, 0))
        turn_id, snippet = said.get(row.call_id, (None, ""))
        active_ns = max((turn.revision for turn in theirs), default=0)
        found.append(
            FoundCall(
                call_of(row),
                state_of(row.started_at, row.ended_at, active_ns, now),
                sum(turn.turn_id != GREETING for turn in theirs),
                share_of(waits, 50),
                waits[-1] if waits else None,
                cost,
                wasted,
                unpriced,
                turn_id,
                snippet,
                row.erased_at is not None,
            )
        )
    return found


def count(connection: Connection, query: CallQuery, now: datetime) -> int:
    """Return how many calls there are of which pages are shown."""
    counted = _where(select(func.count(calls.c.call_id)), connection, query, now)
    return int(connection.execute(counted).scalar_one())


def agents(connection: Connection) -> list[str]:
    """Return the agents that have taken calls."""
    return sorted(name for name in connection.execute(select(calls.c.agent).distinct()).scalars() if name)


def reasons(connection: Connection) -> list[str]:
    """Return the reasons for which calls have ended."""
    return sorted(name for name in connection.execute(select(calls.c.reason).distinct()).scalars() if name)


def state_of(started_at: datetime, ended_at: datetime | None, active_ns: int, now: datetime) -> State:
    """Say whether a call goes on, by when something of it was written last."""
    if ended_at is not None:
        return "ended"
    active = max(started_at, datetime.fromtimestamp(active_ns / 1e9, UTC))
    return "live" if now - active < SILENT_FOR else "lost"


def share_of(ordered: Sequence[float], percent: int) -> float | None:
    """Return the value below which so many percent of them lie."""
    return ordered[len(ordered) * percent // 100] if ordered else None


def stats(connection: Connection, query: CallQuery) -> list[DayStats]:
    """Return days by agent, the oldest first; of a query its agent, `since` and `until` count."""
    conditions = _when(query)
    day = _day(connection)
    held: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    counted = select(day, calls.c.agent, func.count(), func.sum(calls.c.call_s)).where(*conditions)
    for name, agent, number, seconds in connection.execute(counted.group_by(day, calls.c.agent)):
        held[str(name), agent] |= {"calls": number, "call_s": float(seconds or 0.0)}
    for name, agent, listed in connection.execute(_waits(day, conditions)):
        waits = sorted(map(float, listed.split(",")))
        shares = {f"p{percent}_ms": share_of(waits, percent) for percent in PERCENTS}
        held[str(name), agent] |= {"answers": len(waits), **shares}
    wasted = func.sum(case((usage.c.used.is_(False), usage.c.cost)))
    bill = select(usage.c.day, usage.c.agent, func.sum(usage.c.cost), wasted).where(*_billed(query))
    for name, agent, cost, lost in connection.execute(bill.group_by(usage.c.day, usage.c.agent)):
        if (str(name), agent) in held:
            held[str(name), agent] |= {"cost": cost or _NOTHING, "wasted": lost or _NOTHING}
    return [DayStats(*key, **values) for key, values in sorted(held.items())]


def _day(connection: Connection) -> ColumnElement[Any]:
    """The day, in UTC, on which a call began."""
    if connection.dialect.name == "sqlite":
        return func.date(calls.c.started_at)
    return cast(func.timezone("UTC", calls.c.started_at), Date)


def _waits(day: ColumnElement[Any], conditions: list[ColumnElement[bool]]) -> Select[Any]:
    """All waits of a day as one text: a row for each would take longer to hand over than to sort."""
    listed = func.aggregate_strings(cast(turns.c.latency_ms, Text), ",")
    joined = select(day, calls.c.agent, listed).join_from(calls, turns, calls.c.call_id == turns.c.call_id)
    return joined.where(turns.c.latency_ms.is_not(None), *conditions).group_by(day, calls.c.agent)


def _when(query: CallQuery) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if query.call_id is not None:
        found.append(calls.c.call_id == query.call_id)
    if query.agent is not None:
        found.append(calls.c.agent == query.agent)
    if query.since is not None:
        found.append(calls.c.started_at >= query.since)
    if query.until is not None:
        found.append(calls.c.started_at < query.until)
    return found


def _billed(query: CallQuery) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if query.agent is not None:
        found.append(usage.c.agent == query.agent)
    if query.since is not None:
        found.append(usage.c.day >= query.since.astimezone(UTC).date())
    if query.until is not None:
        found.append(usage.c.day <= query.until.astimezone(UTC).date())
    return found


def _where(statement: Select[Any], connection: Connection, query: CallQuery, now: datetime) -> Select[Any]:
    sqlite = connection.dialect.name == "sqlite"
    statement = statement.where(*_when(query))
    if query.reason is not None:
        statement = statement.where(calls.c.reason == query.reason)
    if query.state == "ended":
        statement = statement.where(calls.c.ended_at.is_not(None))
    elif query.state is not None:
        since = now - SILENT_FOR
        wrote = select(turns.c.call_id).where(
            turns.c.call_id == calls.c.call_id, turns.c.revision >= int(since.timestamp() * 1e9)
        )
        live = or_(calls.c.started_at > since, and_(calls.c.started_at > now - LONGEST, wrote.exists()))
        statement = statement.where(calls.c.ended_at.is_(None), live if query.state == "live" else not_(live))
    if query.words is not None:
        statement = statement.where(_said(query.words, sqlite=sqlite))
    return statement


# --- words ----------------------------------------------------------------------------------------------------


def words_of(text: str) -> list[str]:
    """Return the words of what was typed to look for."""
    return _WORD.findall(text.casefold())[:MAX_WORDS]


def _said(words: str, *, sqlite: bool) -> ColumnElement[bool]:
    """Calls with a turn in which all the words are said, or words that begin so."""
    found = words_of(words)
    if not found:
        return false()
    if sqlite:
        asked = " ".join(f'"{word}"*' for word in found)
        inside = (
            "SELECT call_id FROM turn_words JOIN turn_words_of ON number = turn_words.rowid "
            "WHERE turn_words MATCH :said"
        )
    else:
        asked = " & ".join(f"{word}:*" for word in found)
        # As the index is written; PostgreSQL uses it for this very expression only.
        said = "user_text || ' ' || heard_text || ' ' || unheard_text"
        inside = (
            f"SELECT call_id FROM turns WHERE to_tsvector('simple', {said}) @@ to_tsquery('simple', :said)"  # noqa: S608
        )
    return calls.c.call_id.in_(text(inside).bindparams(said=asked).columns(turns.c.call_id))


def _matches(connection: Connection, ids: Sequence[str], words: str | None) -> dict[str, tuple[int, str]]:
    """Return the first turn of each call that has the words, and a piece of it."""
    wanted = words_of(words or "")
    if not wanted or not ids:
        return {}
    texts = select(
        turns.c.call_id, turns.c.turn_id, turns.c.user_text, turns.c.heard_text, turns.c.unheard_text
    )
    found: dict[str, tuple[int, str]] = {}
    for row in connection.execute(
        texts.where(turns.c.call_id.in_(ids)).order_by(turns.c.call_id, turns.c.turn_id)
    ):
        said = f"{row.user_text} {row.heard_text} {row.unheard_text}"
        folded = said.casefold()
        if row.call_id in found or not all(word in folded for word in wanted):
            continue
        found[row.call_id] = (row.turn_id, _around(said.strip(), folded.strip().find(wanted[0])))
    return found


def _around(said: str, at: int) -> str:
    """Return whole words before and after a place, with dots where something is left out."""
    begin = said.find(" ", at - SNIPPET) + 1 if at > SNIPPET else 0
    end = said.rfind(" ", 0, at + SNIPPET) if at + SNIPPET < len(said) else len(said)
    return f"{'…' if begin else ''}{said[begin:end]}{'…' if end < len(said) else ''}"


# --- what belongs to a page of calls --------------------------------------------------------------------------


def _turns(connection: Connection, ids: Sequence[str]) -> dict[str, list[Row[Any, Any, Any, Any]]]:
    found: dict[str, list[Row[Any, Any, Any, Any]]] = defaultdict(list)
    if ids:
        columns = select(turns.c.call_id, turns.c.turn_id, turns.c.latency_ms, turns.c.revision)
        for row in connection.execute(columns.where(turns.c.call_id.in_(ids))):
            found[row.call_id].append(row)
    return found


def _paid(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[Decimal, Decimal, int]]:
    if not ids:
        return {}
    sums = select(
        usage.c.call_id,
        func.sum(usage.c.cost).label("cost"),
        func.sum(case((usage.c.used.is_(False), usage.c.cost))).label("wasted"),
        func.count().filter(usage.c.cost.is_(None)).label("unpriced"),
    )
    rows = connection.execute(sums.where(usage.c.call_id.in_(ids)).group_by(usage.c.call_id))
    return {row.call_id: (row.cost or _NOTHING, row.wasted or _NOTHING, row.unpriced) for row in rows}
