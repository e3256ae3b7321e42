"""Clients of others against this server: their pages, served as a site of its own, and the table of what was run."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest
import soundfile as sf
from playwright.async_api import Page, async_playwright

from repartee.simulator.audio import read_audio

FOLDER = Path(__file__).parent.parent / "interop"
BUILT = FOLDER / "dist"
RATE_HZ = 48_000
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class _Site(SimpleHTTPRequestHandler):
    """A folder, and `POST /start`, where Pipecat's pages ask for a place: the site's own server asks for it."""

    start: ClassVar[str] = ""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        answer = httpx.post(self.start, content=asked, headers={"Content-Type": "application/json"})
        self.send_response(answer.status_code)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def site(folder: Path = BUILT, start: str = "") -> Iterator[str]:
    """A site that serves a folder; its origin is told. Who starts a bot there is given a place at `start`."""
    assert folder.is_dir(), f"{folder} is not built; run `make test`, which builds it"
    handler = type("Site", (_Site,), {"start": start})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def microphone(folder: Path, *parts: float | Path) -> Path:
    """A microphone that gives recordings, with seconds of silence between them, and then nothing more.

    Who is digitally silent for ten seconds after joining is told that their microphone is broken.
    """
    sound = [
        np.zeros(int(part * RATE_HZ), np.int16)
        if isinstance(part, int | float)
        else np.asarray(read_audio(part, RATE_HZ), np.int16)
        for part in parts
    ]
    file = folder / "microphone.wav"
    sf.write(file, np.concatenate([*sound, np.zeros(120 * RATE_HZ, np.int16)]), RATE_HZ)
    return file


@asynccontextmanager
async def browsing(mic: Path) -> AsyncIterator[Page]:
    """A page of a Chromium whose microphone is a file."""
    if CHROMIUM is None:
        pytest.fail("Chromium is not installed; run `make test`, which installs it")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--autoplay-policy=no-user-gesture-required",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={mic}%noloop",
            ],
        )
        try:
            yield await browser.new_page()
        finally:
            await browser.close()


class Seen:
    """What a page has noted."""

    def __init__(self, page: Page, limit_s: float = 30.0) -> None:
        self._page = page
        self._limit_ms = limit_s * 1000

    async def now(self, name: str) -> Any:
        """Return a value as it is."""
        return await self._page.evaluate("name => window.report[name]", name)

    async def history(self, name: str) -> list[Any]:
        """Return all a value has been."""
        return list(await self._page.evaluate("name => window.reports[name] ?? []", name))

    async def until(self, name: str, holds: str) -> Any:
        """Wait until a value is there for which an expression of `it` holds; return it."""
        try:
            await self._page.wait_for_function(
                f"name => {{ const it = window.report[name]; return it !== undefined && ({holds}); }}",
                arg=name,
                timeout=self._limit_ms,
            )
        except Exception as error:
            noted = json.dumps(await self._page.evaluate("() => window.report"), indent=1)
            raise AssertionError(f"{name} never was such that {holds}; the page has noted {noted}") from error
        return await self.now(name)


def pipecat_s_page() -> Path:
    """Return the folder of Pipecat's own page, as it is on PyPI."""
    found = importlib.util.find_spec("pipecat_ai_prebuilt")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "client" / "dist"


def versions(*packages: str) -> dict[str, str]:
    """Return the installed versions of packages of the page."""
    found = {}
    for package in packages:
        told = json.loads((FOLDER / "node_modules" / package / "package.json").read_text(encoding="utf-8"))
        found[package] = str(told["version"])
    return found


@contextmanager
def row(client: str, packages: dict[str, str], shown: Sequence[str]) -> Iterator[None]:
    """Note in the table of `REPARTEE_INTEROP`, a file, that a client was run, and whether it worked."""
    worked = False
    try:
        yield
        worked = True
    finally:
        if file := os.environ.get("REPARTEE_INTEROP"):
            _note(
                Path(file),
                {
                    "client": client,
                    "packages": packages,
                    "shown": list(shown),
                    "date": f"{datetime.now(UTC):%Y-%m-%d}",
                    "worked": worked,
                },
            )


def _note(file: Path, new: dict[str, Any]) -> None:
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.is_file() else []
    rows = [old for old in rows if old["client"] != new["client"]]
    told = {"command": "make interop", "rows": sorted([*rows, new], key=lambda each: str(each["client"]))}
    file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
