"""The database of calls while `up`, `serve` or `worker` run: it must answer at the start; old words are erased."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import structlog

from repartee.errors import StoreError
from repartee.providers.prices import cost_of, load_prices
from repartee.session.keeping import Keeping
from repartee.session.kept_files import PICTURES, RECORDINGS, TIMELINES, erase_files
from repartee.settings import Settings
from repartee.store import LedgerRow, Store
from repartee.telemetry.usage import ReportUsage, Usage

log = structlog.get_logger()
DAY_S = 24 * 3600.0
CLOSE_S = 5.0


@contextlib.asynccontextmanager
async def kept_calls(settings: Settings, *, worker: bool) -> AsyncIterator[Keeping]:
    """Open the database and the prices; a worker brings in what dead calls left behind, and erases what is old.

    Raises:
        ConfigError: The address, the tables or the file of prices cannot be used.
        StoreError: The database does not answer.
    """
    prices = load_prices(settings.prices)
    store = await asyncio.to_thread(Store.open, settings.store_url, spool=settings.spool_dir)
    erasing: asyncio.Task[None] | None = None
    try:
        if worker:
            await asyncio.to_thread(store.replay)
            daily = erase_daily(store, settings)
            erasing = asyncio.create_task(daily, name="erase")
        yield Keeping(store, prices)
    finally:
        if erasing is not None:
            erasing.cancel()
            await asyncio.gather(erasing, return_exceptions=True)
        await asyncio.to_thread(store.close)


async def erase_daily(store: Store, settings: Settings, every_s: float = DAY_S) -> None:
    """Erase words, recordings and timelines of calls that are too old, now and once a day, until cancelled."""
    while True:
        try:
            before = datetime.now(UTC) - timedelta(days=settings.keep_days)
            erased = await asyncio.to_thread(store.purge, before)
            recordings, timelines = await asyncio.to_thread(erase_files_of_calls, store, settings)
            log.info(
                "store.erased",
                rows=erased,
                recordings=recordings,
                timelines=timelines,
                older_than_days=settings.keep_days,
            )
        except (StoreError, OSError) as error:
            log.warning("store.not_erased", error=str(error))
        await asyncio.sleep(every_s)


def erase_files_of_calls(store: Store, settings: Settings) -> tuple[int, int]:
    """Delete this machine's recordings and timelines of calls whose words are gone; return how many of each. Blocks.

    Pictures that were looked at in a call are of its recording, and not counted.

    Raises:
        OSError: One cannot be deleted.
        StoreError: The database does not answer.
    """
    erase_files(settings.recordings_dir, PICTURES, store.words_kept)
    recordings = erase_files(settings.recordings_dir, RECORDINGS, store.words_kept)
    return recordings, erase_files(settings.timelines_dir, TIMELINES, store.words_kept)


@contextlib.asynccontextmanager
async def bill_of_no_call(kept: Keeping, agent: str) -> AsyncIterator[ReportUsage]:
    """Take what is used outside of calls, such as audio made ahead, and write it into the store's bill."""
    writer = kept.store.writer("no call")

    def report(usage: Usage) -> None:
        cost, used = cost_of(kept.prices, usage), usage.outcome == "done"
        writer.usage(LedgerRow(usage, None, agent, datetime.now(UTC), kept.prices.version, cost, used))

    try:
        yield report
    finally:
        await asyncio.to_thread(writer.close, CLOSE_S)
