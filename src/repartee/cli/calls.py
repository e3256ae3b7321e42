"""`repartee calls`, `forget`, `export`: what is kept of calls and of callers."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from repartee.cli.asking import (
    checked_agent,
    columns,
    count,
    length,
    local,
    moment,
    near,
    opened_store,
    out,
    usd,
)
from repartee.cli.environment import read_settings
from repartee.errors import ConfigError

if TYPE_CHECKING:
    from repartee.store import CallSummary, LedgerRow, Store, TurnRow

CALLBACK = "callback.wanted"
"""The event of a call that was ended because no answer could be made."""
app = typer.Typer(help="List calls, show one, make a test of one, erase old ones.")
SPANS = frozenset(("reply", "speech"))
"""Events that say from when to when somebody spoke: for drawing, not for reading."""
AgentOption = Annotated[str | None, typer.Option(help="Only calls of this agent.")]
SinceOption = Annotated[str | None, typer.Option(help="Only since then: 12h, 7d, 2026-09-30.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CallerArgument = Annotated[str, typer.Argument(help="The caller's id.")]


@app.callback(invoke_without_command=True)
def calls(
    context: typer.Context,
    agent: AgentOption = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    callbacks: Annotated[
        bool,
        typer.Option("--callbacks", help="Only calls that ended for want of an answer: whom to call back."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List calls, the newest first; `repartee calls show ID` shows one."""
    if context.invoked_subcommand is not None:
        return
    with opened_store() as store:
        wanted = CALLBACK if callbacks else None
        found = store.calls(limit, checked_agent(store, agent), moment(since), event=wanted)
    if as_json:
        _json([_as_dict(summary) for summary in found])
    elif not found:
        out.print("no calls yet" if agent is since is None and not callbacks else "no such calls")
    else:
        heads = ("started", "agent", "caller", "length", "turns", "cost", "ended", "id")
        columns(heads, map(_line, found), frozenset({"length", "turns", "cost"}))


@app.command()
def show(
    call_id: Annotated[str, typer.Argument(metavar="ID", help="The call, or how its id begins.")],
    as_json: JsonOption = False,
) -> None:
    """Show a call: every turn with what was heard and what was not, its latency and its cost."""
    with opened_store() as store:
        summary = _find(store, call_id)
        found = summary.call.call_id
        turns, events, bill = store.turns(found), store.events(found), store.usage_rows(call_id=found)
    if as_json:
        listed: dict[str, Sequence[Any]] = {"turns": turns, "events": events, "requests": bill}
        _json(_as_dict(summary) | {name: [_fields(row) for row in rows] for name, rows in listed.items()})
        return
    _print_head(summary, bill)
    for turn in turns:
        _print_turn(turn, [row for row in bill if row.usage.turn_id == turn.turn_id])
    known = {turn.turn_id for turn in turns}
    if rest := [row for row in bill if row.usage.turn_id not in known]:
        out.print(f"\nfor no turn: {_cost_of(rest)}")
    for event in events:
        if event.kind in SPANS:
            continue
        out.print(
            Text(f"\n{event.at_ms / 1000:.1f} s  {event.kind}  {json.dumps(event.data, ensure_ascii=False)}"),
            soft_wrap=True,
        )


@app.command(name="test")
def make_test(
    call_id: Annotated[str, typer.Argument(metavar="ID", help="The call, or how its id begins.")],
    file: Annotated[Path | None, typer.Option("--out", help="Write it to this file.")] = None,
) -> None:
    """Make a test of a call: a scenario that `repartee eval` holds with the agent again."""
    from repartee.server.call_view import call_view, read_call  # noqa: PLC0415 - it loads the audio libraries
    from repartee.server.exports import has_test, scenario  # noqa: PLC0415

    with opened_store() as store:
        found = _find(store, call_id).call.call_id
        data = read_call(store, found)
    if data is None or not has_test(view := call_view(data)):
        raise ConfigError(
            f"no words of the caller are kept of call {found}, so there is nothing to test with"
        )
    if file is None:
        sys.stdout.write(scenario(view))
        return
    _written(file, scenario(view))


@app.command()
def purge(
    keep_days: Annotated[
        int | None, typer.Option(min=1, help="Days that are kept; REPARTEE_KEEP_DAYS unless given.")
    ] = None,
) -> None:
    """Erase what was said in old calls, and by whom; their figures stay."""
    days = read_settings(keep_days=keep_days).keep_days
    with opened_store() as store:
        changed = store.purge(datetime.now(UTC) - timedelta(days=days))
        _erase_files(store)
    out.print(f"older than {days} days: {count(changed, 'row')} erased")


def forget(
    caller: CallerArgument, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Erase what is known of a caller and what was said in the caller's calls; figures and bill stay."""
    with opened_store() as store:
        _check_caller(store, caller)
        facts, theirs = store.caller_facts(caller), store.calls(None, caller_id=caller)
        known, said = count(len(facts), "fact"), count(len(theirs), "call")
        if not yes:
            typer.confirm(f"Erase {known} about '{caller}' and what was said in {said}?", abort=True)
        changed = store.forget_caller(caller)
        _erase_files(store)
    out.print(f"forgot '{caller}': {count(changed, 'row')} erased", markup=False, soft_wrap=True)
    recent = datetime.now(UTC) - timedelta(days=1)
    if any(summary.call.ended_at is None and summary.call.started_at > recent for summary in theirs):
        hint = "a call of this caller has no end yet; if it goes on, run this again when it is over"
        out.print(f"[yellow]{hint}: facts learned in it are remembered[/yellow]", soft_wrap=True)


def export(
    caller: CallerArgument,
    file: Annotated[Path | None, typer.Option("--out", help="Write it to this file.")] = None,
) -> None:
    """Print everything that is kept of a caller, as JSON."""
    with opened_store() as store:
        _check_caller(store, caller)
        kept = store.export_caller(caller)
    if file is None:
        _json(kept)
        return
    _written(file, json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def _written(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
    out.print(f"wrote {file}", markup=False, soft_wrap=True)


def _erase_files(store: Store) -> None:
    """Delete the recordings and timelines on this machine whose calls' words are gone."""
    from repartee.cli.kept_calls import erase_files_of_calls  # noqa: PLC0415 - it loads what takes calls

    settings = read_settings()
    try:
        recordings, timelines = erase_files_of_calls(store, settings)
    except OSError as error:
        raise ConfigError(
            f"a file of a call in {settings.state_dir} cannot be deleted: {error.strerror}"
        ) from error
    if recordings or timelines:
        out.print(f"{count(recordings, 'recording')} and {count(timelines, 'timeline')} deleted")


# --- finding --------------------------------------------------------------------------------------------------


def _find(store: Store, call_id: str) -> CallSummary:
    ids = store.call_ids(call_id)
    if call_id in ids or len(ids) == 1:
        summary = store.call(call_id if call_id in ids else ids[0])
        if summary is not None:
            return summary
    if len(ids) > 1:
        few = ", ".join(ids[:5])
        raise ConfigError(f"{len(ids)} calls begin with '{call_id}'; write more of the id: {few}")
    raise ConfigError(f"there is no call '{call_id}'{near(call_id, store.call_ids())}")


def _check_caller(store: Store, caller: str) -> None:
    known = store.caller_ids()
    if caller not in known:
        raise ConfigError(f"nothing is kept of a caller '{caller}'{near(caller, known)}")


# --- printing -------------------------------------------------------------------------------------------------


def _line(summary: CallSummary) -> tuple[Any, ...]:
    call = summary.call
    cost = usd(summary.cost) + ("+?" if summary.unpriced else "")
    return (
        local(call.started_at),
        call.agent or "?",
        call.caller_id or "-",
        length(call.call_s),
        summary.turns,
        cost,
        call.reason or ("-" if call.ended_at else "no end"),
        call.call_id,
    )


def _print_head(summary: CallSummary, bill: list[LedgerRow]) -> None:
    call = summary.call
    facts = [f"agent {call.agent or '?'} {call.agent_version}", f"started {local(call.started_at)}"]
    facts.append(
        f"{length(call.call_s)}, {call.reason}" if call.ended_at else "no end: it goes on, or it crashed"
    )
    if call.caller_id:
        facts.append(f"caller {call.caller_id}")
    if call.speech_s is not None:
        facts.append(f"spoke {call.speech_s:.1f} s")
    wasted = sum((row.cost or Decimal(0) for row in bill if not row.used), Decimal(0))
    cost = f"{count(len(bill), 'request')}, {usd(summary.cost)}, of it {usd(wasted)} for what was not heard"
    out.print(Text(call.call_id, style="bold"), soft_wrap=True)
    out.print(Text("; ".join(facts)), soft_wrap=True)
    out.print(cost, soft_wrap=True)
    if summary.unpriced:
        unknown = count(summary.unpriced, "unknown price")
        out.print(f"[red]{unknown}; see `repartee costs`[/red]", soft_wrap=True)


def _print_turn(turn: TurnRow, bill: list[LedgerRow]) -> None:
    latency = "no answer" if turn.latency_ms is None else f"{turn.latency_ms:.0f} ms"
    said_first = turn.turn_id == 0
    facts = [*([] if said_first else [latency]), _cost_of(bill)]
    out.print(Text(f"\n{'greeting' if said_first else turn.turn_id}  {', '.join(facts)}", style="dim"))
    if not (turn.user_text or turn.heard_text or turn.unheard_text):
        out.print("  no words are kept")
    if turn.user_text:
        out.print(Text.assemble(("  caller  ", "bold"), turn.user_text), soft_wrap=True)
    if turn.heard_text or turn.unheard_text:
        parts: list[Any] = [("  agent   ", "bold"), turn.heard_text]
        if turn.unheard_text:
            parts.append((f"{' ' if turn.heard_text else ''}[not heard: {turn.unheard_text}]", "dim"))
        out.print(Text.assemble(*parts), soft_wrap=True)


def _cost_of(bill: list[LedgerRow]) -> str:
    unpriced = sum(row.cost is None for row in bill)
    cost = usd(sum((row.cost or Decimal(0) for row in bill), Decimal(0)))
    return f"{cost} and {count(unpriced, 'unknown price')}" if unpriced else cost


def _as_dict(summary: CallSummary) -> dict[str, Any]:
    return {
        **_fields(summary.call),
        "turn_count": summary.turns,
        "cost_usd": _plain(summary.cost),
        "unpriced": summary.unpriced,
    }


def _fields(row: Any) -> dict[str, Any]:
    return {name: _ready(getattr(row, name)) for name in row.__dataclass_fields__}


def _ready(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case Decimal():
            return _plain(value)
        case Mapping():
            return {key: _ready(inner) for key, inner in value.items()}
        case _:
            return _fields(value) if is_dataclass(value) else value


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
