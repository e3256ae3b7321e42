"""What is kept of calls: who called when, what was said and heard, what it cost."""

from repartee.store.acts import Act, Acts
from repartee.store.reading import CallSummary, CostLine, Selection
from repartee.store.rows import CallEnd, CallerFact, CallRow, EventRow, LedgerRow, Row, TurnRow
from repartee.store.search import CallQuery, DayStats, FoundCall
from repartee.store.seats import Held, Seating, Seats
from repartee.store.store import Store
from repartee.store.writer import CallWriter, OnTrouble, Trouble

__all__ = [
    "Act",
    "Acts",
    "CallEnd",
    "CallQuery",
    "CallRow",
    "CallSummary",
    "CallWriter",
    "CallerFact",
    "CostLine",
    "DayStats",
    "EventRow",
    "FoundCall",
    "Held",
    "LedgerRow",
    "OnTrouble",
    "Row",
    "Seating",
    "Seats",
    "Selection",
    "Store",
    "Trouble",
    "TurnRow",
]
