"""A machine that is full says so at once, in writing and in a recording, with every provider and database down."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pytest
import soundfile as sf

from repartee.conversation.degradation import Level
from repartee.server.app import Site, create_app
from repartee.server.busy import RETRY_S, Busy
from repartee.session.clips import clips_for
from repartee.settings import Settings
from repartee.telemetry.load import LoadBoard

NOBODY = Site("ws://127.0.0.1:9", "ws://127.0.0.1:9", "k", "s" * 40, "Agent", {})


def client(settings: Settings, busy: Busy) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(settings, NOBODY, busy=busy))
    return httpx.AsyncClient(transport=transport, base_url="http://x")


@pytest.mark.parametrize("level", [Level.CLOSED, Level.DOWN])
async def test_nobody_new_is_let_in_and_is_told_when_to_come_back(
    plain_settings: Settings, tmp_path: Path, level: Level
) -> None:
    LoadBoard(tmp_path).tell_level(int(level), ("cpu",))
    async with client(plain_settings, Busy(tmp_path, "en")) as web:
        answer = await web.post("/api/token", json={})
        body = answer.json()
        clip = await web.get(body["clip"])
    assert answer.status_code == 503
    assert body["error"] == "capacity"
    assert answer.headers["retry-after"] == str(body["retry_after"])
    assert RETRY_S[0] <= body["retry_after"] <= RETRY_S[1]
    assert body["message"] == clips_for("en")["busy"].text
    samples, _ = sf.read(io.BytesIO(clip.content))
    assert len(samples) > 24_000, "more than a second of voice"


@pytest.mark.parametrize("level", [Level.NORMAL, Level.LEAN, Level.SMALL, Level.PLAIN])
async def test_below_that_level_calls_go_on_to_be_taken(
    plain_settings: Settings, tmp_path: Path, level: Level
) -> None:
    LoadBoard(tmp_path).tell_level(int(level))
    async with client(plain_settings, Busy(tmp_path, "en")) as web:
        answer = await web.post("/api/token", json={})
    assert answer.json()["error"] == "no_agent", "it came as far as the media server, which is not there"


def test_a_level_nobody_has_told_lately_closes_nothing(tmp_path: Path) -> None:
    now_s = 1000.0
    board = LoadBoard(tmp_path, lambda: now_s)
    board.tell_level(int(Level.CLOSED))
    assert board.level().level == Level.CLOSED
    now_s += 6.0
    assert board.level().level == Level.NORMAL
    assert Busy(tmp_path, "de").full() is None


def test_those_sent_away_come_back_at_different_times(tmp_path: Path) -> None:
    busy = Busy(tmp_path, "es", pinned=4)
    refusals = [busy.full() for _ in range(40)]
    assert len({refusal.retry_after_s for refusal in refusals if refusal}) > 5
    assert all(refusal and refusal.clip == "/clips/es/busy.ogg" for refusal in refusals)
