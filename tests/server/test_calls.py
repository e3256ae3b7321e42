"""The calls over HTTP: who may see them, lists, one call with its waits and money, files, and what is live."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
import soundfile as sf
from fastapi import Request
from pipecat.evals.scenario import EvalScenarioFile
from pydantic import SecretStr

from repartee.server import calls as calls_module
from repartee.server.app import Site, create_app
from repartee.settings import Settings
from repartee.store import CallEnd, CallRow, EventRow, Row, Store, TurnRow
from tests.store.filling import ledger

NOW = datetime.now(UTC)
CALL = "3f2a" + "0" * 28


def rows() -> list[Row]:
    """A call: the greeting, a turn with a tool, and one that interrupts the answer to it."""
    marks = {
        "speech.paused": 3060.0,
        "transcript": 3110.0,
        "reply.started": 3112.0,
        "reply.first_text": 3900.0,
        "reply.voiced": 3500.0,
        "reply.first_audio": 4100.0,
        "reply.released": 3400.0,
        "reply.audible": 4105.0,
    }
    reply = {"reply_id": 2, "turn_id": 1, "heard": "part", **marks, "reply.cancelled": 6000.0}
    reply["words"] = [4300, 4700]
    wasted = {
        "reply_id": 3,
        "turn_id": 2,
        "heard": "none",
        "reply.started": 6300.0,
        "reply.cancelled": 6500.0,
    }
    tool = {
        "tool": "free_slots",
        "arguments": {"day": "2026-12-01"},
        "result": "9:20 is free",
        "outcome": "done",
        "took_ms": 200.0,
        "turn_id": 1,
        "reply_id": 2,
    }
    return [
        CallRow(CALL, "Desk", "v1", "room", NOW, caller_id="ann"),
        TurnRow(CALL, 0, heard_text="Hello.", timings={"reply.audible": 500.0}),
        TurnRow(CALL, 1, "Is Tuesday free?", "On Tuesday", "at nine twenty.", 2000.0, 3000.0, 1105.0, marks),
        TurnRow(CALL, 2, "No, Wednesday!", "", "", 5900.0, 6800.0, None),
        EventRow(CALL, 2000.0, "speech", {"ended_at_ms": 3000.0}),
        EventRow(CALL, 3500.0, "tool", tool),
        EventRow(CALL, 3112.0, "reply", reply),
        EventRow(CALL, 6300.0, "reply", wasted),
        EventRow(
            CALL, 3300.0, "goal", {"goal_id": 1, "intent": "book", "status": "open", "known": 1, "missing": 2}
        ),
        EventRow(CALL, 6900.0, "provider.failed", {"processor": "OpenAI"}),
        ledger("1", CALL, "0.002", started_at_ms=3115.0, ended_at_ms=4200.0),
        ledger("2", CALL, "0.003", stage="tts", started_at_ms=3950.0, ended_at_ms=4500.0, used=False),
        ledger("3", CALL, None, model="gpt-9", turn_id=None, started_at_ms=100.0),
    ]


@pytest.fixture
def settings(plain_settings: Settings) -> Settings:
    return plain_settings


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = Store.open(settings.store_url, spool=settings.spool_dir)
    opened.write(rows())
    yield opened
    opened.close()


def client(
    settings: Settings, store: Store, *, host: str = "127.0.0.1", peer: str = "127.0.0.1"
) -> httpx.AsyncClient:
    site = Site("ws://x", "ws://x", "key", "s" * 40, "Desk", {})
    transport = httpx.ASGITransport(create_app(settings, site, None, store), client=(peer, 5000))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


async def get(settings: Settings, store: Store, path: str) -> Any:
    async with client(settings, store) as http:
        answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- who ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "peer", "headers", "status"),
    [
        ("127.0.0.1", "127.0.0.1", {}, 200),
        ("localhost:8080", "127.0.0.1", {}, 200),
        ("127.0.0.1", "10.0.0.7", {}, 403),
        ("evil.example", "127.0.0.1", {}, 403),
        ("127.0.0.1", "127.0.0.1", {"X-Forwarded-For": "10.0.0.7"}, 403),
    ],
)
async def test_without_a_token_only_this_machine_sees_calls(
    settings: Settings, store: Store, host: str, peer: str, headers: dict[str, str], status: int
) -> None:
    async with client(settings, store, host=host, peer=peer) as http:
        for path in ("/api/calls", "/api/stats", f"/api/calls/{CALL}", f"/api/calls/{CALL}/export.json"):
            assert (await http.get(path, headers=headers)).status_code == status


async def test_with_a_token_whoever_has_it_sees_calls(settings: Settings, store: Store) -> None:
    closed = settings.model_copy(update={"api_token": SecretStr("open sesame")})
    async with client(closed, store, host="calls.example", peer="10.0.0.7") as http:
        assert (await http.get("/api/calls")).status_code == 401
        assert (await http.get("/api/calls", headers={"Authorization": "Bearer no"})).status_code == 401
        assert (
            await http.get("/api/calls", headers={"Authorization": "Bearer open sesame"})
        ).status_code == 200


# --- many -----------------------------------------------------------------------------------------------------


async def test_the_list_says_what_was_asked_for(settings: Settings, store: Store) -> None:
    listed = await get(settings, store, "/api/calls?q=wednesday&agent=Desk&state=live")
    (call,) = listed["calls"]
    assert (call["id"], call["turn_id"], call["snippet"]) == (CALL, 2, "No, Wednesday!")
    assert (call["cost_usd"], call["wasted_usd"], call["unpriced"]) == ("0.005", "0.003", 1)
    assert (listed["total"], listed["agents"], listed["next"]) == (1, ["Desk"], None)
    day = NOW.date()
    assert (await get(settings, store, f"/api/calls?until={day}"))["total"] == 1
    assert (await get(settings, store, f"/api/calls?until={day - timedelta(days=1)}"))["total"] == 0


async def test_pages_lead_to_each_other(settings: Settings, store: Store) -> None:
    store.write([CallRow(f"c{n}", "Desk", "v1", "r", NOW - timedelta(minutes=n)) for n in range(1, 5)])
    first = await get(settings, store, "/api/calls?limit=3")
    async with client(settings, store) as http:
        second = (await http.get("/api/calls", params={"limit": 3, "before": first["next"]})).json()
    assert [call["id"] for call in first["calls"] + second["calls"]] == [CALL, "c1", "c2", "c3", "c4"]
    assert second["next"] is None
    assert "total" not in second


@pytest.mark.parametrize(
    "query",
    [
        "before=x",
        "before=2026-01-01~a",
        "limit=9999",
        "state=gone",
        "since=2026-02-30",
        "since=2027-01-01&until=2026-01-01",
    ],
)
async def test_what_makes_no_sense_is_refused(settings: Settings, store: Store, query: str) -> None:
    async with client(settings, store) as http:
        assert (await http.get(f"/api/calls?{query}")).status_code in {400, 422}


async def test_the_days_have_percentiles_and_cost(settings: Settings, store: Store) -> None:
    (day,) = (await get(settings, store, "/api/stats?agent=Desk"))["days"]
    assert (day["day"], day["calls"], day["answers"], day["p95_ms"]) == (NOW.date().isoformat(), 1, 1, 1105.0)


# --- one ------------------------------------------------------------------------------------------------------


async def test_a_call_has_its_turns_their_waits_tools_goals_errors_and_money(
    settings: Settings, store: Store
) -> None:
    view = await get(settings, store, f"/api/calls/{CALL}")
    greeting, asked, cut = view["turns"]
    assert (greeting["latency_ms"], greeting["parts"]) == (None, [])
    assert (asked["heard_text"], asked["unheard_text"], asked["interrupted"]) == (
        "On Tuesday",
        "at nine twenty.",
        True,
    )
    assert asked["heard_words_ms"] == [4300, 4700]
    assert sum(part["ms"] for part in asked["parts"]) == pytest.approx(1105.0)
    assert [(part["key"], part["by"]) for part in asked["parts"] if part["by"]] == [
        ("called", "openai:gpt-4.1-mini"),
        ("tool", "free_slots"),
        ("thought", "openai:gpt-4.1-mini"),
        ("clause", "openai:gpt-4.1-mini"),
        ("spoken", "openai:gpt-4.1-mini"),
    ]
    assert (cut["thrown_away"], asked["cost_usd"], asked["wasted_usd"]) == (1, "0.005", "0.003")
    assert view["tools"][0]["arguments"] == {"day": "2026-12-01"}
    assert view["goals"][0]["intent"] == "book"
    assert view["errors"] == [{"at_ms": 6900.0, "kind": "provider.failed", "data": {"processor": "OpenAI"}}]
    assert view["bill"]["outside"]["unpriced"] == 1
    assert [(stage["stage"], stage["wasted_usd"]) for stage in view["bill"]["stages"]] == [
        ("llm", "0"),
        ("llm", "0"),
        ("tts", "0.003"),
    ]
    assert view["speech"] == [[2000.0, 3000.0]]
    assert view["call"]["state"] == "live"
    assert not view["recorded"]


@pytest.mark.parametrize("call_id", ["nobody", "..%2F..%2Fetc", "a" * 99])
@pytest.mark.parametrize(
    "rest", ["", "/audio", "/peaks", "/pictures/1", "/live", "/export.json", "/export.wav", "/test.yaml"]
)
async def test_a_call_that_is_not_there(settings: Settings, store: Store, call_id: str, rest: str) -> None:
    async with client(settings, store) as http:
        assert (await http.get(f"/api/calls/{call_id}{rest}")).status_code == 404


async def test_subtitles_and_the_whole_as_files(settings: Settings, store: Store) -> None:
    async with client(settings, store) as http:
        srt = await http.get(f"/api/calls/{CALL}/export.srt")
        whole = await http.get(f"/api/calls/{CALL}/export.json")
    assert "attachment" in srt.headers["content-disposition"]
    assert "2\n00:00:02,000 --> 00:00:03,000\nCaller: Is Tuesday free?\n" in srt.text
    assert "00:00:04,105 --> 00:00:06,000\nDesk: On Tuesday\n" in srt.text
    assert whole.json()["call"]["id"] == CALL


async def test_a_test_of_the_call_is_one_that_pipecat_loads(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    async with client(settings, store) as http:
        text = (await http.get(f"/api/calls/{CALL}/test.yaml")).text
    file = tmp_path / "call.yaml"
    file.write_text(text)
    (scenario,) = EvalScenarioFile.load(file).scenarios
    greeting, asked, cut = scenario.turns  # type: ignore[union-attr]
    assert greeting.user is None
    assert (asked.user, cut.user) == ("Is Tuesday free?", "No, Wednesday!")
    (greeted,) = greeting.expect
    assert greeted.text_contains == "Hello.", "no model wrote it"
    call, begun = asked.expect
    assert call.calls is not None
    assert (call.calls[0].name, call.calls[0].args) == ("free_slots", {"day": "2026-12-01"})
    assert begun.event == "bot_started_speaking", "the answer was cut off: it does not come whole"
    assert cut.send_after is not None
    assert (cut.send_after.event, cut.send_after.delay_ms) == ("bot_started_speaking", 1795)


async def test_erased_words_make_no_test(settings: Settings, store: Store) -> None:
    store.forget_caller("ann")
    async with client(settings, store) as http:
        assert (await http.get(f"/api/calls/{CALL}/test.yaml")).status_code == 409
        view = (await http.get(f"/api/calls/{CALL}")).json()
    assert (view["call"]["erased"], view["tools"], view["turns"][1]["user_text"]) == (True, [], "")


async def test_a_recording_is_played_drawn_and_downloaded(settings: Settings, store: Store) -> None:
    settings.recordings_dir.mkdir()
    sound = np.zeros((48_000, 2), np.int16)
    sound[24_000:, 1] = 16_384
    file = settings.recordings_dir / f"{CALL}.flac"
    sf.write(file, sound, 24_000)
    shape = np.zeros((100, 2), np.uint8)
    shape[50:, 1] = 128
    file.with_name(f"{CALL}.flac.peaks").write_bytes(shape.tobytes())
    async with client(settings, store) as http:
        assert (await http.get(f"/api/calls/{CALL}/audio")).status_code == 404, "it goes on"
        store.write([CallEnd(CALL, "caller_left", NOW + timedelta(seconds=9))])
        part = await http.get(f"/api/calls/{CALL}/audio", headers={"Range": "bytes=0-3"})
        peaks = (await http.get(f"/api/calls/{CALL}/peaks?points=100")).json()
        wav = await http.get(f"/api/calls/{CALL}/export.wav")
    assert (part.status_code, part.content) == (206, b"fLaC")
    assert (peaks["duration_s"], peaks["channels"][0][99], peaks["channels"][1][99]) == (2.0, 0.0, 0.502)
    assert len(wav.content) == int(wav.headers["content-length"]) == 44 + 48_000 * 4
    kept = settings.recordings_dir / "copy.wav"
    kept.write_bytes(wav.content)
    assert np.array_equal(sf.read(kept, dtype="int16")[0], sound)


async def test_only_what_went_wrong_is_trouble(settings: Settings, store: Store) -> None:
    told: list[tuple[str, dict[str, Any], bool]] = [
        ("network.quality", {"quality": "excellent"}, False),
        ("network.quality", {"quality": "poor"}, True),
        ("network.codec", {"mime": "audio/opus", "usual": True}, False),
        ("network.codec", {"mime": "", "usual": False}, True),
        ("budget", {"state": "normal"}, False),
        ("budget", {"state": "saving"}, True),
        ("mcp.connected", {"server": "crm"}, False),
        ("mcp.failed", {"server": "crm"}, True),
    ]
    store.write([EventRow(CALL, 7000.0 + at, kind, data) for at, (kind, data, _) in enumerate(told)])
    view = await get(settings, store, f"/api/calls/{CALL}")
    wrong = [
        {"at_ms": 7000.0 + at, "kind": kind, "data": data} for at, (kind, data, is_) in enumerate(told) if is_
    ]
    assert view["errors"][1:] == wrong


async def test_how_the_line_was_is_told(settings: Settings, store: Store) -> None:
    told: list[tuple[float, str, dict[str, Any]]] = [
        (400.0, "network.codec", {"mime": "audio/opus", "usual": True}),
        (500.0, "network.quality", {"quality": "excellent"}),
        (4000.0, "caller.lost", {}),
        (6000.0, "caller.returned", {}),
        (6100.0, "network.quality", {"quality": "good"}),
        (8000.0, "caller.lost", {}),
        (9000.0, "network.sound", {"lost": 0.02, "concealed": 0.011, "buffered_ms": 45}),
    ]
    store.write([EventRow(CALL, at_ms, kind, data) for at_ms, kind, data in told])
    view = await get(settings, store, f"/api/calls/{CALL}")
    assert view["line"] == {
        "codec": "audio/opus",
        "quality": [[500.0, "excellent"], [6100.0, "good"]],
        "away": [[4000.0, 6000.0], [8000.0, None]],
        "lost": 0.02,
        "concealed": 0.011,
        "buffered_ms": 45,
    }
    assert not [error for error in view["errors"] if error["kind"] == "network.sound"]


async def test_what_was_looked_at_is_shown_to_who_may_see_calls(settings: Settings, store: Store) -> None:
    looked = {"source": "camera", "turn_id": 1}
    store.write([EventRow(CALL, at_ms, "picture", looked) for at_ms in (3600.0, 3700.0)])
    settings.recordings_dir.mkdir()
    (settings.recordings_dir / f"{CALL}.3600.jpg").write_bytes(b"jpeg")
    (settings.recordings_dir / f"{CALL}.9.jpg").write_bytes(b"of another call")
    path = f"/api/calls/{CALL}/pictures/3600"
    async with client(settings, store) as http:
        view = (await http.get(f"/api/calls/{CALL}")).json()
        picture = await http.get(path)
        assert (picture.content, picture.headers["content-type"]) == (b"jpeg", "image/jpeg")
        assert "no-store" in picture.headers["cache-control"]
        for other in ("3700", "9", "-1", "x"):
            answer = await http.get(f"/api/calls/{CALL}/pictures/{other}")
            assert answer.status_code in (404, 422), (
                "it is not kept here, nothing was looked at then, no time"
            )
    assert view["pictures"] == [{"at_ms": 3600, **looked}]
    async with client(settings, store, peer="10.0.0.7") as http:
        assert (await http.get(path)).status_code == 403
    store.forget_caller("ann")
    async with client(settings, store) as http:
        assert (await http.get(path)).status_code == 404, "it goes with the words"


# --- live -----------------------------------------------------------------------------------------------------


async def test_a_live_call_is_told_as_it_grows_until_it_ends(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "LIVE_EVERY_S", 0.01)
    routes = calls_module._Calls(store, settings.recordings_dir)

    class Page:
        async def is_disconnected(self) -> bool:
            return False

    answer = await routes.live(CALL, cast("Request", Page()))
    stream = cast("AsyncIterator[str]", answer.body_iterator)

    async def told() -> dict[str, Any]:
        async with asyncio.timeout(5):
            text = await anext(stream)
        name, data = text.removesuffix("\n\n").split("\n")
        return {"event": name.removeprefix("event: "), **json.loads(data.removeprefix("data: "))}

    first = await told()
    assert (first["event"], len(first["turns"])) == ("call", 3)
    store.write([TurnRow(CALL, 3, user_text="Hello?")])
    assert len((await told())["turns"]) == 4
    store.write([CallEnd(CALL, "caller_left", NOW + timedelta(seconds=9))])
    assert (await told())["call"]["state"] == "ended"
    assert (await told())["event"] == "over"
    with pytest.raises(StopAsyncIteration):
        await told()
    assert routes._watchers == 0


async def test_so_many_pages_may_watch(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "MAX_WATCHERS", 0)
    async with client(settings, store) as http:
        assert (await http.get(f"/api/calls/{CALL}/live")).status_code == 503
