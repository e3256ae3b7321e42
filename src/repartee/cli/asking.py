"""What the commands about calls share: opening the store, reading a time, writing columns."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from repartee.cli.environment import read_settings
from repartee.errors import ConfigError

if TYPE_CHECKING:
    from repartee.store import Store

out = Console(highlight=False)
_AGO = re.compile(r"^(\d{1,5})([mhdw])$")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@contextlib.contextmanager
def opened_store() -> Iterator[Store]:
    """Open the store of this environment, with what crashed calls left behind written to it."""
    from repartee.store import Store  # noqa: PLC0415 - SQLAlchemy takes a while
    from repartee.worker.logs import set_up_logs  # noqa: PLC0415

    set_up_logs("warning")
    settings = read_settings()
    store = Store.open(settings.store_url, spool=settings.spool_dir)
    try:
        store.replay()
        yield store
    finally:
        store.close()


def moment(text: str | None) -> datetime | None:
    """Return the time of `--since`: `7d`, `12h`, `2026-09-30` or `2026-09-30T14:00`.

    Raises:
        ConfigError: It is none of these.
    """
    if text is None:
        return None
    try:
        if ago := _AGO.match(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        # A day without a zone is a day of the clock on the wall, as everywhere on a command line.
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"'{text}' is no time; write it as 30m, 12h, 7d, 2026-09-30 or 2026-09-30T14:00"
        ) from error


def checked_agent(store: Store, agent: str | None) -> str | None:
    """Return the agent's name.

    Raises:
        ConfigError: No call and no bill has it.
    """
    if agent is not None and agent not in (known := store.agents()):
        raise ConfigError(f"there is no call of an agent '{agent}'{near(agent, known)}")
    return agent


def near(name: str, choices: Sequence[str]) -> str:
    """Return `; did you mean 'x'?`, or a few of the choices when none is near."""
    if close := difflib.get_close_matches(name, choices, n=1, cutoff=0.5):
        return f"; did you mean '{close[0]}'?"
    few = ", ".join(choices[:5])
    return f"; there are: {few}{', ...' if len(choices) > 5 else ''}" if choices else ""


def usd(amount: Decimal | None) -> str:
    """Return dollars, with as many digits as it takes to see something."""
    if amount is None:
        return "-"
    if amount < 0:
        return f"-{usd(-amount)}"
    if amount >= 100:
        return f"${amount:.2f}"
    if amount >= Decimal("0.00005") or not amount:
        return f"${amount:.4f}"
    return f"${round(amount, 9).normalize():f}"


def count(number: int, noun: str) -> str:
    """Return such as `1 call`, `2 calls`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def length(seconds: float | None) -> str:
    """Return a length of time such as `2:05`."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def local(at: datetime) -> str:
    """Return a time of this machine's clock."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def columns(heads: Sequence[str], rows: Iterable[Sequence[Any]], right: frozenset[str] = frozenset()) -> None:
    """Print a table; nothing is cut off, however narrow the terminal."""
    texts = [[str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *texts, strict=True)]
    for number, row in enumerate([list(heads), *texts]):
        cells = (
            cell.rjust(width) if head in right else cell.ljust(width)
            for head, cell, width in zip(heads, row, widths, strict=True)
        )
        out.print(Text("  ".join(cells).rstrip(), style="" if number else "bold"), soft_wrap=True)
