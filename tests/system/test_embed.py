"""The widget on a page of another site, in headless Chromium; and words that are said before anybody is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import soundfile as sf
from playwright.async_api import Page, Route, expect

from repartee.cli.instance import instance
from repartee.session.room import UNHEARD_MARK
from repartee.simulator.audio import read_audio
from repartee.simulator.caller import RATE_HZ
from tests.system.helpers import simulate, write_agent
from tests.system.test_browser import FIRST_MS, TURN_MS, page_at, picture

pytestmark = [pytest.mark.browser, pytest.mark.long]
QUESTION = "aiewf/turn_003.flac"
SAID_S = 4.0
"""Before the server gives out a place, so that all of the question is said by then."""
HOST_PAGE = """<!doctype html><html lang="en"><title>A shop</title>
<body><h1>A shop</h1><p>Of another site.</p>
<script src="{server}/embed.js" async data-label="Ask the clinic" data-color="#5b21b6"></script></body></html>"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@contextmanager
def site(folder: Path) -> Iterator[int]:
    """Another site: what is in a folder, under a port of its own."""
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as http:
        thread = Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield http.server_port
        finally:
            http.shutdown()
            thread.join()


def question(speech: Path, folder: Path) -> Path:
    """A microphone into which somebody speaks at once."""
    sound = read_audio(speech / QUESTION, RATE_HZ)
    assert len(sound) < (SAID_S - 0.5) * RATE_HZ
    whole = folder / "microphone.wav"
    sf.write(whole, np.concatenate([sound, np.zeros(60 * RATE_HZ, np.int16)]), RATE_HZ)
    return whole


async def late(route: Route) -> None:
    await asyncio.sleep(SAID_S)  # as on a slow network
    await route.continue_()


async def test_the_widget_on_another_site_and_words_before_anybody_is_there(
    speech: Path, tmp_path: Path
) -> None:
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={question(speech, tmp_path)}%noloop",
    )
    script = tmp_path / "script.yaml"
    script.write_text("- when: track\n  say: Yes, there is.\n")
    with site(tmp_path / "site") as port:
        allowed, other = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        async with (
            simulate(speech, script) as simulator,
            instance(
                write_agent(tmp_path),
                tmp_path / "state",
                {**simulator.environment, "REPARTEE_ALLOWED_ORIGINS": allowed},
            ) as running,
        ):
            (tmp_path / "site" / "index.html").write_text(HOST_PAGE.format(server=running.url))
            async with page_at(other, *flags) as page:
                assert await framed_text(page) == "", "a site that nobody allowed shows nothing"
                await page.goto(allowed)
                await page.route("**/api/token", late)
                await page.get_by_role("button", name="Ask the clinic").click()
                frame = page.frame_locator("iframe")
                await frame.get_by_test_id("start").click()
                caller, agent = frame.get_by_test_id("caption-caller"), frame.get_by_test_id("caption-agent")
                await expect(frame.get_by_test_id("step")).to_contain_text("You can speak already")
                await expect(caller.first).to_contain_text("Is there a track", timeout=FIRST_MS)
                await expect(agent.last).to_contain_text("Yes, there is", timeout=TURN_MS)
                await picture(page, "embed")
                await page.get_by_role("button", name="Minimise").click()
                await expect(page.locator("div[data-state=live]")).to_be_attached()
                await page.get_by_role("button", name="Ask the clinic").click()
                await frame.get_by_test_id("end").click()
                await expect(frame.get_by_test_id("duration")).to_be_visible()
                await page.get_by_role("button", name="Minimise").click()
                await expect(page.locator("iframe")).to_have_count(0)
            (timeline,) = (running.state_dir / "calls").glob("*.jsonl")
            marks = {mark["name"]: mark for mark in map(json.loads, timeline.read_text().splitlines())}
    assert marks["early.heard"]["ms"] > 1000
    assert UNHEARD_MARK not in marks, "they were greeted as soon as they could hear it"


async def framed_text(page: Page) -> str:
    """What the widget shows in its frame."""
    await page.get_by_role("button", name="Ask the clinic").click()
    frame = page.frame_locator("iframe").locator("#root")
    await page.wait_for_load_state("networkidle")
    return "".join(await frame.all_inner_texts())
