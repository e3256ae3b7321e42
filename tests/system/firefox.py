"""Firefox as its makers build it, driven over WebDriver BiDi: Playwright drives a Firefox of its own only."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

PROGRAM = shutil.which("firefox-esr") or shutil.which("firefox")
MISSING = "no Firefox here: `python scripts/setup.py --tests --long` installs it"
START_S = 60.0
PREFERENCES: Mapping[str, object] = {
    # To its own machine it makes no connection as it comes; docs/getting-started.md says so.
    "media.peerconnection.ice.loopback": True,
    # Asked for the microphone, a person says yes.
    "media.navigator.permission.disabled": True,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
}
UNTIL = """new Promise((done) => {
  const seen = () => [...document.querySelectorAll('[data-testid=%(name)s]')]
    .some((one) => one.textContent.toLowerCase().includes(%(text)s.toLowerCase()));
  const observer = new MutationObserver(() => { if (seen()) { observer.disconnect(); done(true); } });
  observer.observe(document, { subtree: true, childList: true, characterData: true });
  setTimeout(() => { observer.disconnect(); done(seen()); }, seen() ? 0 : %(limit_ms)d);
})"""


class Firefox:
    """A window with one page.

    Args:
        socket: To the browser.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._asked = 0
        self._page = ""
        self.version = ""

    async def begin(self) -> None:
        """Begin a session."""
        session = await self._ask("session.new", capabilities={})
        self.version = session["capabilities"]["browserVersion"]
        self._page = (await self._ask("browsingContext.getTree"))["contexts"][0]["context"]

    async def visit(self, url: str) -> None:
        """Open an address and wait until it is loaded."""
        await self._ask("browsingContext.navigate", context=self._page, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """Return what an expression comes to: a text, a number or a truth."""
        return (await self._evaluate(expression)).get("value")

    async def until(self, name: str, text: str = "", limit_ms: int = 30_000) -> None:
        """Wait until an element with this test id has these words in it."""
        words = UNTIL % {"name": json.dumps(name), "text": json.dumps(text), "limit_ms": limit_ms}
        if not await self.evaluate(words):
            raise AssertionError(f"no '{text}' in {name}; the page says: {await self.text()}")

    async def text(self) -> str:
        """Return what is on the page."""
        return str(await self.evaluate("document.body.innerText"))

    async def click(self, name: str) -> None:
        """Press an element with the pointer."""
        element = await self._evaluate(f"document.querySelector('[data-testid=\"{name}\"]')")
        assert "sharedId" in element, f"there is no {name}"
        place = {"type": "element", "element": {"sharedId": element["sharedId"]}}
        pressed: list[dict[str, Any]] = [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        moves = [{"type": "pointerMove", "x": 0, "y": 0, "origin": place}, *pressed]
        await self._act("pointer", moves)

    async def write(self, text: str) -> None:
        """Type into what has the focus."""
        await self._act(
            "key", [{"type": kind, "value": letter} for letter in text for kind in ("keyDown", "keyUp")]
        )

    async def picture(self, path: Path) -> None:
        """Keep what is seen, as a PNG."""
        taken = await self._ask("browsingContext.captureScreenshot", context=self._page)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(taken["data"]))

    async def close(self) -> None:
        """End the browser."""
        await self._ask("browser.close")

    async def _act(self, kind: str, actions: list[dict[str, Any]]) -> None:
        await self._ask(
            "input.performActions",
            context=self._page,
            actions=[{"type": kind, "id": kind, "actions": actions}],
        )

    async def _evaluate(self, expression: str) -> dict[str, Any]:
        answer = await self._ask(
            "script.evaluate", expression=expression, target={"context": self._page}, awaitPromise=True
        )
        assert answer["type"] == "success", answer
        result: dict[str, Any] = answer["result"]
        return result

    async def _ask(self, method: str, **parameters: object) -> dict[str, Any]:
        self._asked += 1
        await self._socket.send(json.dumps({"id": self._asked, "method": method, "params": parameters}))
        while (answer := json.loads(await self._socket.recv())).get("id") != self._asked:
            pass  # events, to which nobody subscribed but the session itself
        assert answer["type"] == "success", answer
        result: dict[str, Any] = answer["result"]
        return result


@contextlib.asynccontextmanager
async def firefox(folder: Path, environment: Mapping[str, str] = os.environ) -> AsyncIterator[Firefox]:
    """Run a Firefox with a profile of its own, as it comes but for `PREFERENCES`.

    Args:
        folder: For its profile; made.
        environment: For its process, e.g. where its sound goes.
    """
    assert PROGRAM is not None, MISSING
    await asyncio.to_thread(_profile, folder)
    process = await asyncio.create_subprocess_exec(
        *(PROGRAM, "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port", "0"),
        env={**environment, "HOME": str(folder)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    draining: asyncio.Task[bytes] | None = None
    try:
        async with asyncio.timeout(START_S):
            while not (found := re.search(rb"ws://\S+", line := await process.stderr.readline())):
                assert line, "Firefox ended before it could be driven"
        draining = asyncio.create_task(process.stderr.read(), name="firefox.stderr")
        async with connect(f"{found[0].decode()}/session", max_size=None) as socket:
            browser = Firefox(socket)
            await browser.begin()
            yield browser
            await browser.close()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        await process.wait()
        if draining is not None:
            await draining


def _profile(folder: Path) -> None:
    folder.mkdir()
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items())
    (folder / "user.js").write_text("\n".join(lines))
