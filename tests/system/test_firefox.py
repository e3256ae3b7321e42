"""The page in Firefox, with a sound card: what its own media stack makes of the call."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from repartee.cli.say import say
from tests.conftest import FRONT_DESK
from tests.system import pulse
from tests.system.firefox import MISSING, PROGRAM, Firefox, firefox
from tests.system.helpers import server

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.livekit,
    pytest.mark.models,
    pytest.mark.skipif(not pulse.there(), reason=pulse.MISSING),
    pytest.mark.skipif(PROGRAM is None, reason=MISSING),
]


async def picture(page: Firefox, name: str) -> None:
    if shots := os.environ.get("REPARTEE_SCREENSHOTS"):
        await page.picture(Path(shots) / f"firefox-{name}.png")


async def test_a_conversation_in_firefox(tmp_path: Path) -> None:
    """Spoken into the microphone of a room in which the agent's voice is heard too, then typed."""
    asked = tmp_path / "asked.wav"
    await say([("Are you open on Saturday?", asked)])
    async with (
        server(FRONT_DESK, tmp_path) as running,
        pulse.room(tmp_path / "pulse") as room,
        firefox(tmp_path / "profile", room.environment) as page,
    ):
        await page.visit(running.url)
        await page.until("config", "Whisper")
        await picture(page, "welcome")
        await page.click("start")
        await page.until("caption-agent", "How can I help you")
        await page.until("agent-state", "Listening")
        await room.say(asked)
        await page.until("caption-caller", "open on Saturday")
        await page.until("caption-agent", "At weekends we are closed")
        await page.until("agent-state", "Listening")
        assert (
            await page.evaluate("document.querySelectorAll('[data-testid=\"caption-caller\"]').length") == 1
        ), "Firefox takes the agent's own voice out of the microphone"
        await page.click("chat-input")
        await page.write("What does a visit cost?")
        await page.click("chat-send")
        await page.until("caption-agent", "sixty euros")
        await picture(page, "call")
        await page.click("end")
        await page.until("duration")
        await page.visit(f"{running.url}/calls")
        await page.until("call-row", "Riverside Clinic")
        await picture(page, "calls")
        address = await page.evaluate("document.querySelector('[data-testid=\"call-row\"] a').href")
        await page.visit(f"{address}#turn-1")
        await page.until("waterfall", "Answered after")
        await picture(page, "call-page")
