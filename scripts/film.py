"""Make the moving picture of README: a real call on the page, over WebRTC, with simulated vendors, in Chromium.

`python scripts/film.py`: into docs/images/call.webp; `--frames FOLDER` leaves the single pictures there as well. The
microphone is recordings of people's questions, spoken when it is their turn; what is on screen is what came of it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from PIL import Image, ImageDraw, ImageFont
from playwright.async_api import CDPSession, Page, expect

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.pictures import ANSWERS, IMAGES, KEYS, SPEECH, chromium  # noqa: E402

AGENT = ROOT / "scripts" / "call_page" / "film.yaml"
FILM = IMAGES / "call.webp"
WIDTH, HEIGHT, STRIP = 720, 600, 44
SCALE = 1.5
FRAMES_PER_S = 15
LONGEST_S = 12.0
LAST_S = 1.6
LARGEST_BYTES = 1_500_000
QUALITY = 80
STRIP_INK, STRIP_GROUND = "#ffffff", "#12302d"
PRESSED_S = 0.35
RATE_HZ = 48_000
WAIT_MS = 30_000
ASKED, INTERRUPTING = "turn_003", "turn_004"
INTO_ANSWER_S = 2.4

MICROPHONE = """(() => {
  const context = new AudioContext({ sampleRate: 48000 });
  const out = context.createMediaStreamDestination();
  const room = context.createBufferSource();
  room.buffer = context.createBuffer(1, 2 * 48000, 48000);
  const noise = room.buffer.getChannelData(0);
  for (let at = 0; at < noise.length; at += 1) noise[at] = (Math.random() - 0.5) / 800;
  room.loop = true;
  room.connect(out);
  room.start();
  window.microphone = { context, out, room };
  navigator.mediaDevices.getUserMedia = async () => {
    await context.resume();
    return new MediaStream(out.stream.getAudioTracks().map((track) => track.clone()));
  };
  window.speak = async (wav) => {
    const bytes = Uint8Array.from(atob(wav), (c) => c.charCodeAt(0));
    const source = context.createBufferSource();
    source.buffer = await context.decodeAudioData(bytes.buffer);
    source.connect(out);
    const over = new Promise((done) => { source.onended = done; });
    source.start();
    await over;
  };
})()"""
"""A microphone in a quiet room, that says what it is given."""


@dataclass
class Film:
    """What was seen, and when."""

    frames: list[tuple[float, bytes]] = field(default_factory=list)
    titles: list[tuple[float, str]] = field(default_factory=list)
    presses: list[tuple[float, float, float]] = field(default_factory=list)
    """When the pointer was pressed, and where, as shares of the picture."""

    def title(self, text: str) -> None:
        """Say from now on what is seen."""
        self.titles.append((time.time(), text))

    def title_at(self, at_s: float) -> str:
        """Return what is said of a moment."""
        return next((text for since_s, text in reversed(self.titles) if since_s <= at_s), "")


async def roll(page: Page, film: Film) -> CDPSession:
    """Begin to film a page."""
    camera = await page.context.new_cdp_session(page)
    going = set[asyncio.Task[object]]()

    def seen(event: dict[str, Any]) -> None:
        film.frames.append((event["metadata"]["timestamp"], base64.b64decode(event["data"])))
        acknowledged = asyncio.ensure_future(
            camera.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})
        )
        going.add(acknowledged)
        acknowledged.add_done_callback(going.discard)

    camera.on("Page.screencastFrame", seen)
    size = {"maxWidth": int(WIDTH * SCALE), "maxHeight": int(HEIGHT * SCALE)}
    await camera.send("Page.startScreencast", {"format": "jpeg", "quality": 92, **size})
    return camera


async def press(page: Page, film: Film, name: str) -> None:
    """Press a button, to be seen."""
    button = page.get_by_test_id(name)
    box, view = await button.bounding_box(), page.viewport_size
    if box is None or view is None:
        raise LookupError(f"there is nothing to press: {name}")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    film.presses.append((time.time(), x / view["width"], y / view["height"]))
    await asyncio.sleep(PRESSED_S / 2)
    await button.click()


def spoken(turn: str) -> str:
    """Return a recording without the silence around it, as a WAV file in base64."""
    from repartee.simulator.audio import read_audio  # noqa: PLC0415

    pcm = read_audio(SPEECH / "aiewf" / f"{turn}.flac", RATE_HZ)
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 300)
    file = io.BytesIO()
    sf.write(file, pcm[max(0, loud[0] - RATE_HZ // 10) : loud[-1] + RATE_HZ // 10], RATE_HZ, format="WAV")
    return base64.b64encode(file.getvalue()).decode()


async def act(page: Page, film: Film) -> None:
    """Hold the call, and look at what became of it."""
    asked, interrupting = spoken(ASKED), spoken(INTERRUPTING)
    agent, state = page.get_by_test_id("caption-agent"), page.get_by_test_id("agent-state")
    film.title("One press, and the line is open")
    await asyncio.sleep(0.7)
    await press(page, film, "start")
    await expect(agent.first).to_be_visible(timeout=WAIT_MS)
    film.title("The agent greets")
    await expect(state).to_have_attribute("data-state", "listening", timeout=WAIT_MS)
    film.title("The caller asks, aloud")
    await page.evaluate("wav => window.speak(wav)", asked)
    await expect(agent.nth(1)).to_be_visible(timeout=WAIT_MS)
    film.title("It answers")
    await asyncio.sleep(INTO_ANSWER_S)
    film.title("The caller interrupts: it falls silent, and knows what was not heard")
    await page.evaluate("wav => window.speak(wav)", interrupting)
    await expect(agent.nth(2)).to_be_visible(timeout=WAIT_MS)
    film.title("… and answers that instead")
    await expect(state).to_have_attribute("data-state", "listening", timeout=WAIT_MS)
    await press(page, film, "end")
    await page.get_by_test_id("call-page").wait_for(timeout=WAIT_MS)
    await asyncio.sleep(0.6)
    film.title("Afterwards: every wait explained, every cent accounted for")
    await press(page, film, "call-page")
    await page.set_viewport_size({"width": WIDTH * 3 // 2, "height": HEIGHT * 3 // 2})
    await page.get_by_test_id("wave").locator("canvas").first.wait_for(state="attached", timeout=WAIT_MS)
    await asyncio.sleep(1.6)
    turn = page.locator("#turn-1")
    await turn.get_by_test_id("waterfall").locator("summary").click()
    await turn.evaluate("turn => turn.scrollIntoView({ behavior: 'smooth', block: 'start' })")
    await asyncio.sleep(1.8)


async def shoot(film: Film) -> None:
    """Make the call, filmed."""
    from repartee.cli.instance import instance  # noqa: PLC0415
    from repartee.simulator.providers import Simulator, SimulatorConfig  # noqa: PLC0415

    flags = ("--autoplay-policy=no-user-gesture-required", "--use-fake-device-for-media-stream")
    with tempfile.TemporaryDirectory() as folder:
        config = SimulatorConfig(profile="fast", speech=SPEECH, script=ANSWERS)
        async with (
            Simulator.start(config) as simulator,
            instance(AGENT, Path(folder), simulator.environment | KEYS) as running,
            chromium(*flags) as browser,
        ):
            page = await browser.new_page(
                viewport={"width": WIDTH, "height": HEIGHT},
                device_scale_factor=SCALE,
                permissions=["microphone"],
            )
            await page.add_init_script(MICROPHONE)
            await page.goto(running.url)
            await page.get_by_test_id("config").wait_for(state="attached", timeout=WAIT_MS)
            camera = await roll(page, film)
            await act(page, film)
            await camera.send("Page.stopScreencast")


def develop(film: Film) -> tuple[list[Image.Image], list[int], float]:
    """Return the pictures, how long each is shown in ms, and how many times faster than it was."""
    began_s, ended_s = film.frames[0][0], film.frames[-1][0]
    speed = max(1.0, (ended_s - began_s) / (LONGEST_S - LAST_S))
    pictures: list[Image.Image] = []
    shown_ms: list[int] = []
    step_ms = round(1000 / FRAMES_PER_S)
    last: tuple[object, ...] = ()
    number = 0
    for count in range(int((ended_s - began_s) / speed * FRAMES_PER_S) + 1):
        at_s = began_s + count / FRAMES_PER_S * speed
        while number + 1 < len(film.frames) and film.frames[number + 1][0] <= at_s:
            number += 1
        pressed = [(x, y) for when, x, y in film.presses if 0 <= at_s - when <= PRESSED_S * speed]
        seen = (number, film.title_at(at_s), *pressed)
        if seen == last:
            shown_ms[-1] += step_ms
            continue
        last = seen
        pictures.append(developed(film.frames[number][1], film.title_at(at_s), pressed))
        shown_ms.append(step_ms)
    shown_ms[-1] += round(1000 * LAST_S)
    return pictures, shown_ms, speed


def developed(jpeg: bytes, title: str, pressed: list[tuple[float, float]]) -> Image.Image:
    """Return one picture, with what is said of it below."""
    picture = Image.new("RGB", (WIDTH, HEIGHT + STRIP), STRIP_GROUND)
    with Image.open(io.BytesIO(jpeg)) as frame:
        picture.paste(frame.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS), (0, 0))
    draw = ImageDraw.Draw(picture, "RGBA")
    for x, y in pressed:
        middle = (x * WIDTH, y * HEIGHT)
        draw.circle(middle, 26, fill=(15, 118, 110, 70), outline=(15, 118, 110, 200), width=2)
    font = ImageFont.load_default(17)
    draw.text((WIDTH / 2, HEIGHT + STRIP / 2), title, fill=STRIP_INK, font=font, anchor="mm")
    return picture


def keep(film: Film, folder: Path) -> None:
    """Leave the single pictures, named by when they were seen in ms; of a call that came to nothing too."""
    folder.mkdir(parents=True, exist_ok=True)
    for at_s, jpeg in film.frames:
        (folder / f"{(at_s - film.frames[0][0]) * 1000:06.0f}.jpg").write_bytes(jpeg)


def main() -> int:
    """Make it."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--frames", type=Path)
    asked.add_argument("--to", type=Path, default=FILM)
    options = asked.parse_args()
    film = Film()
    try:
        asyncio.run(shoot(film))
    finally:
        if options.frames is not None:
            keep(film, options.frames)
    pictures, shown_ms, speed = develop(film)
    pictures[0].save(
        options.to,
        save_all=True,
        append_images=pictures[1:],
        duration=shown_ms,
        loop=0,
        quality=QUALITY,
        method=5,
    )
    size = options.to.stat().st_size
    told = f"{options.to}: {sum(shown_ms) / 1000:.1f} s, {speed:.2f} times as fast as it was, {size:,} bytes"
    sys.stdout.write(f"{told}\n")
    if size > LARGEST_BYTES:
        sys.stderr.write(f"it is larger than {LARGEST_BYTES:,} bytes; lower QUALITY or FRAMES_PER_S\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
