"""What all machines know of the providers together, through Redis: a stream for the journal, sorted sets for places.

No call waits for Redis. What is found out goes to the machine's own journal first, and to the stream from a thread;
what others found out comes in by another. While Redis is away each machine goes by what it knows itself, and its
places are not counted among all.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import redis
import structlog

from repartee.providers.deadline import Clock
from repartee.providers.shared import MAX_UNREAD, Found, Journal, parsed

log = structlog.get_logger()
STREAM = "repartee:providers"
SLOTS = "repartee:slots:"
KEPT_RECORDS = 4096
HISTORY_S = 300
"""A process that starts reads so far back: no breaker stays open for longer without a new reason."""
MAX_WAITING = 1024
"""Records on their way out; more are dropped, oldest first."""
BLOCK_S = 1.0
ANSWER_S = 0.1
"""A place is asked for so long; then there is one, as if nobody counted."""
AWAY_S = 2.0
BACKOFF_S = (0.2, 5.0)
SLOT_S = 120
"""A place that nobody gives back is free after this: its process has died."""
_TAKE = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""


class RedisFleet:
    """The journal and the slots of all machines.

    Args:
        url: As in REPARTEE_REDIS_URL.
        local: This machine's journal, which comes first.
        machine: Tells this machine's records from the others'.
        clock_s: The machine's monotonic clock; records of others are told on it.
    """

    def __init__(self, url: str, local: Journal, machine: str, clock_s: Clock = time.monotonic) -> None:
        self._local, self._machine, self._clock_s = local, machine, clock_s
        self._url = url
        self._orders: queue.Queue[tuple[str, ...] | None] = queue.Queue(MAX_WAITING)
        self._found: deque[Found] = deque(maxlen=MAX_UNREAD)
        self._closed = threading.Event()
        self.reading = threading.Event()
        """Set while others' records come in."""
        self._taker: Any = self._client(ANSWER_S)
        self._executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="redis-slots")
        self._away_until_s = 0.0
        self._threads = [
            threading.Thread(target=work, name=f"redis-{name}", daemon=True)
            for name, work in (("read", self._read), ("write", self._write))
        ]
        for thread in self._threads:
            thread.start()

    # --- the journal ------------------------------------------------------------------------------------------

    def append(self, found: Found) -> None:
        """Add a record; never raises, never waits."""
        self._local.append(found)
        self._order("record", json.dumps(asdict(found)), str(found.at_s - found.asked_at_s))

    def unread(self) -> list[Found]:
        """Return what was added since, here and elsewhere."""
        others = [self._found.popleft() for _ in range(len(self._found))]
        return [*self._local.unread(), *others]

    # --- slots ------------------------------------------------------------------------------------------------

    async def take(self, name: str, limit: int) -> Callable[[], None] | None:
        """Take a place among all machines; one that cannot be counted is free."""
        if self._clock_s() < self._away_until_s or self._closed.is_set():
            return _nothing
        member = uuid.uuid4().hex
        asking = self._executor.submit(self._take, name, limit, member)
        try:
            taken = await asyncio.wrap_future(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(lambda _: self._order("free", name, member))
            raise
        if taken is None:
            return _nothing
        return (lambda: self._order("free", name, member)) if taken else None

    def _take(self, name: str, limit: int, member: str) -> bool | None:
        try:
            return bool(self._taker.eval(_TAKE, 1, SLOTS + name, limit, member, SLOT_S))
        except redis.RedisError as error:
            self._away_until_s = self._clock_s() + AWAY_S
            log.warning("fleet.slots_away", error=type(error).__name__)
            return None

    # --- threads ----------------------------------------------------------------------------------------------

    def _order(self, *order: str) -> None:
        while not self._closed.is_set():
            try:
                self._orders.put_nowait(order)
            except queue.Full:
                try:
                    self._orders.get_nowait()
                except queue.Empty:
                    continue
            else:
                return

    def _write(self) -> None:
        client, wait_s = self._client(BLOCK_S), BACKOFF_S[0]
        while (order := self._orders.get()) is not None:
            try:
                if order[0] == "record":
                    fields = {"record": order[1], "age": order[2], "machine": self._machine}
                    client.xadd(STREAM, fields, maxlen=KEPT_RECORDS, approximate=True)
                else:
                    client.zrem(SLOTS + order[1], order[2])
                wait_s = BACKOFF_S[0]
            except redis.RedisError as error:
                # The record is lost to the others: by the time Redis is back it would be old.
                log.info("fleet.not_written", error=type(error).__name__)
                if self._closed.wait(wait_s):
                    return
                wait_s = min(BACKOFF_S[1], wait_s * 2)

    def _read(self) -> None:
        client, wait_s, at = self._client(BLOCK_S * 2), BACKOFF_S[0], ""
        while not self._closed.is_set():
            try:
                seconds, micros = client.time()
                offset_s = seconds + micros / 1e6 - self._clock_s()
                at = at or f"{int((seconds - HISTORY_S) * 1000)}-0"
                self.reading.set()
                for _, entries in client.xread({STREAM: at}, count=500, block=int(BLOCK_S * 1000)) or ():
                    for entry_id, fields in entries:
                        at = entry_id
                        self._take_in(entry_id, fields, offset_s)
                wait_s = BACKOFF_S[0]
            except redis.RedisError as error:
                if self.reading.is_set():
                    log.warning("fleet.away", error=type(error).__name__)
                self.reading.clear()
                self._closed.wait(wait_s)
                wait_s = min(BACKOFF_S[1], wait_s * 2)

    def _take_in(self, entry_id: str, fields: dict[str, str], offset_s: float) -> None:
        """Tell a record of another machine on this one's clock: Redis' time is the one all have."""
        found = parsed(fields.get("record", "").encode())
        if found is None or fields.get("machine") == self._machine:
            return
        try:
            at_s = min(self._clock_s(), int(entry_id.split("-", maxsplit=1)[0]) / 1000 - offset_s)
            age_s = float(fields.get("age", "0"))
        except ValueError:
            return
        self._found.append(replace(found, at_s=at_s, asked_at_s=at_s - age_s))

    def _client(self, answer_s: float) -> Any:
        return redis.Redis.from_url(
            self._url,
            decode_responses=True,
            socket_timeout=answer_s,
            socket_connect_timeout=min(1.0, answer_s),
            retry=None,
            health_check_interval=0,
        )

    def close(self) -> None:
        """End the threads, which may take a second."""
        self._closed.set()
        try:
            self._orders.put_nowait(None)
        except queue.Full:
            self._orders.get_nowait()
            self._orders.put_nowait(None)
        for thread in self._threads:
            thread.join(BLOCK_S * 3)
        self._executor.shutdown(wait=False, cancel_futures=True)


def _nothing() -> None:
    """Nothing was counted."""
