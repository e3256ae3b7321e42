"""The pages of calls in headless Chromium: a call live and afterwards, under a strict content policy."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import uvicorn
from PIL import Image
from playwright.async_api import ConsoleMessage, Page, expect

from repartee.cli.instance import free_ports, instance
from repartee.server.app import Site, create_app
from repartee.session.recording import PEAKS
from repartee.settings import Settings
from repartee.simulator.audio import read_audio
from repartee.simulator.caller import RATE_HZ
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.store import CallEnd, CallRow, EventRow, Store, TurnRow
from tests.conftest import ROOT
from tests.server.test_calls import CALL, NOW, rows
from tests.system.helpers import calling
from tests.system.test_browser import page_at

pytestmark = pytest.mark.browser
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
AGENT = ROOT / "scripts" / "call_page" / "agent.yaml"
TURN_S = 20.0


@dataclass(frozen=True)
class Serving:
    """A server of the pages without media: what they show is in its store."""

    url: str
    store: Store
    settings: Settings


@pytest.fixture
async def serving(plain_settings: Settings) -> AsyncIterator[Serving]:
    store = Store.open(plain_settings.store_url, spool=plain_settings.spool_dir)
    store.write(rows())
    app = create_app(plain_settings, Site("ws://x", "ws://x", "k", "s", "Desk", {}), None, store)

    @app.middleware("http")
    async def strict(request: Any, call_next: Any) -> Any:
        answer = await call_next(request)
        answer.headers["Content-Security-Policy"] = POLICY
        return answer

    (port,) = free_ports(1)
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1, lifespan="off")
    )
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - it announces nothing
            await asyncio.sleep(0.02)
    try:
        yield Serving(f"http://127.0.0.1:{port}", store, plain_settings)
    finally:
        server.should_exit = True
        await running
        store.close()


@asynccontextmanager
async def page_of(url: str, *, dark: bool = False, phone: bool = False) -> AsyncIterator[Page]:
    """A page on which nothing goes wrong and nothing is refused by the policy."""
    wrong: list[str] = []

    def said(message: ConsoleMessage) -> None:
        # The waveform brings a <style>; it is refused, and its rules are adopted as a sheet instead.
        if message.type == "error" and "Applying inline style" not in message.text:
            wrong.append(message.text)

    async with page_at("about:blank", dark=dark, phone=phone) as page:
        page.on("console", said)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        await page.goto(url)
        yield page
    assert wrong == []


def record(settings: Settings) -> None:
    """Half a minute of both sides."""
    settings.recordings_dir.mkdir()
    sound = (np.random.default_rng(1).normal(0, 6000, (30 * 24_000, 2))).astype(np.int16)
    file = settings.recordings_dir / f"{CALL}.flac"
    sf.write(file, sound, 24_000)
    file.with_name(file.name + PEAKS).write_bytes(bytes([100, 200]) * 1500)


async def test_a_kept_call_is_explained_turn_by_turn(serving: Serving) -> None:
    serving.store.write([CallEnd(CALL, "caller_left", NOW + timedelta(seconds=7), call_s=7.0)])
    record(serving.settings)
    serving.store.write([EventRow(CALL, 3600.0, "picture", {"source": "camera", "turn_id": 1})])
    Image.new("RGB", (480, 270), "red").save(serving.settings.recordings_dir / f"{CALL}.3600.jpg")
    async with page_of(f"{serving.url}/calls/{CALL}#turn-1") as page:
        turn = page.locator("#turn-1")
        looked = turn.get_by_alt_text("camera showed at 0:03.6")
        await looked.scroll_into_view_if_needed()
        await expect(looked).to_have_js_property("naturalWidth", 480)
        await expect(turn).to_have_attribute("data-chosen", "true")
        await expect(turn.get_by_test_id("unheard")).to_have_text("at nine twenty.")
        await expect(turn).to_contain_text("Interrupted")
        parts = turn.get_by_test_id("part")
        await expect(parts.first).to_be_visible()
        lengths = [float(await part.get_attribute("data-ms") or 0) for part in await parts.all()]
        assert sum(lengths) == pytest.approx(1105.0)
        await expect(turn.get_by_test_id("waterfall")).to_contain_text("Answered after 1.10 s")
        await expect(turn.get_by_test_id("parts-together")).to_contain_text("1.10 s")
        await expect(parts.first).to_contain_text("until the voice detector told the pause")
        legend = page.get_by_test_id("legend")
        await expect(legend).to_contain_text("interrupted")
        await expect(legend).to_contain_text("thrown away")
        await expect(page.locator("#turn-2")).to_contain_text("1 answer thrown away")
        await expect(page.get_by_test_id("owners")).to_contain_text("Model")
        await expect(page.get_by_test_id("bill")).to_contain_text("$0.0050 + ?")
        await expect(page.get_by_test_id("goals")).to_contain_text("book")
        await expect(page.get_by_test_id("errors")).to_contain_text("OpenAI failed")
        await page.get_by_test_id("tools").get_by_text("free_slots").click()
        await expect(page.get_by_test_id("tools")).to_contain_text("9:20 is free")
        async with page.expect_download() as downloading:
            await page.get_by_test_id("make-test").click()
        download = await downloading.value
        assert download.suggested_filename == f"call-{CALL[:8]}.yaml"


async def test_a_recording_is_played_from_where_it_is_clicked_and_by_keys(serving: Serving) -> None:
    serving.store.write([CallEnd(CALL, "caller_left", NOW + timedelta(seconds=30), call_s=30.0)])
    record(serving.settings)
    async with page_of(f"{serving.url}/calls/{CALL}") as page:
        await expect(page.get_by_test_id("wave").locator("canvas").first).to_be_attached()
        await page.keyboard.press("j")
        await expect(page.get_by_test_id("time")).to_contain_text("0:00.5")
        await page.keyboard.press("j")
        await expect(page.get_by_test_id("time")).to_contain_text("0:02.0")
        await page.keyboard.press("j")
        await expect(page.get_by_test_id("time")).to_contain_text("0:05.9")
        await page.keyboard.press("k")
        await page.keyboard.press("Space")
        await expect(page.get_by_test_id("play")).to_have_attribute("aria-label", "Pause")
        await expect(page.get_by_test_id("time")).to_contain_text(
            re.compile(r"^0:(0[3-9]|[12])"), timeout=10_000
        )
        await page.keyboard.press("Space")
        await expect(page.get_by_test_id("play")).to_have_attribute("aria-label", "Play")
        await page.locator("#turn-1").get_by_role("button", name="Go to 0:04.1").click()
        await expect(page.get_by_test_id("time")).to_contain_text("0:04.1")
        word = page.locator("#turn-1 [data-at='4700']")
        await word.click()
        await expect(page.get_by_test_id("time")).to_contain_text("0:04.7")
        await expect(word).to_have_attribute("data-now", "true")


async def test_a_call_that_goes_on_grows_on_the_page_and_ends_there(serving: Serving) -> None:
    async with page_of(f"{serving.url}/calls/{CALL}", phone=True) as page:
        await expect(page.get_by_test_id("state")).to_have_text("Live")
        await expect(page.get_by_test_id("turn")).to_have_count(3)
        serving.store.write([TurnRow(CALL, 3, user_text="Are you still there?", started_at_ms=9000.0)])
        await expect(page.locator("#turn-3")).to_contain_text("Are you still there?")
        serving.store.write([CallEnd(CALL, "hung_up", NOW + timedelta(seconds=20))])
        await expect(page.get_by_test_id("state")).to_have_text("Agent hung up")
        await expect(page.get_by_test_id("not-recorded")).to_be_visible()
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, "nothing is cut off on a phone"


async def test_calls_are_found_by_what_was_said(serving: Serving) -> None:
    others = [
        CallRow(f"c{n}", "Other", "v1", "r", datetime.now(UTC) - timedelta(hours=n)) for n in range(1, 4)
    ]
    serving.store.write(others)
    async with page_of(f"{serving.url}/calls") as page:
        found = page.get_by_test_id("call-row")
        await expect(found).to_have_count(4)
        await expect(found.first).to_contain_text("Live")
        await page.get_by_test_id("search").fill("wednesday")
        await expect(found).to_have_count(1)
        await expect(page.get_by_test_id("total")).to_have_text("1 call found")
        assert "q=wednesday" in page.url
        await found.get_by_role("link").click()
        await expect(page).to_have_url(f"{serving.url}/calls/{CALL}#turn-2")
        await expect(page.locator("#turn-2")).to_have_attribute("data-chosen", "true")
        await page.go_back()
        await expect(found).to_have_count(1)
        await page.get_by_test_id("search").fill("nobody said this")
        await expect(page.get_by_test_id("notice")).to_contain_text("No call is like that")
        await page.get_by_role("button", name="Show all calls").click()
        await expect(found).to_have_count(4)
        await page.get_by_test_id("filter-agent").select_option("Other")
        await expect(found).to_have_count(3)


async def test_a_call_that_is_not_there_is_told_in_words(serving: Serving) -> None:
    async with page_at(f"{serving.url}/calls/nobody") as page:
        await expect(page.get_by_test_id("notice")).to_contain_text("There is no such call")


async def test_a_real_call_is_on_its_page_while_it_goes_on_and_after(speech: Path, tmp_path: Path) -> None:
    """Two turns over WebRTC with simulated vendors, recorded."""
    config = SimulatorConfig(profile="fast", speech=speech, script=AGENT.with_name("answers.yaml"))
    async with Simulator.start(config) as simulator:
        variables = simulator.environment | {"CARTESIA_API_KEY": "simulated"}
        async with (
            instance(AGENT, tmp_path / "state", variables) as running,
            page_of(f"{running.url}/calls") as page,
        ):
            async with calling(running.url) as caller:
                await page.reload()
                await page.get_by_test_id("call-row").first.get_by_role("link").click()
                await expect(page.get_by_test_id("state")).to_have_text("Live")
                await caller.say(read_audio(speech / "aiewf" / "turn_000.flac", RATE_HZ))
                assert await caller.wait_for_answer(TURN_S)
                await expect(page.locator("#turn-1")).to_contain_text("Workshops are on June third")
            await expect(page.get_by_test_id("state")).to_have_text("Caller hung up", timeout=20_000)
            waterfall = page.locator("#turn-1").get_by_test_id("waterfall")
            await expect(waterfall).to_contain_text("Answered after")
            lengths = [
                float(await part.get_attribute("data-ms") or 0)
                for part in await waterfall.get_by_test_id("part").all()
            ]
            store = Store.open(f"sqlite:///{tmp_path / 'state' / 'repartee.db'}")
            (kept,) = store.calls(1)
            wait = next(turn.latency_ms for turn in store.turns(kept.call.call_id) if turn.turn_id == 1)
            store.close()
            assert sum(lengths) == pytest.approx(wait, abs=1.0)
            await page.reload()
            await expect(page.get_by_test_id("play")).to_be_visible()
            recording = tmp_path / "state" / "recordings" / f"{kept.call.call_id}.flac"
            sound, rate = sf.read(recording)
            assert abs(len(sound) / rate - (kept.call.call_s or 0)) < 1.5
            assert np.abs(sound).max(axis=0).min() > 0.02, "both sides are on it"
