"""Acts: what the tools of a call have changed, told before it is done.

An agent that dies in the middle of an act leaves word that it had begun. Whoever takes the call over finds it, and of
two agents that would do the same in one call only one gets to.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from repartee.store import schema
from repartee.store.seats import FORGOTTEN_S, database_now_s
from repartee.store.store import Store
from repartee.store.writing import insert_or


@dataclass(frozen=True, slots=True)
class Act:
    """Something a tool has changed, or had begun to change.

    Attributes:
        key: The act's idempotency key.
        tool: The tool's name.
        done: False where its end was never told: it may be done or not.
    """

    key: str
    tool: str
    done: bool


class Acts:
    """The acts of all calls that share a database. Methods block, and raise `StoreError`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, call_id: str, key: str, tool: str, epoch: int) -> bool:
        """Say that an act is about to be done.

        Args:
            call_id: The call.
            key: The act's idempotency key.
            tool: The tool's name.
            epoch: Of the agent that would do it; its own act that failed it may try again.

        Returns:
            Whether it may be done; False where another agent of this call has begun or done it.
        """
        acts = schema.acts
        with self._store.connection(writes=True) as connection:
            now_s = database_now_s(connection)
            connection.execute(delete(acts).where(acts.c.at < now_s - FORGOTTEN_S))
            values = {"tool": tool, "epoch": epoch, "done": False, "at": now_s}
            statement = insert_or(connection, acts).values(call_id=call_id, key=key, **values)
            mine = (acts.c.epoch == epoch) & ~acts.c.done
            told = statement.on_conflict_do_update(
                index_elements=["call_id", "key"], set_=values, where=mine
            ).returning(acts.c.key)
            return connection.execute(told).first() is not None

    def done(self, call_id: str, key: str, undone: Collection[str] = ()) -> None:
        """Say that an act is done.

        Args:
            call_id: The call.
            key: The act's idempotency key.
            undone: Tools whose acts in this call it has made void.
        """
        acts = schema.acts
        with self._store.connection(writes=True) as connection:
            if undone:
                void = (acts.c.call_id == call_id) & acts.c.tool.in_(undone)
                connection.execute(delete(acts).where(void))
            mine = (acts.c.call_id == call_id) & (acts.c.key == key)
            connection.execute(update(acts).where(mine).values(done=True))

    def failed(self, call_id: str, key: str, epoch: int) -> None:
        """Say that nothing came of an act: whoever has the call may try it again."""
        acts = schema.acts
        mine = (acts.c.call_id == call_id) & (acts.c.key == key) & (acts.c.epoch == epoch)
        with self._store.connection(writes=True) as connection:
            connection.execute(delete(acts).where(mine))

    def of_call(self, call_id: str) -> list[Act]:
        """Return the acts of a call, oldest first."""
        acts = schema.acts
        with self._store.connection() as connection:
            rows = connection.execute(select(acts).where(acts.c.call_id == call_id).order_by(acts.c.at)).all()
        return [Act(row.key, row.tool, row.done) for row in rows]
