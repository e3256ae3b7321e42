"""What a session process keeps for all of its calls: the database, and the prices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from repartee.providers.prices import PriceTable, load_prices
from repartee.settings import Settings
from repartee.store import Store


@dataclass(frozen=True, slots=True)
class Keeping:
    """The database of calls and the price table."""

    store: Store
    prices: PriceTable


def keeping(settings: Settings) -> Keeping:
    """Return them, opened once in this process. Blocks the first time; the database need not answer.

    Raises:
        ConfigError: The address of the database or the file of prices is wrong.
    """
    return _opened(settings.store_url, settings.spool_dir, settings.prices)


@lru_cache(maxsize=1)
def _opened(url: str, spool: Path, prices: Path | None) -> Keeping:
    return Keeping(Store.open(url, spool=spool, must_answer=False), load_prices(prices))
