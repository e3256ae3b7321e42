"""`repartee costs`: what calls used and cost, by day, agent, stage, provider or call."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.console import Console

from repartee.cli.asking import checked_agent, columns, count, moment, near, opened_store, out, usd
from repartee.errors import ConfigError
from repartee.telemetry.usage import Unit

if TYPE_CHECKING:
    from repartee.store import CostLine

GROUPS = ("day", "agent", "stage", "provider", "call")
_USUAL = ("day", "agent", "stage", "provider")
_RIGHT = frozenset({"requests", "cost", "wasted", "per minute", "gate saved"})


def costs(
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="day (UTC), agent, stage, provider or call; may be repeated. All but call unless given."
        ),
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Only this agent.")] = None,
    since: Annotated[str | None, typer.Option(help="Only since then: 12h, 7d, 2026-09-30.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the table to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw it by the first group into this SVG file.")] = None,
    savings: Annotated[
        bool,
        typer.Option(
            "--savings", help="Hold the same calls again on the simulator, with and without all that saves."
        ),
    ] = False,
    calls: Annotated[int, typer.Option(min=1, help="With --savings: the newest so many calls.")] = 20,
) -> None:
    """Show what calls used and cost, how much of it nobody heard, and what was saved."""
    from repartee.cli.bars import bars  # noqa: PLC0415
    from repartee.store import Selection  # noqa: PLC0415

    if savings:
        _savings(agent, since, calls, csv_file, plot)
        return
    groups: Any = _groups(by)
    with opened_store() as store:
        chosen = Selection(checked_agent(store, agent), moment(since))
        lines, total = store.costs(groups, chosen), store.costs((), chosen)
        unpriced = store.unpriced(chosen)
        drawn = store.costs((groups[0], "stage"), chosen) if plot else []
    if not lines:
        out.print("nothing was paid for yet" if agent is since is None else "nothing was paid for there")
        return
    heads = (*groups, "requests", "quantity", "cost", "wasted", "per minute", "gate saved")
    columns(heads, map(_row, [*lines, *_total(total, len(groups))]), _RIGHT)
    if csv_file is not None:
        _write_csv(csv_file, groups, lines)
    if plot is not None:
        _write(plot, bars(f"Cost by {groups[0]}", drawn))
    _say_unpriced(unpriced)


def _savings(
    agent: str | None, since: str | None, calls: int, csv_file: Path | None, plot: Path | None
) -> None:
    from repartee.cli.bars import bars  # noqa: PLC0415
    from repartee.cli.savings import show_savings, table  # noqa: PLC0415

    with opened_store() as store:
        found = show_savings(store, checked_agent(store, agent), moment(since), calls)
    if csv_file is not None:
        _write_rows(csv_file, *table(found.lines, found.call_s))
    if plot is not None:
        _write(plot, bars("The same calls", found.bars))


def _groups(by: list[str] | None) -> tuple[str, ...]:
    for name in by or ():
        if name not in GROUPS:
            raise ConfigError(f"--by cannot be '{name}'{near(name, GROUPS)}")
    return tuple(dict.fromkeys(by)) if by else _USUAL


def _total(total: Sequence[CostLine], groups: int) -> list[CostLine]:
    return [replace(line, key=("all", *[""] * (groups - 1))) for line in total]


def _row(line: CostLine) -> tuple[str, ...]:
    cost = usd(line.cost)
    if line.unpriced:
        cost = (
            f"{line.unpriced} UNKNOWN"
            if line.unpriced == line.requests
            else f"{cost} + {line.unpriced} UNKNOWN"
        )
    per_minute = usd(line.per_minute) + (" + ?" if line.unpriced and line.per_minute is not None else "")
    wasted = f"{line.wasted_share:.0%}" if line.cost else "-"
    keys = (key or "(no call)" for key in line.key) if line.key[0] != "all" else line.key
    return (*keys, str(line.requests), _quantity(line), cost, wasted, per_minute, usd(line.gate_saved))


def _quantity(line: CostLine) -> str:
    used = line.quantities
    parts = []
    if seconds := used.get("audio_s"):
        of_calls = f" of {line.call_s / 60:.1f}" if line.call_s else ""
        parts.append(f"{seconds / 60:.1f}{of_calls} min")
    if "tokens_in" in used or "tokens_out" in used:
        cached = f" ({used['tokens_cached']:,.0f} cached)" if used.get("tokens_cached") else ""
        parts.append(f"{used.get('tokens_in', 0):,.0f}{cached} + {used.get('tokens_out', 0):,.0f} tokens")
        if sound := used.get("audio_tokens_in", 0) + used.get("audio_tokens_out", 0):
            parts.append(f"{sound:,.0f} of them audio")
    if characters := used.get("characters"):
        parts.append(f"{characters:,.0f} chars")
    return ", ".join(parts) or "-"


def _write_csv(file: Path, groups: Sequence[str], lines: Sequence[CostLine]) -> None:
    units = get_args(Unit)
    money = ("cost_usd", "wasted_usd", "unknown_prices", "call_s", "usd_per_minute", "gate_saved_usd")
    rows = []
    for line in lines:
        # A sum that lacks a part is marked in `unknown_prices`; one that has no part is empty, not zero.
        known = line.unpriced < line.requests
        rows.append(
            [
                *line.key,
                line.requests,
                *(_plain(line.quantities.get(unit)) for unit in units),
                *([_plain(line.cost), _plain(line.wasted)] if known else ["", ""]),
                line.unpriced,
                round(line.call_s, 3),
                _plain(line.per_minute) if known else "",
                _plain(line.gate_saved),
            ]
        )
    _write_rows(file, [*groups, "requests", *units, *money], rows)


def _write_rows(file: Path, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    try:
        with file.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened)
            writer.writerow(heads)
            writer.writerows(rows)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
    out.print(f"wrote {file}", markup=False, soft_wrap=True)


def _plain(amount: Decimal | None) -> str:
    return "" if amount is None else f"{round(amount, 9).normalize():f}"


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
    out.print(f"wrote {file}", markup=False, soft_wrap=True)


def _say_unpriced(unpriced: list[tuple[str, int]]) -> None:
    """Say on stderr which prices are missing: a cost that leaves them out must not look whole."""
    if not unpriced:
        return
    loud = Console(stderr=True, highlight=False)
    requests = sum(number for _, number in unpriced)
    said = f"in no sum above, because their price is not known: {count(requests, 'request')}"
    loud.print(f"\n[bold red]{said}[/bold red]")
    for model, number in unpriced:
        loud.print(f"[red]  {model}  {count(number, 'request')}[/red]", soft_wrap=True)
    loud.print(
        "[red]add their prices to the file that REPARTEE_PRICES names (docs/costs.md)[/red]", soft_wrap=True
    )
