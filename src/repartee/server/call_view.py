"""One call as its page shows it: turns with their waits, tools, goals, errors and money, ready for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from repartee.agent.realtime import REALTIME_MODELS
from repartee.server.line_view import line_view
from repartee.store import EventRow, FoundCall, LedgerRow, Store, TurnRow
from repartee.store.search import share_of
from repartee.telemetry.waterfall import ADVICE, MEANS, TITLES, Part, Span, Waited, by_owner, parts

TROUBLE = ("provider.", "stt.failed", "network.", "budget", "mcp.", "price.unknown", "reply.failed")
"""How events begin that are shown as trouble, unless they tell that there is none."""
EARLY_MS = 5.0
"""A request is made a little before or after its reply is marked as begun."""
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class CallData:
    """All that is kept of a call."""

    found: FoundCall
    turns: Sequence[TurnRow]
    events: Sequence[EventRow]
    bill: Sequence[LedgerRow]


def read_call(store: Store, call_id: str) -> CallData | None:
    """Read a call; blocks.

    Raises:
        StoreError: The database does not answer.
    """
    found = store.found(call_id)
    if found is None:
        return None
    return CallData(found, store.turns(call_id), store.events(call_id), store.usage_rows(call_id=call_id))


def call_view(data: CallData) -> dict[str, Any]:
    """Return a call for its page."""
    turns = [_turn(turn, data) for turn in data.turns]
    waits = sorted(turn.latency_ms for turn in data.turns if turn.latency_ms is not None)
    all_parts = [part for turn in data.turns for part in parts_of(turn, data)]
    known = {turn.turn_id for turn in data.turns}
    return {
        "call": head(data.found),
        "length_ms": length_ms(data),
        "latency": {
            "answers": len(waits),
            **{f"p{percent}_ms": share_of(waits, percent) for percent in (50, 95)},
            "slowest_ms": waits[-1] if waits else None,
            "by_owner": by_owner(all_parts),
        },
        "turns": turns,
        "speech": [
            [event.at_ms, event.data["ended_at_ms"]] for event in data.events if event.kind == "speech"
        ],
        "replies": [_reply(event) for event in data.events if event.kind == "reply"],
        "tools": [_tool(event) for event in data.events if event.kind == "tool"],
        "pictures": [_picture(event) for event in data.events if event.kind == "picture"],
        "goals": [{"at_ms": event.at_ms, **event.data} for event in data.events if event.kind == "goal"],
        "hand_overs": [_hand_over(event) for event in data.events if event.kind == "team.passed"],
        "line": line_view(data.events),
        "errors": [_event(event) for event in data.events if _is_trouble(event)],
        "bill": {
            **money(data.bill),
            "stages": stages(data.bill),
            "outside": money([row for row in data.bill if row.usage.turn_id not in known]),
        },
    }


def head(found: FoundCall) -> dict[str, Any]:
    """Return a call as lists show it."""
    call = found.call
    return {
        "id": call.call_id,
        "agent": call.agent,
        "agent_version": call.agent_version,
        "caller_id": call.caller_id,
        "started_at": _time(call.started_at),
        "ended_at": _time(call.ended_at),
        "state": found.state,
        "reason": call.reason,
        "call_s": call.call_s,
        "speech_s": call.speech_s,
        "turns": found.turns,
        "latency_ms": found.latency_ms,
        "slowest_ms": found.slowest_ms,
        "cost_usd": plain(found.cost),
        "wasted_usd": plain(found.wasted),
        "unpriced": found.unpriced,
        "erased": found.erased,
    }


def length_ms(data: CallData) -> float:
    """Return how long the call was, or has been so far as is known."""
    if data.found.call.call_s is not None:
        return data.found.call.call_s * 1000
    moments = [event.at_ms for event in data.events]
    moments += [moment for turn in data.turns for moment in turn.timings.values()]
    moments += [row.usage.ended_at_ms for row in data.bill]
    return max(moments, default=0.0)


def parts_of(turn: TurnRow, data: CallData) -> list[Part]:
    """Return what a turn's wait consists of; nothing where there was none."""
    audible, begun = turn.timings.get("reply.audible"), turn.timings.get("reply.started")
    if turn.latency_ms is None or turn.ended_at_ms is None or audible is None:
        return []
    until = min(audible, turn.ended_at_ms + turn.latency_ms)
    asked = [row for row in data.bill if row.usage.turn_id == turn.turn_id]
    since = begun - EARLY_MS if begun is not None else turn.ended_at_ms
    tools = [
        Span(str(event.data.get("tool")), event.at_ms, event.at_ms + float(event.data.get("took_ms", 0.0)))
        for event in data.events
        if event.kind == "tool" and event.data.get("turn_id") == turn.turn_id and since <= event.at_ms < until
    ]
    stt = next((_model(row) for row in asked if row.usage.stage == "stt"), "")
    model = _first(asked, "llm", since, turn.timings.get("reply.first_text", until))
    waited = Waited(
        turn.ended_at_ms,
        turn.ended_at_ms + turn.latency_ms,
        turn.timings,
        tools,
        model,
        _first(asked, "tts", since, turn.timings.get("reply.first_audio", until)),
        stt,
        _outages(data.events, until),
        speaks=model is not None and model.name.startswith(f"openai:{REALTIME_MODELS}"),
    )
    return parts(waited)


def _outages(events: Sequence[EventRow], until: float) -> list[Span]:
    """Return when the connection to the media was lost; one that has not come back lasts."""
    found: list[Span] = []
    for event in events:
        if event.kind == "network.reconnecting":
            found.append(Span("", event.at_ms, max(until, event.at_ms)))
        elif event.kind == "network.reconnected" and found:
            found[-1] = Span("", found[-1].began_ms, event.at_ms)
    return found


def _first(asked: Iterable[LedgerRow], stage: str, since: float, until: float) -> Span | None:
    """Return the first request of a stage that was sent in a stretch of time."""
    sent = [row for row in asked if row.usage.stage == stage and since <= row.usage.started_at_ms <= until]
    if not sent:
        return None
    row = min(sent, key=lambda row: row.usage.started_at_ms)
    return Span(_model(row), row.usage.started_at_ms, row.usage.ended_at_ms)


def _turn(turn: TurnRow, data: CallData) -> dict[str, Any]:
    asked = [row for row in data.bill if row.usage.turn_id == turn.turn_id]
    replies = [e.data for e in data.events if e.kind == "reply" and e.data.get("turn_id") == turn.turn_id]
    heard = [reply for reply in replies if reply.get("heard") != "none"]
    ends = [end for reply in heard if (end := _over(reply)) is not None]
    return {
        "id": turn.turn_id,
        "user_text": turn.user_text,
        "heard_text": turn.heard_text,
        "unheard_text": turn.unheard_text,
        "heard_words_ms": _word_times(turn, heard),
        "started_at_ms": turn.started_at_ms,
        "ended_at_ms": turn.ended_at_ms,
        "audible_at_ms": turn.timings.get("reply.audible"),
        "finished_at_ms": max(ends, default=None),
        "latency_ms": turn.latency_ms,
        "parts": [_part(part) for part in parts_of(turn, data)],
        "interrupted": any("reply.cancelled" in reply for reply in heard),
        "thrown_away": sum(reply.get("heard") == "none" for reply in replies),
        "requests": [_request(row) for row in sorted(asked, key=lambda row: row.usage.started_at_ms)],
        **money(asked),
    }


def _word_times(turn: TurnRow, replies: Iterable[Mapping[str, Any]]) -> list[int]:
    """Return when each word of the answer was heard; nothing where that is not known of every one."""
    times = [int(at_ms) for reply in replies for at_ms in reply.get("words", ())]
    return times if len(times) == len(turn.heard_text.split()) else []


def _part(part: Part) -> dict[str, Any]:
    return {
        "key": part.key,
        "title": TITLES[part.key],
        "owner": part.owner,
        "by": part.by,
        "at_ms": part.began_ms,
        "ms": part.ms,
        "means": MEANS[part.key],
        "advice": ADVICE[part.key],
    }


def _over(reply: Mapping[str, Any]) -> float | None:
    over = reply.get("reply.finished", reply.get("reply.cancelled"))
    return float(over) if over is not None else None


def _reply(event: EventRow) -> dict[str, Any]:
    reply = event.data
    return {
        "reply_id": reply.get("reply_id"),
        "turn_id": reply.get("turn_id"),
        "heard": reply.get("heard"),
        "began_at_ms": event.at_ms,
        "audible_at_ms": reply.get("reply.audible"),
        "ended_at_ms": _over(reply),
    }


def _tool(event: EventRow) -> dict[str, Any]:
    names = ("tool", "arguments", "result", "outcome", "took_ms", "turn_id")
    return {"at_ms": event.at_ms, **{name: event.data.get(name) for name in names}}


def _picture(event: EventRow) -> dict[str, Any]:
    """Return a picture that was looked at; its time is its name."""
    return {"at_ms": int(event.at_ms), **{name: event.data.get(name) for name in ("source", "turn_id")}}


def _hand_over(event: EventRow) -> dict[str, Any]:
    names = ("giver", "to", "turn_id", "reply_id", "number")
    return {"at_ms": event.at_ms, **{name: event.data.get(name) for name in names}}


def _is_trouble(event: EventRow) -> bool:
    """Say whether something went wrong; the same events tell that all is well."""
    match event.kind:
        case "network.quality":
            return event.data.get("quality") in {"poor", "lost"}
        case "network.codec":
            return not event.data.get("usual")
        case "budget":
            return event.data.get("state") != "normal"
        case "mcp.connected" | "network.sound":
            return False
        case kind:
            return kind.startswith(TROUBLE)


def _event(event: EventRow) -> dict[str, Any]:
    return {"at_ms": event.at_ms, "kind": event.kind, "data": dict(event.data)}


def _request(row: LedgerRow) -> dict[str, Any]:
    used = row.usage
    return {
        "stage": used.stage,
        "model": _model(row),
        "began_at_ms": round(used.started_at_ms, 1),
        "ended_at_ms": round(used.ended_at_ms, 1),
        "outcome": used.outcome,
        "attempt": used.attempt,
        "purpose": used.purpose,
        "used": row.used,
        "estimated": used.estimated,
        "quantities": {unit: plain(amount) for unit, amount in used.quantities.items()},
        "cost_usd": None if row.cost is None else plain(row.cost),
    }


def _model(row: LedgerRow) -> str:
    return f"{row.usage.provider}:{row.usage.model}"


def money(rows: Sequence[LedgerRow]) -> dict[str, Any]:
    """Return the sums of requests."""
    return {
        "cost_usd": plain(sum((row.cost or _NOTHING for row in rows), _NOTHING)),
        "wasted_usd": plain(sum((row.cost or _NOTHING for row in rows if not row.used), _NOTHING)),
        "unpriced": sum(row.cost is None for row in rows),
    }


def stages(rows: Sequence[LedgerRow]) -> list[dict[str, Any]]:
    """Return the sums by stage and model, in the order the words travel."""
    groups: dict[tuple[str, str], list[LedgerRow]] = {}
    for row in rows:
        groups.setdefault((row.usage.stage, _model(row)), []).append(row)
    order = ("stt", "embedding", "llm", "tts")
    return [
        {
            "stage": stage,
            "model": model,
            "requests": len(group),
            "wasted_requests": sum(not row.used for row in group),
            "quantities": _summed(group),
            **money(group),
        }
        for (stage, model), group in sorted(
            groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1])
        )
    ]


def _summed(rows: Iterable[LedgerRow]) -> dict[str, str]:
    sums: dict[str, Decimal] = {}
    for row in rows:
        for unit, amount in row.usage.quantities.items():
            sums[unit] = sums.get(unit, _NOTHING) + amount
    return {unit: plain(amount) for unit, amount in sums.items()}


def plain(amount: Decimal) -> str:
    """Return a number without an exponent and without needless zeros."""
    return f"{amount.normalize():f}" if amount else "0"


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
