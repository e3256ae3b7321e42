"""The calls over HTTP: the list, one call, what is new of it while it goes on, its recording and its files."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import soundfile as sf
import structlog
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse

from repartee.errors import StoreError
from repartee.server.call_view import call_view, head, plain, read_call
from repartee.server.exports import has_test, peaks, scenario, subtitles, wav, wav_length
from repartee.session.album import picture_file
from repartee.store import CallQuery, DayStats, FoundCall, Store

log = structlog.get_logger()
LIVE_EVERY_S = 1.0
"""How often the store is looked at for a page that shows a call that goes on."""
LIVE_LIMIT_S = 4 * 3600.0
MAX_WATCHERS = 32
MAX_DAYS = 366
STATS_FRESH_S = 15.0
MAX_STATS = 64
PAGE = 50
PEAKS = 4000
_ID = re.compile(r"^[\w-]{1,64}$")
_T = TypeVar("_T")
Day = Annotated[date | None, Query()]
Name = Annotated[str | None, Query(max_length=200)]


def calls_router(store: Store, recordings: Path, door: Callable[[Request], Awaitable[object]]) -> APIRouter:
    """Return the routes.

    Args:
        store: The database of calls.
        recordings: The folder of recordings.
        door: Raises for those who may not see calls; a dependency.
    """
    return _Calls(store, recordings).router(door)


class _Calls:
    def __init__(self, store: Store, recordings: Path) -> None:
        self._store = store
        self._recordings = recordings
        self._watchers = 0
        self._stats: OrderedDict[CallQuery, tuple[float, dict[str, Any]]] = OrderedDict()
        """The newest charts by what they are of, and until when they are told again; all turns are read for them."""

    def router(self, door: Callable[[Request], Awaitable[object]]) -> APIRouter:
        router = APIRouter(prefix="/api", dependencies=[Depends(door)])
        router.add_api_route("/calls", self.list)
        router.add_api_route("/stats", self.stats)
        router.add_api_route("/calls/{call_id}", self.one)
        router.add_api_route("/calls/{call_id}/live", self.live)
        router.add_api_route("/calls/{call_id}/audio", self.audio)
        router.add_api_route("/calls/{call_id}/peaks", self.peaks)
        router.add_api_route("/calls/{call_id}/pictures/{at_ms}", self.picture)
        router.add_api_route("/calls/{call_id}/export.json", self.export)
        router.add_api_route("/calls/{call_id}/export.srt", self.srt)
        router.add_api_route("/calls/{call_id}/export.wav", self.wav)
        router.add_api_route("/calls/{call_id}/test.yaml", self.test)
        return router

    # --- many -------------------------------------------------------------------------------------------------

    async def list(
        self,
        agent: Name = None,
        since: Day = None,
        until: Day = None,
        state: Literal["live", "ended", "lost"] | None = None,
        reason: Name = None,
        q: Name = None,
        before: Annotated[str | None, Query(max_length=120)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = PAGE,
    ) -> JSONResponse:
        """A page of calls, the newest first; days are in UTC, `until` is the last of them."""
        first, last = _days(since, until)
        words = q.strip() if q and q.strip() else None
        query = CallQuery(agent, first, last, state, reason, words, _cursor(before), limit)

        def read() -> dict[str, Any]:
            found = self._store.find(query)
            shown: dict[str, Any] = {
                "calls": [_listed(call) for call in found],
                "next": _next(found[-1]) if len(found) == limit else None,
            }
            if before is None:  # with the first page only: they are the same for all others
                shown["total"] = self._store.count(query)
                shown["agents"], shown["reasons"] = self._store.choices()
            return shown

        return _fresh(await _read(read))

    async def stats(self, agent: Name = None, since: Day = None, until: Day = None) -> JSONResponse:
        """Calls, waits and cost by day and agent; the last thirty days unless asked for others."""
        since = since or (until or datetime.now(UTC).date()) - timedelta(days=29)
        first, last = _days(since, until)
        query = CallQuery(agent, first, last)
        until_s, shown = self._stats.pop(query, (0.0, {}))
        if time.monotonic() >= until_s:
            days = await _read(lambda: self._store.stats(query))
            until_s = time.monotonic() + STATS_FRESH_S
            shown = {"since": since.isoformat(), "days": [_day(day) for day in days]}
        self._stats[query] = (until_s, shown)
        while len(self._stats) > MAX_STATS:
            self._stats.popitem(last=False)
        return _fresh(shown)

    # --- one --------------------------------------------------------------------------------------------------

    async def one(self, call_id: str) -> JSONResponse:
        """All that is kept of a call."""
        return _fresh(await self._view(call_id))

    async def live(self, call_id: str, request: Request) -> StreamingResponse:
        """The call as it stands whenever there is more of it, as server-sent events, until it has ended."""
        await self._view(call_id)
        if self._watchers >= MAX_WATCHERS:
            raise HTTPException(503, "too many pages show calls that go on; close one", {"Retry-After": "10"})
        stream = self._changes(call_id, request)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def _changes(self, call_id: str, request: Request) -> AsyncIterator[str]:
        self._watchers += 1
        until_s = time.monotonic() + LIVE_LIMIT_S
        shown = ""
        try:
            while time.monotonic() < until_s and not await request.is_disconnected():
                view = await self._view(call_id)
                text = json.dumps(view, ensure_ascii=False)
                if text != shown:
                    shown = text
                    yield f"event: call\ndata: {text}\n\n"
                if view["call"]["state"] != "live":
                    break
                # The call is another process's, perhaps on another machine: its rows are all there is to look at.
                await asyncio.sleep(LIVE_EVERY_S)
            yield "event: over\ndata: {}\n\n"
        except HTTPException:
            yield "event: over\ndata: {}\n\n"
        finally:
            self._watchers -= 1

    async def audio(self, call_id: str) -> FileResponse:
        """The recording to listen to: the caller left, the agent right; parts of it can be asked for."""
        file = await self._recording(call_id)
        return FileResponse(file, media_type="audio/flac", headers={"Cache-Control": "private, no-store"})

    async def peaks(
        self, call_id: str, points: Annotated[int, Query(ge=100, le=20_000)] = PEAKS
    ) -> JSONResponse:
        """How loud both sides were, to draw."""
        file = await self._recording(call_id)
        return _fresh(await _sound(lambda: peaks(file, points)))

    async def picture(self, call_id: str, at_ms: Annotated[int, PathParameter(ge=0)]) -> FileResponse:
        """What was looked at then, small."""
        view = await self._view(call_id)
        if all(picture["at_ms"] != at_ms for picture in view["pictures"]):
            raise HTTPException(404, "there is no such picture of this call on this machine")
        file = picture_file(self._recordings, call_id, at_ms)
        return FileResponse(file, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})

    async def export(self, call_id: str) -> Response:
        """All that is kept of a call, as a file."""
        text = json.dumps(await self._view(call_id), indent=2, ensure_ascii=False)
        return _file(text, "application/json", f"call-{call_id}.json")

    async def srt(self, call_id: str) -> Response:
        """What was said, as subtitles of the recording."""
        return _file(subtitles(await self._view(call_id)), "application/x-subrip", f"call-{call_id}.srt")

    async def wav(self, call_id: str) -> StreamingResponse:
        """The recording as WAV: the caller left, the agent right."""
        file = await self._recording(call_id)
        headers = _as_file(f"call-{call_id}.wav") | {
            "Content-Length": str(await _sound(lambda: wav_length(file)))
        }
        return StreamingResponse(wav(file), media_type="audio/wav", headers=headers)

    async def test(self, call_id: str) -> Response:
        """The call as a scenario to run again."""
        view = await self._view(call_id)
        if not has_test(view):
            raise HTTPException(
                409, "no words of the caller are kept of this call, so there is nothing to test with"
            )
        return _file(scenario(view), "application/yaml", f"call-{call_id[:8]}.yaml")

    # --- inside -----------------------------------------------------------------------------------------------

    async def _view(self, call_id: str) -> dict[str, Any]:
        if not _ID.match(call_id):
            raise HTTPException(404, "there is no such call")
        data = await _read(lambda: read_call(self._store, call_id))
        if data is None:
            raise HTTPException(404, "there is no such call")
        view = await asyncio.to_thread(call_view, data)
        view["recorded"] = view["call"]["state"] != "live" and self._file(call_id).is_file()
        view["pictures"] = [
            picture
            for picture in view["pictures"]
            if picture_file(self._recordings, call_id, picture["at_ms"]).is_file()
        ]
        return view

    async def _recording(self, call_id: str) -> Path:
        view = await self._view(call_id)
        if not view["recorded"]:
            raise HTTPException(404, "there is no recording of this call on this machine")
        return self._file(call_id)

    def _file(self, call_id: str) -> Path:
        return self._recordings / f"{call_id}.flac"


async def _read(work: Callable[[], _T]) -> _T:
    try:
        return await asyncio.to_thread(work)
    except StoreError as error:
        log.warning("calls.store_away", error=str(error))
        raise HTTPException(503, "the database of calls does not answer", {"Retry-After": "5"}) from error


async def _sound(work: Callable[[], _T]) -> _T:
    try:
        return await asyncio.to_thread(work)
    except (OSError, ValueError, sf.LibsndfileError) as error:
        raise HTTPException(404, "the recording of this call cannot be read") from error


def _listed(found: FoundCall) -> dict[str, Any]:
    said = {"turn_id": found.turn_id, "snippet": found.snippet} if found.turn_id is not None else {}
    return head(found) | said


def _day(day: DayStats) -> dict[str, Any]:
    shown = {name: getattr(day, name) for name in day.__dataclass_fields__ if name not in {"cost", "wasted"}}
    return shown | {"cost_usd": plain(day.cost), "wasted_usd": plain(day.wasted)}


def _days(since: date | None, until: date | None) -> tuple[datetime | None, datetime | None]:
    """Return the moments between which days lie."""
    if (
        since is not None
        and until is not None
        and not timedelta() <= until - since <= timedelta(days=MAX_DAYS)
    ):
        raise HTTPException(400, f"'until' is on or after 'since', by at most {MAX_DAYS} days")
    first = datetime.combine(since, datetime.min.time(), UTC) if since is not None else None
    last = (
        datetime.combine(until, datetime.min.time(), UTC) + timedelta(days=1) if until is not None else None
    )
    return first, last


def _next(found: FoundCall) -> str:
    return f"{found.call.started_at.isoformat()}~{found.call.call_id}"


def _cursor(before: str | None) -> tuple[datetime, str] | None:
    if before is None:
        return None
    at, _, call_id = before.partition("~")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise HTTPException(400, "'before' is the 'next' of the page before") from error
    if moment.tzinfo is None or not _ID.match(call_id):
        raise HTTPException(400, "'before' is the 'next' of the page before")
    return moment, call_id


def _fresh(body: dict[str, Any]) -> JSONResponse:
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


def _as_file(name: str) -> dict[str, str]:
    return {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}


def _file(text: str, media_type: str, name: str) -> Response:
    return PlainTextResponse(text, media_type=media_type, headers=_as_file(name))
