"""The rows of the store: plain, frozen, one per fact. Texts are what people said, so no row is ever logged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar

from pydantic import TypeAdapter

from repartee.telemetry.usage import Usage


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call. Begun with the first six, ended with the rest.

    Attributes:
        call_id: Unique.
        agent: The agent's name.
        agent_version: The hash of its file and tools.
        room: The LiveKit room.
        started_at: With a time zone.
        caller_id: Who calls, as the operator's token says; None when nobody vouches for it.
        ended_at: None while it goes on, and after a crash.
        reason: Why it ended.
        call_s: Seconds from start to end.
        speech_s: Seconds in which the caller spoke.
    """

    call_id: str
    agent: str
    agent_version: str
    room: str
    started_at: datetime
    caller_id: str | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    call_s: float | None = None
    speech_s: float | None = None


@dataclass(frozen=True, slots=True)
class CallEnd:
    """The end of a call; `call_s` is reckoned from the start when it is not given."""

    call_id: str
    reason: str
    ended_at: datetime
    call_s: float | None = None
    speech_s: float | None = None


@dataclass(frozen=True, slots=True)
class TurnRow:
    """One exchange. Written again when more of it is known: the later row stands.

    Attributes:
        call_id: The call.
        turn_id: The user's turn; 0 for what the agent says before anybody spoke.
        user_text: What the caller said.
        heard_text: What the caller heard of the reply.
        unheard_text: What of the reply was made and not heard.
        started_at_ms: When the caller began to speak, on the call's clock.
        ended_at_ms: When the caller stopped.
        latency_ms: From then to the first sound of the reply; None when there was none.
        timings: Further marks by name, in ms on the call's clock.
    """

    call_id: str
    turn_id: int
    user_text: str = ""
    heard_text: str = ""
    unheard_text: str = ""
    started_at_ms: float | None = None
    ended_at_ms: float | None = None
    latency_ms: float | None = None
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One request to a provider, and what it cost.

    Attributes:
        usage: The request; its `request_id` is the row's key, so a doubled report counts once.
        call_id: None for what belongs to no call.
        agent: The agent's name.
        at: When it ended, with a time zone.
        price_version: The version of the price table.
        cost: USD; None when the price is unknown, which is not zero.
        used: Whether what came back was heard, or led to what was.
    """

    usage: Usage
    call_id: str | None
    agent: str
    at: datetime
    price_version: str | None
    cost: Decimal | None
    used: bool


@dataclass(frozen=True, slots=True)
class EventRow:
    """Anything else that happened in a call: an intent, a tool, an error. `data` must be JSON."""

    call_id: str
    at_ms: float
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallerFact:
    """What is remembered about a caller between calls.

    Attributes:
        kind: Such as name, preference, open question.
        text: The fact; for one caller, one kind and text are kept once.
        learned_at: With a time zone.
        call_id: The call it was learned in.
    """

    kind: str
    text: str
    learned_at: datetime
    call_id: str


Row: TypeAlias = CallRow | CallEnd | TurnRow | LedgerRow | EventRow
_R = TypeVar("_R", bound=Row | CallerFact)


@dataclass(frozen=True, slots=True)
class Record:
    """A row on its way to the database.

    Attributes:
        row: The row.
        revision: Rises with every row; a lower one never replaces a higher, so a replay cannot bring back old text.
    """

    row: Row
    revision: int


_KINDS: dict[str, TypeAdapter[Any]] = {
    "call": TypeAdapter(CallRow),
    "end": TypeAdapter(CallEnd),
    "turn": TypeAdapter(TurnRow),
    "usage": TypeAdapter(LedgerRow),
    "event": TypeAdapter(EventRow),
}
_NAMES = {CallRow: "call", CallEnd: "end", TurnRow: "turn", LedgerRow: "usage", EventRow: "event"}


def kind_of(row: Row) -> str:
    """Return what a row is called in logs and files."""
    return _NAMES[type(row)]


def encode(record: Record) -> bytes:
    """Return a record as one line of JSON."""
    kind = kind_of(record.row)
    head = f'{{"kind":"{kind}","revision":{record.revision},"row":'
    return head.encode() + _KINDS[kind].dump_json(record.row) + b"}\n"


def decode(line: bytes) -> Record:
    """Return the record of a line.

    Raises:
        ValueError: It is no whole record.
    """
    outer = _OUTER.validate_json(line)
    adapter = _KINDS.get(outer.kind)
    if adapter is None:
        raise ValueError(f"unknown kind of row '{outer.kind}'")
    return Record(adapter.validate_python(outer.row), outer.revision)


@dataclass(frozen=True, slots=True)
class _Line:
    kind: str
    revision: int
    row: dict[str, Any]


_OUTER = TypeAdapter(_Line)


def clean(row: _R) -> _R:
    """Return a row that every database and JSON takes: no NUL, no half characters, no infinite numbers."""
    changed = {
        item.name: cleaned
        for item in fields(row)
        if (cleaned := _clean(value := getattr(row, item.name))) is not value
    }
    return replace(row, **changed) if changed else row


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        fit = value.replace("\x00", "").encode("utf-8", "replace").decode()
        return value if fit == value else fit
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        kept = {_clean(key): _clean(inner) for key, inner in value.items()}
        kept = {key: inner for key, inner in kept.items() if inner is not None}
        return value if kept == value else kept
    if isinstance(value, list | tuple):
        items = [_clean(inner) for inner in value]
        return value if items == list(value) else items
    return value
