"""Make the pictures of docs/web-client.md: each screen of the page one talks on, in Chromium, of real calls.

`python scripts/screens.py`: those that the book shows, into docs/images. `python scripts/screens.py FOLDER`: all of
them, in light, in dark and on a phone, to be looked at; `--only PATTERN` takes those whose name it is found in.
Failures are the server's own answers, made up at the door of the page; a line that breaks is a media server that is
stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page, Route, expect

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.film import AGENT, ASKED, INTERRUPTING, INTO_ANSWER_S, MICROPHONE, WAIT_MS, spoken  # noqa: E402
from scripts.pictures import ANSWERS, IMAGES, KEYS, SPEECH, chromium  # noqa: E402

FRONT_DESK = ROOT / "agents" / "front-desk.yaml"
SHOWN = frozenset({"welcome-light", "call-dark", "call-phone", "refused"})
"""Those that the book shows."""
DESK, PHONE = (1280, 800), (390, 844)
SILENCE_S = 3.0
FAILURES: dict[str, tuple[int, dict[str, object]]] = {
    "full": (503, {"error": "capacity", "message": "all lines are busy at the moment", "retry_after": 8}),
    "no-agent": (
        503,
        {"error": "no_agent", "message": "the media server does not answer; try again shortly"},
    ),
    "too-often": (429, {"error": "rate_limited", "message": "too many calls from here", "retry_after": 30}),
    "not-allowed": (403, {"error": "origin", "message": "this site is not allowed"}),
    "no-media": (
        200,
        {"server_url": "ws://127.0.0.1:9", "participant_token": "e30.e30.x", "room_name": "r"},
    ),
}
"""What the server says instead of giving a place."""


@dataclass(frozen=True)
class Album:
    """Where the pictures go, and which are wanted."""

    folder: Path
    wanted: Callable[[str], bool]

    async def take(self, page: Page, name: str) -> None:
        """Take one of what is on screen, once nothing fades in any more."""
        if self.wanted(name):
            await asyncio.sleep(0.4)
            await page.screenshot(path=self.folder / f"{name}.png")

    async def looks(self, page: Page, name: str) -> None:
        """Take one in light, in dark and on a phone."""
        await self.take(page, name)
        await page.emulate_media(color_scheme="dark")
        await self.take(page, f"{name}-dark")
        await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        await self.take(page, f"{name}-phone-dark")
        await page.emulate_media(color_scheme="light")
        await self.take(page, f"{name}-phone")
        await page.set_viewport_size({"width": DESK[0], "height": DESK[1]})


@asynccontextmanager
async def opened(
    browser: Browser, url: str, *, phone: bool = False, hears: bool = True
) -> AsyncIterator[Page]:
    """A page of its own, with a microphone or without."""
    width, height = PHONE if phone else DESK
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=2 if phone else 1.5,
        permissions=["microphone"] if hears else [],
    )
    page = await context.new_page()
    if hears:
        await page.add_init_script(MICROPHONE)
    await page.goto(url)
    await page.get_by_test_id("start").wait_for(timeout=WAIT_MS)
    yield page
    await context.close()


async def before(browser: Browser, url: str, album: Album) -> None:
    """Take the start, the check of the sound, and the way into a call."""
    async with opened(browser, url) as page:
        await page.get_by_test_id("config").wait_for(state="attached", timeout=WAIT_MS)
        await album.looks(page, "start")
        await page.get_by_test_id("sound-check").click()
        await expect(page.get_by_test_id("audioinput").locator("option")).not_to_have_count(1)
        await album.looks(page, "sound")
        await page.evaluate("wav => window.speak(wav)", spoken(ASKED))
        await album.take(page, "sound-heard")
        await page.keyboard.press("Escape")
        gate = asyncio.Event()

        async def later(route: Route) -> None:
            await gate.wait()
            await route.abort()

        await page.route("**/api/token", later)
        await page.get_by_test_id("start").click()
        await expect(page.get_by_test_id("step")).to_contain_text("You can speak already")
        await album.looks(page, "joining")
        gate.set()
    async with opened(browser, url, phone=True) as page:
        await page.get_by_test_id("config").wait_for(state="attached", timeout=WAIT_MS)
        await album.take(page, "welcome-light")
        await page.set_viewport_size({"width": PHONE[1], "height": PHONE[0]})
        await album.take(page, "start-sideways")


async def failures(browser: Browser, url: str, album: Album) -> None:
    """Take what is said when there is no call."""
    for name, (status, told) in FAILURES.items():
        async with opened(browser, url) as page:
            await page.route("**/api/token", answering(status, told))
            await page.get_by_test_id("start").click()
            await page.get_by_test_id("error").wait_for(timeout=WAIT_MS)
            await album.looks(page, f"failed-{name}")
    async with opened(browser, url) as page:
        await page.route("**/api/token", lambda route: route.abort())
        await page.get_by_test_id("start").click()
        await page.get_by_test_id("error").wait_for(timeout=WAIT_MS)
        await album.looks(page, "failed-gone")
    async with opened(browser, url, phone=True, hears=False) as page:
        await page.get_by_test_id("start").click()
        await page.get_by_test_id("error").wait_for(timeout=WAIT_MS)
        await album.take(page, "refused")
        await page.get_by_role("button", name="Back").click()
        await page.get_by_test_id("sound-check").click()
        await page.get_by_role("alert").wait_for(timeout=WAIT_MS)
        await album.take(page, "sound-refused")


def answering(status: int, told: dict[str, object]) -> Callable[[Route], Coroutine[object, object, None]]:
    """Return what answers instead of the server."""

    async def answer(route: Route) -> None:
        await route.fulfill(status=status, content_type="application/json", body=json.dumps(told))

    return answer


async def during(browser: Browser, url: str, album: Album, media: int) -> None:
    """Hold a call: ask, interrupt, type, lose the line and get it back, hang up."""
    async with opened(browser, url) as page:
        agent, state = page.get_by_test_id("caption-agent"), page.get_by_test_id("agent-state")
        await page.get_by_test_id("start").click()
        await expect(agent.first).to_be_visible(timeout=WAIT_MS)
        await expect(state).to_have_attribute("data-state", "listening", timeout=WAIT_MS)
        await album.looks(page, "call-begins")
        await ask_and_interrupt(page)
        await album.looks(page, "call")
        await expect(state).to_have_attribute("data-state", "listening", timeout=WAIT_MS)
        await page.get_by_test_id("chat-input").fill("Is there food at the conference?")
        await page.get_by_test_id("chat-send").click()
        await expect(agent.nth(3)).to_be_visible(timeout=WAIT_MS)
        await page.get_by_test_id("mute").click()
        await page.get_by_test_id("chat-input").fill("And parking?")
        await album.looks(page, "call-muted")
        await page.get_by_test_id("mute").click()
        await page.get_by_test_id("devices").click()
        await album.looks(page, "call-sound")
        await page.keyboard.press("Escape")
        await broken(page, album, media)
        await page.get_by_test_id("end").click()
        await page.get_by_test_id("duration").wait_for(timeout=WAIT_MS)
        await album.looks(page, "ended")


async def ask_and_interrupt(page: Page) -> None:
    """Ask something, speak into the answer, and wait for the next."""
    agent = page.get_by_test_id("caption-agent")
    await page.evaluate("wav => window.speak(wav)", spoken(ASKED))
    await expect(agent.nth(1)).to_be_visible(timeout=WAIT_MS)
    await asyncio.sleep(INTO_ANSWER_S)
    await page.evaluate("wav => window.speak(wav)", spoken(INTERRUPTING))
    await expect(agent.nth(2)).to_be_visible(timeout=WAIT_MS)


async def broken(page: Page, album: Album, media: int) -> None:
    """Stop the media server for a while."""
    line = page.get_by_test_id("line")
    os.kill(media, signal.SIGSTOP)
    try:
        await expect(line).to_have_attribute("data-line", "reconnecting", timeout=WAIT_MS)
        await album.looks(page, "call-reconnecting")
        await page.context.set_offline(offline=True)
        await expect(line).to_have_attribute("data-line", "offline", timeout=WAIT_MS)
        await album.looks(page, "call-offline")
        await page.context.set_offline(offline=False)
    finally:
        os.kill(media, signal.SIGCONT)
    await expect(line).to_have_attribute("data-line", re.compile("back|good"), timeout=WAIT_MS)
    await album.take(page, "call-back")


async def dark_and_phone(browser: Browser, url: str, album: Album) -> None:
    """Take the two of a call that the book shows."""
    async with opened(browser, url, phone=True) as page:
        agent = page.get_by_test_id("caption-agent")
        await page.get_by_test_id("start").click()
        await expect(agent.first).to_be_visible(timeout=WAIT_MS)
        await expect(page.get_by_test_id("agent-state")).to_have_attribute(
            "data-state", "listening", timeout=WAIT_MS
        )
        await ask_and_interrupt(page)
        await album.take(page, "call-phone")
        await page.set_viewport_size({"width": DESK[0], "height": DESK[1]})
        await page.emulate_media(color_scheme="dark")
        await album.take(page, "call-dark")


def media_server(state: Path) -> int:
    """Return the process of the media server that has its data here."""
    from tests.system.helpers import processes_with  # noqa: PLC0415

    return next(
        pid
        for pid in processes_with(str(state))
        if "livekit-server" in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    )


async def everything(album: Album) -> None:
    """Take what is wanted."""
    from repartee.cli.instance import instance  # noqa: PLC0415
    from repartee.simulator.providers import Simulator, SimulatorConfig  # noqa: PLC0415

    flags = ("--autoplay-policy=no-user-gesture-required", "--use-fake-device-for-media-stream")
    config = SimulatorConfig(profile="fast", speech=SPEECH, script=ANSWERS)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        async with chromium(*flags) as browser:
            if any(map(album.wanted, ("start", "sound", "joining", "failed", "welcome-light", "refused"))):
                async with instance(FRONT_DESK, state / "desk") as running:
                    await before(browser, running.url, album)
                    await failures(browser, running.url, album)
            if not any(map(album.wanted, ("call", "call-dark"))):
                return
            async with (
                Simulator.start(config) as simulator,
                instance(AGENT, state / "call", simulator.environment | KEYS) as running,
            ):
                if album.wanted("call"):
                    await during(browser, running.url, album, media_server(state / "call"))
                elif album.wanted("call-dark"):
                    await dark_and_phone(browser, running.url, album)


def main() -> int:
    """Take them."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folder", type=Path, nargs="?")
    asked.add_argument("--only", default="")
    options = asked.parse_args()
    if options.folder is None:
        album = Album(IMAGES, SHOWN.__contains__)
    else:
        options.folder.mkdir(parents=True, exist_ok=True)
        album = Album(options.folder, lambda name: re.search(options.only, name) is not None)
    asyncio.run(everything(album))
    return 0


if __name__ == "__main__":
    sys.exit(main())
