"""What a session process keeps for all of its calls: the database, the prices, and how its providers do."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from repartee.providers.health import Health, open_health
from repartee.providers.prices import PriceTable, load_prices
from repartee.settings import Settings
from repartee.store import Store


@dataclass(frozen=True, slots=True)
class Keeping:
    """The database of calls, the price table, and what is known of the providers."""

    store: Store
    prices: PriceTable
    health: Health = field(default_factory=Health)


def keeping(settings: Settings) -> Keeping:
    """Return them, opened once in this process. Blocks the first time; the database need not answer.

    Raises:
        ConfigError: The address of the database or the file of prices is wrong.
    """
    redis = settings.redis_url.get_secret_value() if settings.redis_url is not None else None
    return _opened(settings.store_url, settings.spool_dir, settings.prices, settings.state_dir, redis)


@lru_cache(maxsize=1)
def _opened(url: str, spool: Path, prices: Path | None, state_dir: Path, redis_url: str | None) -> Keeping:
    store = Store.open(url, spool=spool, must_answer=False)
    return Keeping(store, load_prices(prices), open_health(state_dir, redis_url))
