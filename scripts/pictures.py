"""Make the pictures of docs/call-page.md: real calls over WebRTC, simulated vendors, their pages in Chromium.

`python scripts/pictures.py`: everything, into docs/images. `--calls FOLDER` makes the calls only and leaves their
database and recordings there; `--show FOLDER` takes pictures of what is there; with a second folder, in dark and on a
phone as well, into that. Pages have the reader's own system's font; the pictures have Inter, where it is installed
(`apt install fonts-inter`), as that of a server without a screen is none to look at.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SPEECH = Path(os.environ.get("REPARTEE_SPEECH", ROOT.parent / "shared" / "speech"))
IMAGES = ROOT / "docs" / "images"
AGENT = ROOT / "scripts" / "call_page" / "agent.yaml"
ANSWERS = ROOT / "scripts" / "call_page" / "answers.yaml"
FIRST = ("turn_000", "turn_003", "turn_005", "turn_006", "turn_009", "turn_011", "turn_013", "turn_014")
SECOND = ("turn_009", "turn_012")
INTERRUPTED = "turn_003"
SHOWN_MS = 15_000
MADE_UP = 1500
LOOKS = (
    ("", 1280, 1060, "light"),
    ("-dark", 1280, 1060, "dark"),
    ("-phone", 390, 844, "light"),
)
KEYS = {"CARTESIA_API_KEY": "simulated"}
FONTS = """<?xml version="1.0"?><fontconfig><include>/etc/fonts/fonts.conf</include>
<match target="pattern">
<test qual="all" name="family" compare="not_eq"><string>monospace</string></test>
<edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit>
</match></fontconfig>"""


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Browser]:
    """A browser that shows pages in a font that is made for screens."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        fonts = Path(folder) / "fonts.conf"
        fonts.write_text(FONTS, encoding="utf-8")
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=program,
                args=["--no-sandbox", *flags],
                env={**os.environ, "FONTCONFIG_FILE": str(fonts)},
            )
            yield browser
            await browser.close()


async def make_calls(state: Path) -> None:
    """Hold the calls."""
    from repartee.cli.instance import instance  # noqa: PLC0415
    from repartee.simulator.providers import Simulator, SimulatorConfig  # noqa: PLC0415

    config = SimulatorConfig(profile="fast", speech=SPEECH, script=ANSWERS)
    async with (
        Simulator.start(config) as simulator,
        instance(AGENT, state, simulator.environment | KEYS) as running,
    ):
        for number, turns in enumerate((FIRST, SECOND), 1):
            await hold(running.url, turns)
            await until_over(state, number)


async def hold(url: str, turns: tuple[str, ...]) -> None:
    """Hold one call; one answer is interrupted by the turn after it."""
    from repartee.simulator.audio import read_audio  # noqa: PLC0415
    from repartee.simulator.caller import RATE_HZ, Caller  # noqa: PLC0415

    caller = Caller(url)
    try:
        await caller.join()
        await caller.wait_for_answer(20)
        for turn in turns:
            await caller.say(read_audio(SPEECH / "aiewf" / f"{turn}.flac", RATE_HZ))
            if turn == INTERRUPTED:
                await caller.wait_for_sound(20)
                await caller.wait_until(caller.now_s() + 2.5)
            else:
                await caller.wait_for_answer(20)
    finally:
        await caller.leave()


async def until_over(state: Path, number: int) -> None:
    """Wait until so many calls have ended: the server must not be stopped before the last one's end is written."""
    from repartee.store import CallQuery, Store  # noqa: PLC0415

    store = Store.open(f"sqlite:///{state / 'repartee.db'}")
    async with asyncio.timeout(20):
        while await asyncio.to_thread(store.count, CallQuery(state="ended")) < number:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)
    store.close()


async def take(state: Path, images: Path) -> None:
    """Take the pictures of what a folder holds."""
    from repartee.cli.instance import instance  # noqa: PLC0415
    from repartee.simulator.providers import Simulator, SimulatorConfig  # noqa: PLC0415
    from repartee.store import CallQuery, Store  # noqa: PLC0415

    store = Store.open(f"sqlite:///{state / 'repartee.db'}")
    longest = max(store.find(CallQuery()), key=lambda found: found.turns).call.call_id
    store.close()
    async with (
        Simulator.start(SimulatorConfig(profile="fast", speech=SPEECH)) as simulator,
        instance(AGENT, state, simulator.environment | KEYS) as running,
        chromium() as browser,
    ):
        looks = LOOKS[: 1 if images == IMAGES else None]
        call = f"{running.url}/calls/{longest}#turn-1"
        await take_looks(browser, looks, call, "call-ready", images / "call-page.png")
        await asyncio.to_thread(fill_list, state)
        await take_looks(browser, looks, f"{running.url}/calls", "calls-ready", images / "calls.png")


def fill_list(state: Path) -> None:
    """Have a month of calls beside the real ones: they are made up."""
    from tests.store.many import fill  # noqa: PLC0415

    from repartee.store import Store  # noqa: PLC0415

    store = Store.open(f"sqlite:///{state / 'repartee.db'}")
    fill(store, MADE_UP)
    store.close()


async def take_looks(
    browser: Browser, looks: Sequence[tuple[str, int, int, str]], url: str, ready: str, file: Path
) -> None:
    """Take a page in each look."""
    for name, width, height, scheme in looks:
        page = await browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
            device_scale_factor=1.5,
        )
        await shoot(page, url, ready, file.with_stem(file.stem + name))
        await page.close()


async def shoot(page: Page, url: str, ready: str, file: Path) -> None:
    """Take one picture."""
    await page.goto(url)
    await page.get_by_test_id(ready).wait_for(timeout=SHOWN_MS)
    await page.wait_for_load_state("networkidle")
    await page.evaluate("window.scrollTo(0, 0)")
    await page.screenshot(path=file)


async def main() -> int:
    """Run what is asked for."""
    asked = sys.argv[1:]
    if asked[:1] == ["--calls"]:
        await make_calls(Path(asked[1]))
    elif asked[:1] == ["--show"]:
        await take(Path(asked[1]), Path(asked[2]) if len(asked) > 2 else IMAGES)
    else:
        with tempfile.TemporaryDirectory() as folder:
            await make_calls(Path(folder))
            await take(Path(folder), IMAGES)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
