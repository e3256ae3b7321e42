"""The caller shows something by camera, from the page: the model looks, and says what is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import expect

from tests.system.helpers import eventually, server, simulate, write_agent
from tests.system.test_browser import FIRST_MS, TURN_MS, page_at

pytestmark = [pytest.mark.browser, pytest.mark.long]
WIDTH, HEIGHT = 640, 480


def red_camera(file: Path) -> Path:
    """What Chromium's camera sees: two frames of red, over and over."""
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F5:1 Ip A1:1 C420jpeg\n".encode()
    planes = ((WIDTH * HEIGHT, 80), (WIDTH * HEIGHT // 4, 99), (WIDTH * HEIGHT // 4, 227))
    frame = b"FRAME\n" + b"".join(np.full(size, value, np.uint8).tobytes() for size, value in planes)
    file.write_bytes(head + 2 * frame)
    return file


async def test_what_the_camera_shows_is_looked_at(speech: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("- when: colour\n  call: look\n")
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={red_camera(tmp_path / 'red.y4m')}",
    )
    agent = write_agent(tmp_path, "vision: {enabled: true, max_edge_px: 320}\nrecord: true")
    async with (
        simulate(speech, script) as simulator,
        server(agent, tmp_path, simulator) as running,
        page_at(running.url, *flags) as page,
    ):

        def marked(name: str) -> bool:
            return any(name in file.read_text() for file in (running.state_dir / "calls").glob("*.jsonl"))

        await page.get_by_test_id("start").click()
        agent_said = page.get_by_test_id("caption-agent")
        await expect(agent_said.first).to_contain_text("this is the test", timeout=FIRST_MS)
        await page.get_by_test_id("share-camera").click()
        await eventually(lambda: marked("vision.shown"))
        await page.get_by_test_id("chat-input").fill("Which colour do I show you?")
        await page.get_by_test_id("chat-send").click()
        await expect(agent_said.last).to_contain_text(
            "I see red, in a picture of 320 by 240", timeout=TURN_MS
        )
        await page.get_by_test_id("share-camera").click()
        await eventually(lambda: marked("vision.hidden"))
        await page.get_by_test_id("end").click()
        await page.get_by_test_id("call-page").click()
        looked = page.locator("#turn-1").get_by_alt_text("camera showed at")
        await expect(looked).to_have_js_property("naturalWidth", 320, timeout=TURN_MS)
        asked = [entry for entry in simulator.desk.bill.entries if entry.stage == "llm" and entry.pictures]
    assert [entry.pictures for entry in asked] == [1]
    assert asked[0].tokens_in > 1000, "a picture is billed"
