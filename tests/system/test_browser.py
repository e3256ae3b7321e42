"""The page in headless Chromium, with a microphone that is a file: a conversation, and its captions."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soundfile as sf
from playwright.async_api import Page, ViewportSize, async_playwright, expect

from repartee.cli.instance import Instance
from repartee.cli.say import RATE_HZ, say
from repartee.session.room import UNHEARD_MARK
from tests.conftest import FRONT_DESK
from tests.system.helpers import server

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PHONE: ViewportSize = {"width": 390, "height": 844}
FIRST_MS, TURN_MS = 30_000, 30_000


@asynccontextmanager
async def page_at(
    url: str, *flags: str, dark: bool = False, phone: bool = False, program: str | None = CHROMIUM
) -> AsyncIterator[Page]:
    if program is None:
        pytest.fail("Chromium is not installed; run `make test`, which installs it")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required", *flags],
        )
        context = await browser.new_context(
            viewport=PHONE if phone else {"width": 1280, "height": 800},
            device_scale_factor=2 if phone else 1,
            color_scheme="dark" if dark else "light",
        )
        page = await context.new_page()
        try:
            await page.goto(url)
            yield page
        finally:
            await browser.close()


SETTLED = """Promise.all(document.getAnimations()
    .filter((animation) => Number.isFinite(animation.effect.getComputedTiming().endTime))
    .map((animation) => animation.finished.catch(() => null)))"""


async def assert_accessible(page: Page) -> None:
    """axe-core finds nothing wrong with what is on screen, once nothing fades in any more."""
    await page.evaluate(SETTLED)
    await page.evaluate(AXE.read_text())
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert not [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


async def microphone(folder: Path) -> Path:
    """What the caller says, with time to be answered between."""
    questions = ["Are you open on Saturday?", "Is there parking?"]
    files = [folder / f"{number}.wav" for number in range(len(questions))]
    await say(list(zip(questions, files, strict=True)))
    parts = [np.zeros(7 * RATE_HZ, np.int16)]
    for file in files:
        parts += [sf.read(file, dtype="int16")[0], np.zeros(11 * RATE_HZ, np.int16)]
    parts.append(np.zeros(60 * RATE_HZ, np.int16))
    whole = folder / "microphone.wav"
    sf.write(whole, np.concatenate(parts), RATE_HZ)
    return whole


async def test_a_conversation_in_the_browser(tmp_path: Path) -> None:
    mic = await microphone(tmp_path)
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={mic}%noloop",
    )
    async with server(FRONT_DESK, tmp_path) as running, page_at(running.url, *flags) as page:
        await expect(page.get_by_test_id("config")).to_contain_text("Whisper")
        await page.get_by_test_id("start").click()
        # Looked for among all captions: who is silent for a while may have been asked whether they are still there.
        agent, caller = page.get_by_test_id("caption-agent"), page.get_by_test_id("caption-caller")
        await expect(agent.first).to_contain_text("Riverside Clinic, good day", timeout=FIRST_MS)
        await expect(caller.first).to_contain_text("open on Saturday", ignore_case=True, timeout=TURN_MS)
        await expect(agent.filter(has_text="At weekends we are closed")).to_be_visible(timeout=TURN_MS)
        await expect(caller.filter(has_text="parking")).to_be_visible(timeout=TURN_MS)
        await expect(page.get_by_test_id("agent-state")).to_have_attribute(
            "data-state", "speaking", timeout=TURN_MS
        )
        if shots := os.environ.get("REPARTEE_SCREENSHOTS"):
            await expect(agent.filter(has_text="free behind")).to_be_visible(timeout=TURN_MS)
            await page.screenshot(path=Path(shots) / "call.png")
            await page.emulate_media(color_scheme="dark")
            await page.screenshot(path=Path(shots) / "call-dark.png")
            await page.set_viewport_size(PHONE)
            await page.screenshot(path=Path(shots) / "call-phone-dark.png")
            await page.emulate_media(color_scheme="light")
            await page.screenshot(path=Path(shots) / "call-phone.png")
        await expect(agent.filter(has_text="parking is free")).to_be_visible(timeout=TURN_MS)
        await page.get_by_test_id("mute").click()
        await expect(page.get_by_test_id("mute")).to_have_attribute("aria-pressed", "true")
        await assert_accessible(page)
        await page.set_viewport_size(PHONE)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it fits a phone"
        await page.get_by_test_id("chat-input").fill("What does a visit cost?")
        await page.get_by_test_id("chat-send").click()
        await expect(agent.filter(has_text="sixty euros")).to_be_visible(timeout=TURN_MS)
        await page.get_by_test_id("end").click()
        await expect(page.get_by_test_id("duration")).to_be_visible()
        await assert_accessible(page)
        await page.get_by_test_id("call-page").click()
        await expect(page.locator("#turn-1")).to_contain_text("At weekends we are closed", timeout=TURN_MS)
        await expect(page.locator("#turn-1").get_by_test_id("waterfall")).to_contain_text("Answered after")
        (timeline,) = (running.state_dir / "calls").glob("*.jsonl")
        assert UNHEARD_MARK not in timeline.read_text(), "they were greeted as soon as they could hear it"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Instance]:
    """A server that nobody calls."""
    async with server(FRONT_DESK, tmp_path_factory.mktemp("desk")) as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
async def test_a_refused_microphone_is_explained_and_typing_works(desk: Instance) -> None:
    async with page_at(desk.url, phone=True) as page:
        await page.get_by_test_id("start").click()
        error = page.get_by_test_id("error")
        await expect(error).to_be_visible(timeout=FIRST_MS)
        assert await error.get_attribute("data-code") in ("mic_denied", "mic_missing")
        if shots := os.environ.get("REPARTEE_SCREENSHOTS"):
            await page.screenshot(path=Path(shots) / "refused.png")


@pytest.mark.asyncio(loop_scope="module")
async def test_the_page_before_a_call(desk: Instance) -> None:
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    async with page_at(desk.url, *flags, phone=True) as page:
        start, check = page.get_by_test_id("start"), page.get_by_test_id("sound-check")
        await expect(page.get_by_test_id("config")).to_contain_text("Whisper")
        for scheme in ("dark", "light"):
            await page.emulate_media(color_scheme=scheme)
            await assert_accessible(page)
            await picture(page, f"welcome-{scheme}")
        await page.keyboard.press("Tab")
        await expect(start).to_be_focused()
        for _ in range(2):
            await page.keyboard.press("Tab")
        await expect(check).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_test_id("heard")).to_have_attribute("data-heard", "true", timeout=10_000)
        await expect(page.get_by_test_id("audioinput").locator("option")).not_to_have_count(1)
        await assert_accessible(page)
        await picture(page, "sound")
        await page.keyboard.press("Escape")
        await expect(page.get_by_test_id("sound")).to_be_hidden()
        await expect(check).to_be_focused()

        # An app: it has its icons, opens without a network, and keeps nothing but itself.
        manifest = await page.evaluate("fetch('/manifest.webmanifest').then((r) => r.json())")
        for icon in manifest["icons"]:
            assert (await page.request.get(desk.url + icon["src"])).headers["content-type"] == "image/png"
        await page.evaluate("navigator.serviceWorker.ready.then(() => fetch('/api/config'))")
        await page.context.set_offline(True)
        await page.reload()
        await start.click()
        await expect(page.get_by_test_id("error")).to_have_attribute("data-code", "server_unreachable")
        await assert_accessible(page)
        kept = await page.evaluate(KEPT)
        assert "/" in kept
        assert all(path == "/" or path.startswith("/assets/") for path in kept)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_server_that_is_gone_is_explained(desk: Instance) -> None:
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    async with page_at(desk.url, *flags) as page:
        await expect(page.get_by_test_id("start")).to_be_visible()
        await desk.stop()  # the last of the tests that need it
        await page.get_by_test_id("start").click()
        error = page.get_by_test_id("error")
        await expect(error).to_have_attribute("data-code", "server_unreachable", timeout=FIRST_MS)


KEPT = """async () => {
  const found = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
  return found.flat().map(({ url }) => new URL(url).pathname);
}"""


async def picture(page: Page, name: str) -> None:
    if shots := os.environ.get("REPARTEE_SCREENSHOTS"):
        await page.screenshot(path=Path(shots) / f"{name}.png")
