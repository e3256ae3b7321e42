"""Questions to the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from sqlalchemy import ColumnElement, Connection, Row, case, func, select
from sqlalchemy.sql.selectable import Subquery

from repartee.store.rows import CallerFact, CallRow, EventRow, LedgerRow, TurnRow
from repartee.store.schema import GREETING, UNITS, caller_facts, calls, events, turns, usage
from repartee.telemetry.usage import Usage

GroupBy: TypeAlias = Literal["day", "agent", "stage", "provider", "call"]
GROUPS: tuple[GroupBy, ...] = ("day", "agent", "stage", "provider", "call")
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class CallSummary:
    """A call in a list.

    Attributes:
        call: The call.
        turns: How many turns are kept of it; the greeting is none.
        cost: USD, of the requests whose price is known.
        unpriced: Requests whose price is not.
    """

    call: CallRow
    turns: int
    cost: Decimal
    unpriced: int


@dataclass(frozen=True, slots=True)
class CostLine:
    """What a group of requests used and cost.

    Attributes:
        key: The group, in the order that was asked for. A provider is `provider:model`, a day `2026-09-30` (UTC).
        requests: How many.
        quantities: Sums by unit, of what was reported.
        cost: USD, of the requests whose price is known.
        wasted: USD of it for what nobody heard.
        unpriced: Requests whose price is not known.
        call_s: Seconds of the calls that these requests belong to.
        audio_cost: USD of it for audio that was sent to speech-to-text.
    """

    key: tuple[str, ...]
    requests: int
    cost: Decimal
    wasted: Decimal
    unpriced: int
    call_s: float
    quantities: dict[str, Decimal] = field(default_factory=dict)
    audio_cost: Decimal = _NOTHING

    @property
    def gate_saved(self) -> Decimal | None:
        """USD that speech-to-text would have cost more, had all audio of the calls been sent to it.

        Below 0 where short pieces were sent again so often that it came to more; None where no audio was paid for.
        """
        sent_s = self.quantities.get("audio_s")
        if not sent_s or not self.audio_cost or not self.call_s:
            return None
        return self.audio_cost * (Decimal(self.call_s) / sent_s - 1)

    @property
    def wasted_share(self) -> Decimal:
        """The part of the cost that nobody heard, 0 to 1."""
        return self.wasted / self.cost if self.cost else _NOTHING

    @property
    def per_minute(self) -> Decimal | None:
        """USD for a minute of call; None where there is no call, or no known price."""
        known = self.unpriced < self.requests
        return self.cost * 60 / Decimal(self.call_s) if self.call_s and known else None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which requests are meant; None means any."""

    agent: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    call_id: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return them as SQL."""
        found: list[ColumnElement[bool]] = []
        if self.agent is not None:
            found.append(usage.c.agent == self.agent)
        if self.since is not None:
            found.append(usage.c.at >= self.since)
        if self.until is not None:
            found.append(usage.c.at < self.until)
        if self.call_id is not None:
            found.append(usage.c.call_id == self.call_id)
        return found


def read_calls(
    connection: Connection,
    *conditions: ColumnElement[bool],
    limit: int | None = None,
) -> list[CallSummary]:
    """Return calls, the newest first."""
    spoken = (
        select(turns.c.call_id, func.count().label("turns"))
        .where(turns.c.turn_id != GREETING)
        .group_by(turns.c.call_id)
        .subquery()
    )
    paid = (
        select(
            usage.c.call_id,
            func.sum(usage.c.cost).label("cost"),
            func.count().filter(usage.c.cost.is_(None)).label("unpriced"),
        )
        .group_by(usage.c.call_id)
        .subquery()
    )
    statement = (
        select(calls, spoken.c.turns, paid.c.cost, paid.c.unpriced)
        .outerjoin(spoken, spoken.c.call_id == calls.c.call_id)
        .outerjoin(paid, paid.c.call_id == calls.c.call_id)
        .where(*conditions)
        .order_by(calls.c.started_at.desc(), calls.c.call_id)
        .limit(limit)
    )
    return [
        CallSummary(call_of(row), row.turns or 0, row.cost or _NOTHING, row.unpriced or 0)
        for row in connection.execute(statement)
    ]


def read_turns(connection: Connection, call_id: str) -> list[TurnRow]:
    """Return the turns of a call in order."""
    statement = select(turns).where(turns.c.call_id == call_id).order_by(turns.c.turn_id)
    names = TurnRow.__dataclass_fields__
    return [TurnRow(**{name: getattr(row, name) for name in names}) for row in connection.execute(statement)]


def read_events(connection: Connection, call_id: str) -> list[EventRow]:
    """Return the events of a call in order."""
    statement = select(events).where(events.c.call_id == call_id).order_by(events.c.at_ms, events.c.revision)
    return [EventRow(row.call_id, row.at_ms, row.kind, row.data) for row in connection.execute(statement)]


def read_usage(connection: Connection, chosen: Selection, limit: int | None) -> list[LedgerRow]:
    """Return requests in the order they ended."""
    statement = select(usage).where(*chosen.conditions()).order_by(usage.c.at, usage.c.revision).limit(limit)
    return [_ledger_row(row) for row in connection.execute(statement)]


def read_spent(connection: Connection, chosen: Selection) -> Decimal:
    """Return USD of the requests whose price is known."""
    found = connection.execute(select(func.sum(usage.c.cost)).where(*chosen.conditions())).scalar()
    return found if found is not None else _NOTHING


def read_costs(connection: Connection, by: Sequence[GroupBy], chosen: Selection) -> list[CostLine]:
    """Return what was used and what it cost, by group, in the order of the groups."""
    groups = [_group(name) for name in by]
    keys = [f"key_{position}" for position in range(len(groups))]
    labelled = [group.label(key) for group, key in zip(groups, keys, strict=True)]
    wasted = func.sum(case((usage.c.used.is_(False), usage.c.cost)))
    for_audio = func.sum(case((usage.c.stage == "stt", usage.c.cost)))
    statement = select(
        *labelled,
        func.count().label("requests"),
        func.sum(usage.c.cost).label("cost"),
        wasted.label("wasted"),
        for_audio.label("for_audio"),
        func.count().filter(usage.c.cost.is_(None)).label("unpriced"),
        *(func.sum(usage.c[unit]).label(unit) for unit in UNITS),
    ).where(*chosen.conditions())
    seconds = _seconds(connection, labelled, keys, chosen)
    lines = []
    for row in connection.execute(statement.group_by(*groups)):
        key = tuple(_text(getattr(row, name)) for name in keys)
        quantities = {unit: value for unit in UNITS if (value := getattr(row, unit)) is not None}
        lines.append(
            CostLine(
                key,
                row.requests,
                row.cost or _NOTHING,
                row.wasted or _NOTHING,
                row.unpriced,
                seconds.get(key, 0.0),
                quantities,
                row.for_audio or _NOTHING,
            )
        )
    return sorted((line for line in lines if line.requests), key=lambda line: line.key)


def read_unpriced(connection: Connection, chosen: Selection) -> list[tuple[str, int]]:
    """Return the models without a known price, as `provider:model`, and how many requests each had."""
    model = _group("provider")
    statement = select(model.label("model"), func.count().label("requests"))
    statement = statement.where(usage.c.cost.is_(None), *chosen.conditions()).group_by(model).order_by(model)
    return [(row.model, row.requests) for row in connection.execute(statement)]


def read_facts(connection: Connection, caller_id: str) -> list[CallerFact]:
    """Return what is remembered about a caller, in the order it was learned."""
    statement = (
        select(caller_facts)
        .where(caller_facts.c.caller_id == caller_id)
        .order_by(caller_facts.c.learned_at, caller_facts.c.fact_id)
    )
    rows = connection.execute(statement)
    return [CallerFact(row.kind, row.text, row.learned_at, row.call_id) for row in rows]


def export_caller(connection: Connection, caller_id: str) -> dict[str, Any]:
    """Return everything that is kept of a caller, ready for JSON."""
    return {
        "caller_id": caller_id,
        "facts": [_plain(fact) for fact in read_facts(connection, caller_id)],
        "calls": [
            {
                **_plain(summary.call),
                "cost_usd": f"{summary.cost.normalize():f}",
                "turns": [_plain(turn) for turn in read_turns(connection, summary.call.call_id)],
                "events": [_plain(event) for event in read_events(connection, summary.call.call_id)],
            }
            for summary in read_calls(connection, calls.c.caller_id == caller_id)
        ],
    }


def _plain(row: CallerFact | CallRow | TurnRow | EventRow) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in ((name, getattr(row, name)) for name in row.__dataclass_fields__)
    }


def _group(name: GroupBy) -> ColumnElement[Any]:
    match name:
        case "provider":
            return usage.c.provider + ":" + usage.c.model
        case "call":
            return func.coalesce(usage.c.call_id, "")
        case _:
            return usage.c[name]


def _text(value: object) -> str:
    return str(value)


def _seconds(
    connection: Connection, labelled: list[Any], keys: list[str], chosen: Selection
) -> dict[tuple[str, ...], float]:
    """Return the seconds of the calls of each group. A call without an end lasts until its last request."""
    inner = (
        select(*labelled, usage.c.call_id, func.max(usage.c.ended_at_ms).label("last_ms"))
        .where(usage.c.call_id.is_not(None), *chosen.conditions())
        .group_by(*labelled, usage.c.call_id)
        .subquery()
    )
    lasted = func.coalesce(calls.c.call_s, inner.c.last_ms / 1000)
    columns = [inner.c[key] for key in keys]
    statement = select(*columns, func.sum(lasted).label("seconds"))
    statement = statement.select_from(_with_calls(inner)).group_by(*columns)
    return {
        tuple(_text(getattr(row, key)) for key in keys): float(row.seconds or 0.0)
        for row in connection.execute(statement)
    }


def _with_calls(inner: Subquery) -> Any:
    return inner.outerjoin(calls, calls.c.call_id == inner.c.call_id)


def call_of(row: Row[Any]) -> CallRow:
    """Return the call of a row of its table."""
    return CallRow(**{name: getattr(row, name) for name in CallRow.__dataclass_fields__})


def _ledger_row(row: Row[Any]) -> LedgerRow:
    plain = (name for name in Usage.__dataclass_fields__ if name != "quantities")
    quantities: Any = {unit: value for unit in UNITS if (value := getattr(row, unit)) is not None}
    used = Usage(**{name: getattr(row, name) for name in plain}, quantities=quantities)
    return LedgerRow(used, row.call_id, row.agent, row.at, row.price_version, row.cost, row.used)
