"""The front desk's calendar: real appointments in a small SQLite file.

Slots are 20 minutes, Monday to Friday, 8:00 to 18:00. A slot is booked once; booking the same slot for the same
name again is the same booking, so a repeated request does no harm. What takes something away asks the caller first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta

from repartee import ToolContext, ToolError, tool

OPENS, CLOSES, SLOT = time(8, 0), time(18, 0), timedelta(minutes=20)
SCHEMA = """
CREATE TABLE IF NOT EXISTS appointments (
    starts_at TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    booked_in_call TEXT NOT NULL,
    booked_at TEXT NOT NULL
)
"""


@tool(says="One moment, I look at the calendar.")
def free_slots(ctx: ToolContext, day: date, around: time = time(8, 0)) -> str:
    """Find free appointments on a day.

    Args:
        day: The day, as YYYY-MM-DD.
        around: The time of day wanted, as HH:MM.
    """
    with _calendar(ctx) as db:
        free = list(_free(db, day, around, 3))
    if not free:
        return f"There is nothing free on {_say_day(day)}." + _next_free(ctx, day)
    return f"On {_say_day(day)} there is {_say_list([_say_time(start) for start in free])}."


@tool(side_effect=True)
def book_appointment(ctx: ToolContext, name: str, day: date, at: time) -> str:
    """Book an appointment for a patient.

    Args:
        name: The patient's full name.
        day: The day, as YYYY-MM-DD.
        at: The time, as HH:MM.
    """
    start = datetime.combine(day, at)
    with _calendar(ctx) as db:
        _check_open(start)
        try:
            db.execute(
                "INSERT INTO appointments VALUES (?, ?, ?, ?)",
                (start.isoformat(), name.strip(), ctx.call_id, datetime.now().isoformat()),
            )
        except sqlite3.IntegrityError:
            taken_by = db.execute(
                "SELECT name FROM appointments WHERE starts_at = ?", (start.isoformat(),)
            ).fetchone()[0]
            if taken_by.casefold() != name.strip().casefold():
                others = [_say_time(free) for free in _free(db, day, at, 2)]
                offer = f" I could offer {_say_list(others)}." if others else _next_free(ctx, day)
                raise ToolError(f"{_say_time(start)} on {_say_day(day)} is taken.{offer}") from None
    return f"{name.strip()} is booked for {_say_day(day)} at {_say_time(start)}."


@tool
def find_appointment(ctx: ToolContext, name: str) -> str:
    """Look up a patient's coming appointments.

    Args:
        name: The patient's full name.
    """
    with _calendar(ctx) as db:
        starts = [datetime.fromisoformat(row[0]) for row in _coming(db, name)]
    if not starts:
        return f"I can't find an appointment for {name}."
    said = _say_list([f"{_say_day(start.date())} at {_say_time(start)}" for start in starts])
    return f"{name} has an appointment on {said}."


@tool(
    side_effect=True,
    confirm="I'll move the next appointment of {name} to {day} at {at}. Is that right?",
    undoes=("book_appointment", "cancel_appointment", "move_appointment"),
)
def move_appointment(ctx: ToolContext, name: str, day: date, at: time) -> str:
    """Move a patient's next appointment to another day or time.

    Args:
        name: The patient's full name.
        day: The new day, as YYYY-MM-DD.
        at: The new time, as HH:MM.
    """
    start = datetime.combine(day, at)
    with _calendar(ctx) as db:
        row = next(iter(_coming(db, name)), None)
        if row is None:
            raise ToolError(f"I can't find an appointment for {name}.")
        _check_open(start)
        try:
            db.execute(
                "UPDATE appointments SET starts_at = ? WHERE starts_at = ?", (start.isoformat(), row[0])
            )
        except sqlite3.IntegrityError:
            others = [_say_time(free) for free in _free(db, day, at, 2)]
            offer = f" I could offer {_say_list(others)}." if others else ""
            raise ToolError(f"{_say_time(start)} on {_say_day(day)} is taken.{offer}") from None
    return f"The appointment of {name.strip()} is now on {_say_day(day)} at {_say_time(start)}."


@tool(
    side_effect=True,
    confirm="I'll cancel the next appointment of {name}. Is that right?",
    undoes=("book_appointment", "move_appointment"),
)
def cancel_appointment(ctx: ToolContext, name: str) -> str:
    """Cancel a patient's next appointment.

    Args:
        name: The patient's full name.
    """
    with _calendar(ctx) as db:
        row = next(iter(_coming(db, name)), None)
        if row is None:
            raise ToolError(f"I can't find an appointment for {name}.")
        db.execute("DELETE FROM appointments WHERE starts_at = ?", (row[0],))
    start = datetime.fromisoformat(row[0])
    return f"The appointment on {_say_day(start.date())} at {_say_time(start)} is cancelled."


@contextmanager
def _calendar(ctx: ToolContext) -> Iterator[sqlite3.Connection]:
    ctx.data_dir.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(ctx.data_dir / "calendar.db", timeout=5)
    try:
        db.execute(SCHEMA)
        with db:
            yield db
    finally:
        db.close()


def _check_open(start: datetime) -> None:
    if start < datetime.now():
        raise ToolError("That time is already past.")
    last = (datetime.combine(start.date(), CLOSES) - SLOT).time()
    if start.weekday() >= 5:
        raise ToolError(f"We are closed on {start:%A}s. We are open Monday to Friday, eight to six.")
    if not OPENS <= start.time() <= last:
        raise ToolError("We see patients from eight in the morning to six in the evening.")
    if start.minute % 20:
        raise ToolError("Appointments start on the hour, at twenty past, or at twenty to.")


def _free(db: sqlite3.Connection, day: date, around: time, count: int) -> Iterator[datetime]:
    if day.weekday() >= 5:
        return
    taken = {row[0] for row in db.execute("SELECT starts_at FROM appointments")}
    start, end = datetime.combine(day, OPENS), datetime.combine(day, CLOSES)
    slots = []
    while start < end:
        if start > datetime.now() and start.isoformat() not in taken:
            slots.append(start)
        start += SLOT
    wanted = datetime.combine(day, around)
    yield from sorted(sorted(slots, key=lambda slot: abs(slot - wanted))[:count])


def _next_free(ctx: ToolContext, after: date) -> str:
    with _calendar(ctx) as db:
        for days in range(1, 15):
            day = after + timedelta(days=days)
            if first := next(_free(db, day, OPENS, 1), None):
                return f" The next free appointment is {_say_day(day)} at {_say_time(first)}."
    return ""


def _coming(db: sqlite3.Connection, name: str) -> list[tuple[str]]:
    return db.execute(
        "SELECT starts_at FROM appointments WHERE lower(name) = lower(?) AND starts_at > ? ORDER BY starts_at",
        (name.strip(), datetime.now().isoformat()),
    ).fetchall()


def _say_day(day: date) -> str:
    return f"{day:%A}, {day:%B} {day.day}"


def _say_time(start: datetime) -> str:
    hour = start.hour % 12 or 12
    half = "in the morning" if start.hour < 12 else "in the afternoon"
    return f"{hour}:{start.minute:02d} {half}" if start.minute else f"{hour} {half}"


def _say_list(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"
