"""A store that is away costs a worker nothing but what it would have known, and is seen."""

from __future__ import annotations

from typing import cast

from repartee.errors import StoreError
from repartee.store import Seats
from repartee.worker.seating import Seating


class Store:
    """Seats whose store may be away."""

    def __init__(self) -> None:
        self.away = False

    def others(self, _: str) -> int:
        if self.away:
            raise StoreError("away")
        return 2


async def test_whether_the_database_answers_is_known_from_what_was_asked_last() -> None:
    store = Store()
    seating = Seating(cast("Seats", store), "me")
    known = []
    for store.away in (False, True, False):
        known.append((await seating.others(), seating.database_answers))
    assert known == [(2, True), (0, False), (2, True)]
