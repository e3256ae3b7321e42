"""Seats: who may come, which worker takes which call, and which of two agents is the one.

A seat is promised before a token is given out, taken by a worker when the call begins, kept by the process that
speaks as long as it says so every second, and given back at the end. One transaction decides each step, so a burst of
callers, two workers or an agent that was thought dead can never both have it. Times are the database's own.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)

from repartee.store import schema
from repartee.store.store import Store
from repartee.store.writing import insert_or

_LOCK = 0x7365_6174  # "seat": the advisory lock of PostgreSQL
WORKER_GONE_S = 10.0
"""A worker of whom nothing was heard for so long has no seats to give."""
FORGOTTEN_S = 24 * 3600.0
CALL_GONE_S = 60.0
"""A call of which nothing was heard for so long has left its seat: nobody has taken it over."""
_WHOSE: BindParameter[Any] = bindparam("whose", expanding=True)
# Put together once: each process says it of all its calls every second. Older SQLite knows no RETURNING.
_KEEP = update(schema.seats).where(tuple_(schema.seats.c.call_id, schema.seats.c.identity).in_(_WHOSE))
_OWNERS = select(schema.seats.c.call_id, schema.seats.c.epoch, schema.seats.c.identity).where(
    schema.seats.c.call_id.in_(_WHOSE)
)


@dataclass(frozen=True, slots=True)
class Held:
    """A call that somebody has.

    Attributes:
        room: The LiveKit room.
        call_id: The call.
        worker_id: Whose it is.
        identity: The agent's participant in the room, which no other agent ever has.
        epoch: The newest agent's; an older one is fenced off.
        silent_s: Since when nothing was heard of it.
        losses: How many agents it had lost in a row before its newest, each before it had it for long.
        kept_s: For how long its newest agent has kept it; 0 where no process ever did, and where it let go.
        worker_silent_s: For how long nothing was heard of its worker, and something was of another one.
    """

    room: str
    call_id: str
    worker_id: str
    identity: str
    epoch: int
    losses: int = 0
    silent_s: float = 0.0
    worker_silent_s: float = 0.0
    kept_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Seating:
    """How many seats there are, and how many are taken or promised."""

    seats: int
    taken: int

    @property
    def free(self) -> int:
        """How many more calls there may be."""
        return max(0, self.seats - self.taken)


class Seats:
    """The seats of all workers that share a database. Methods block, and raise `StoreError`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # --- workers ----------------------------------------------------------------------------------------------

    def announce(self, worker_id: str, seats: int, *, draining: bool = False) -> None:
        """Say that a worker is there and how many calls it takes in all."""
        with self._store.connection(writes=True) as connection:
            now_s = database_now_s(connection)
            long_gone = schema.workers.c.seen_at < now_s - FORGOTTEN_S
            connection.execute(delete(schema.workers).where(long_gone))
            values = {"worker_id": worker_id, "seats": seats, "draining": draining, "seen_at": now_s}
            statement = insert_or(connection, schema.workers).values(values)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["worker_id"],
                    set_={name: statement.excluded[name] for name in ("seats", "draining", "seen_at")},
                )
            )

    def withdraw(self, worker_id: str) -> None:
        """Say that a worker is gone. That there was one is remembered: nobody shall wait in vain for it."""
        self.announce(worker_id, 0, draining=True)

    def others(self, worker_id: str) -> int:
        """Return how many other workers take calls."""
        workers = schema.workers
        with self._store.connection() as connection:
            alive = workers.c.seen_at > database_now_s(connection) - WORKER_GONE_S
            counted = select(func.count()).where(alive, ~workers.c.draining, workers.c.worker_id != worker_id)
            return int(connection.execute(counted).scalar_one())

    # --- a call's seat, from the promise to the end -----------------------------------------------------------

    def promise(self, room: str, lease_s: float) -> Seating | None:
        """Promise a seat to whoever is about to join a room.

        Args:
            room: The room.
            lease_s: The promise holds for so long, unless a worker takes the call before.

        Returns:
            None when the seat is promised; how the seats are taken when there is none. Where no worker was ever heard
            of, workers have another database and seats are not counted.
        """
        with self._alone() as connection:
            now_s = database_now_s(connection)
            seating = _seating(connection, now_s)
            if not seating.free:
                known = connection.execute(select(func.count()).select_from(schema.workers)).scalar_one()
                return seating if known else None
            connection.execute(
                insert(schema.seats).values(room=room, epoch=0, seen_at=now_s, until=now_s + lease_s)
            )
        return None

    def seating(self) -> Seating:
        """Return how the seats are taken."""
        with self._alone() as connection:
            return _seating(connection, database_now_s(connection))

    def goes_on(self, room: str) -> bool | None:
        """Say whether a room's call goes on, begins, or is being taken over; None where seats are not counted."""
        seats, workers = schema.seats, schema.workers
        with self._store.connection() as connection:
            now_s = database_now_s(connection)
            kept = seats.c.seen_at >= now_s - CALL_GONE_S
            promised = seats.c.call_id.is_(None) & (seats.c.until >= now_s)
            mine = select(func.count()).where(
                seats.c.room == room, promised | (seats.c.call_id.is_not(None) & kept)
            )
            if connection.execute(mine).scalar_one():
                return True
            known = connection.execute(select(func.count()).select_from(workers)).scalar_one()
            return False if known else None

    def take(self, held: Held) -> int:
        """Take the seat of a call that begins, promised or not.

        Where the call has it already nothing is written: this comes late, and another agent may have the call by now.

        Returns:
            The call's epoch.
        """
        seats = schema.seats
        with self._alone() as connection:
            now_s = database_now_s(connection)
            found = connection.execute(
                select(seats.c.epoch, seats.c.call_id).where(seats.c.room == held.room)
            ).first()
            if found is not None and found.call_id == held.call_id:
                return int(found.epoch)
            epoch = (found.epoch if found is not None else 0) + 1
            values = {**_whose(held), "epoch": epoch, "seen_at": now_s, "until": now_s}
            statement = insert_or(connection, seats).values(room=held.room, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["room"], set_=values))
        return epoch

    def promised(self, old_s: float) -> list[str]:
        """Return the rooms whose seats were promised so long ago or longer, and that no worker has taken."""
        seats = schema.seats
        with self._store.connection() as connection:
            now_s = database_now_s(connection)
            untaken = seats.c.call_id.is_(None) & (seats.c.until >= now_s)
            return list(
                connection.execute(
                    select(seats.c.room).where(untaken, seats.c.seen_at <= now_s - old_s)
                ).scalars()
            )

    def take_promised(self, held: Held) -> int | None:
        """Take a seat that was promised to whoever is in a room, and that no worker has taken.

        Returns:
            The call's epoch; None when somebody else was faster, or the promise has run out.
        """
        seats = schema.seats
        with self._store.connection(writes=True) as connection:
            now_s = database_now_s(connection)
            values = {**_whose(held), "epoch": seats.c.epoch + 1, "seen_at": now_s, "until": now_s}
            mine = (seats.c.room == held.room) & seats.c.call_id.is_(None)
            if not connection.execute(update(seats).where(mine).values(values)).rowcount:
                return None
            return int(
                connection.execute(select(seats.c.epoch).where(seats.c.room == held.room)).scalar_one()
            )

    def take_over(self, held: Held, new: Held) -> int | None:
        """Take a call from an agent that is dead or thought dead; from then on the old one is fenced off.

        Returns:
            The new epoch; None when somebody else was faster.
        """
        seats = schema.seats
        with self._store.connection(writes=True) as connection:
            now_s = database_now_s(connection)
            changed = connection.execute(
                update(seats)
                .where(seats.c.room == held.room, seats.c.epoch == held.epoch)
                .values(**_whose(new), epoch=held.epoch + 1, seen_at=now_s, until=now_s)
            ).rowcount
        return held.epoch + 1 if changed else None

    def keep(self, calls: Collection[Held]) -> set[str]:
        """Say that these calls live.

        Whose a call is says the identity: an agent whose taking the store was slow to write may know another epoch
        than the store does. One that the store was away for takes its seat now, unless a newer one has it.

        Returns:
            The ids of those that are another agent's by now.
        """
        lost: set[str] = set()
        with self._store.connection(writes=True) as connection:
            now_s = database_now_s(connection)
            whose = [(held.call_id, held.identity) for held in calls]
            connection.execute(_KEEP, {"whose": whose, "seen_at": now_s})
            rows = connection.execute(_OWNERS, {"whose": [held.call_id for held in calls]})
            owners = {row.call_id: row for row in rows}
            for held in calls:
                owner = owners.get(held.call_id)
                if owner is not None and owner.identity == held.identity:
                    continue
                if (owner is not None and owner.epoch >= held.epoch) or not _claim(connection, held, now_s):
                    lost.add(held.call_id)
        return lost

    def holds(self, held: Held) -> bool:
        """Say whether an agent is still its room's own: nobody has taken the call over, or begun another there."""
        seats = schema.seats
        with self._store.connection() as connection:
            owner = connection.execute(
                select(seats.c.epoch, seats.c.identity).where(seats.c.room == held.room)
            ).first()
        return owner is None or owner.identity == held.identity or owner.epoch < held.epoch

    def let_go(self, held: Held) -> None:
        """Leave a call to whoever takes it over next; its seat stays. That it is left is no loss."""
        seats = schema.seats
        mine = (seats.c.call_id == held.call_id) & (seats.c.identity == held.identity)
        with self._store.connection(writes=True) as connection:
            long_ago = database_now_s(connection) - CALL_GONE_S / 2
            connection.execute(
                update(seats).where(mine).values(seen_at=long_ago, until=long_ago, losses=held.losses)
            )

    def give_back(self, room: str, epoch: int | None = None) -> None:
        """Free a seat; with an epoch only if nobody else has the call by now."""
        seats = schema.seats
        which = seats.c.room == room
        if epoch is not None:
            which &= seats.c.epoch <= epoch
        with self._store.connection(writes=True) as connection:
            connection.execute(delete(seats).where(which))

    def orphans(self, silent_s: float) -> list[Held]:
        """Return the calls of which nothing was heard for so long, the longest first."""
        seats, workers = schema.seats, schema.workers
        # Beside the others: where nobody can write, nobody is more silent than the rest.
        newest = select(func.max(workers.c.seen_at)).scalar_subquery()
        behind_s = func.coalesce(newest - workers.c.seen_at, 0.0).label("behind_s")
        with self._store.connection() as connection:
            now_s = database_now_s(connection)
            rows = connection.execute(
                select(seats, behind_s)
                .outerjoin(workers, workers.c.worker_id == seats.c.worker_id)
                .where(seats.c.call_id.is_not(None), seats.c.seen_at < now_s - silent_s)
                .order_by(seats.c.seen_at)
            ).all()
        return [
            Held(
                row.room,
                row.call_id,
                row.worker_id,
                row.identity,
                row.epoch,
                row.losses,
                now_s - row.seen_at,
                row.behind_s,
                row.seen_at - row.until,
            )
            for row in rows
        ]

    def _alone(self) -> _Alone:
        return _Alone(self._store)


class _Alone:
    """A transaction that no other of its kind runs beside: who counts must not be overtaken."""

    def __init__(self, store: Store) -> None:
        self._context = store.connection(writes=True)

    def __enter__(self) -> Connection:
        connection = self._context.__enter__()
        if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        return connection

    def __exit__(self, *error: object) -> bool | None:
        return self._context.__exit__(*error)  # type: ignore[arg-type]


def _seating(connection: Connection, now_s: float) -> Seating:
    """Count; what has run out is swept away first."""
    seats, workers = schema.seats, schema.workers
    connection.execute(delete(seats).where(seats.c.call_id.is_(None), seats.c.until < now_s))
    connection.execute(delete(seats).where(seats.c.seen_at < now_s - CALL_GONE_S, seats.c.until < now_s))
    alive = (workers.c.seen_at > now_s - WORKER_GONE_S) & ~workers.c.draining
    offered = connection.execute(
        select(func.coalesce(func.sum(workers.c.seats), 0)).where(alive)
    ).scalar_one()
    taken = connection.execute(select(func.count()).select_from(seats)).scalar_one()
    return Seating(int(offered), int(taken))


def _claim(connection: Connection, held: Held, now_s: float) -> bool:
    """Take the seat of a call that an older agent has in the store, or nobody: it was given up for lost.

    Returns:
        Whether it has it; not where another call has begun in its room.
    """
    values = {**_whose(held), "epoch": held.epoch, "seen_at": now_s, "until": now_s}
    statement = insert_or(connection, schema.seats).values(room=held.room, **values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["room"], set_=values, where=schema.seats.c.epoch < held.epoch
        )
    )
    whose = select(schema.seats.c.identity).where(schema.seats.c.room == held.room)
    return bool(connection.execute(whose).scalar_one() == held.identity)


def _whose(held: Held) -> dict[str, Any]:
    return {
        "call_id": held.call_id,
        "worker_id": held.worker_id,
        "identity": held.identity,
        "losses": held.losses,
    }


def database_now_s(connection: Connection) -> float:
    """Return the database's own clock, seconds: machines disagree about the time."""
    if connection.dialect.name == "postgresql":
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return time.time()
