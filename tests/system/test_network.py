"""Bad networks, each in a namespace the test makes itself: loss, no UDP, another address, no network for a while."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from repartee.cli.instance import Instance, free_ports, instance
from repartee.cli.livekit import VERSION
from repartee.settings import Settings
from repartee.simulator.far import FarCaller, far_caller
from repartee.simulator.netns import CallerNetwork, caller_network, why_not
from repartee.simulator.providers import Simulator, SimulatorConfig
from tests.system import test_browser
from tests.system.helpers import eventually, write_agent

pytestmark = pytest.mark.livekit
LONG = (
    "The first workshop is on Monday. The second workshop is on Tuesday. The third workshop is on Wednesday. "
    "The fourth workshop is on Thursday. The fifth workshop is on Friday. That is all there is."
)
GEMINI, MCP = "aiewf/turn_001.flac", "aiewf/turn_003.flac"


@pytest.fixture
def network() -> Iterator[CallerNetwork]:
    if reason := why_not():
        pytest.skip(f"no networks of our own: {reason}")
    with caller_network() as made:
        yield made


class MediaServer:
    """A LiveKit server on the cable, as one is on a network: UDP, and TCP for who has no UDP."""

    def __init__(self, network: CallerNetwork, folder: Path) -> None:
        self.network, self.folder = network, folder
        self.port, self.udp, self.tcp = free_ports(3)
        self.key, self.secret = "key-of-the-test", secrets.token_urlsafe(32)
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"ws://{self.network.here}:{self.port}"

    async def start(self) -> None:
        config = {
            "port": self.port,
            "bind_addresses": [self.network.here],
            "keys": {self.key: self.secret},
            "logging": {"level": "warn"},
            "rtc": {
                "udp_port": self.udp,
                "tcp_port": self.tcp,
                "node_ip": self.network.here,
                "use_external_ip": False,
                "interfaces": {"includes": [self.network.cable]},
            },
        }
        file = self.folder / "livekit.json"
        file.write_text(json.dumps(config))
        file.chmod(0o600)
        program = Settings(_env_file=None).cache_dir / "bin" / f"livekit-server-{VERSION}"  # type: ignore[call-arg]
        with (self.folder / "livekit.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                str(program), "--config", str(file), stdout=log, stderr=log
            )
        async with asyncio.timeout(15):
            while not await self._answers():  # noqa: ASYNC110 - it tells nobody that it listens
                await asyncio.sleep(0.05)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(self.network.here, self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@dataclass
class Line:
    """A server, and a caller in a network of their own who was greeted."""

    network: CallerNetwork
    media: MediaServer
    running: Instance
    caller: FarCaller
    place: dict[str, str]

    def marks(self) -> list[dict[str, Any]]:
        files = sorted((self.running.state_dir / "calls").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def times(self, name: str) -> int:
        return sum(mark["name"] == name for mark in self.marks())

    def reason(self) -> str | None:
        with sqlite3.connect(f"file:{self.running.state_dir / 'repartee.db'}?mode=ro", uri=True) as db:
            row = db.execute("SELECT reason FROM calls ORDER BY started_at DESC").fetchone()
        return row[0] if row else None

    async def hear_until(self, text: str, limit_s: float = 30) -> None:
        """Wait until a text was heard."""
        async with asyncio.timeout(limit_s):
            while text not in " ".join(await self.caller.call("captions", "agent")):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # the other process is asked, it tells nothing by itself


@asynccontextmanager
async def serving(
    network: CallerNetwork, speech: Path, folder: Path, more: str = ""
) -> AsyncIterator[tuple[MediaServer, Instance]]:
    """A server with its media server on the cable."""
    script = folder / "script.yaml"
    script.write_text(f"- when: gemini\n  say: '{LONG}'\n- when: mcp\n  say: Yes, there is.\n")
    config = SimulatorConfig(profile="fixed:60/60/60", speech=speech, script=script)
    media = MediaServer(network, folder)
    await media.start()
    try:
        async with Simulator.start(config) as simulator:
            variables = {
                **simulator.environment,
                "LIVEKIT_URL": media.url,
                "LIVEKIT_API_KEY": media.key,
                "LIVEKIT_API_SECRET": media.secret,
                "REPARTEE_HOST": network.here,
            }
            async with instance(write_agent(folder, more), folder / "state", variables) as running:
                yield media, running
    finally:
        await media.kill()


@asynccontextmanager
async def line(
    network: CallerNetwork, speech: Path, folder: Path, *, more: str = "", before: str = ""
) -> AsyncIterator[Line]:
    async with serving(network, speech, folder, more) as (media, running):
        if before:
            getattr(network, before)()
        async with far_caller(network, running.url) as caller:
            await caller.call("join")
            assert await caller.call("wait_for_answer", 20), "the agent greets"
            yield Line(network, media, running, caller, await caller.call("place"))


async def test_a_caller_without_udp_is_heard_over_tcp(
    network: CallerNetwork, speech: Path, tmp_path: Path
) -> None:
    async with line(network, speech, tmp_path, before="block_udp") as call:
        exchange = await call.caller.call("exchange", str(speech / MCP))
    assert exchange["heard"] == "Is there a track about MCP?"
    assert exchange["reply"].strip() == "Yes, there is."


async def test_one_packet_in_twenty_may_be_lost(network: CallerNetwork, speech: Path, tmp_path: Path) -> None:
    async with line(network, speech, tmp_path) as call:
        network.lose(0.05)
        exchange = await call.caller.call("exchange", str(speech / MCP))
        assert call.times("network.reconnecting") == 0
    assert exchange["reply"].strip() == "Yes, there is."


async def test_a_caller_who_is_gone_for_some_seconds_hears_what_they_missed(
    network: CallerNetwork, speech: Path, tmp_path: Path
) -> None:
    async with line(network, speech, tmp_path) as call:
        await call.caller.call("say", str(speech / GEMINI))
        await call.hear_until("The second")
        network.cut()
        await eventually(lambda: call.times("caller.lost") == 1, 15)
        await asyncio.sleep(4)  # away, as somebody in a tunnel is
        network.clear()
        await eventually(lambda: call.times("caller.returned") == 1, 30)
        await call.hear_until("That is all there is.", 40)
        await call.caller.call("wait_for_answer", 5)
        follow_up = await call.caller.call("exchange", str(speech / MCP))
    assert follow_up["reply"].strip() == "Yes, there is.", "the call goes on"
    assert call.times("voice.repeated") == 1
    with sqlite3.connect(call.running.state_dir / "repartee.db") as db:
        heard = [row[0] for row in db.execute("SELECT heard_text FROM turns ORDER BY turn_id")]
    assert LONG in heard, "all of it was heard, and once"


async def test_another_address_is_another_connection_of_the_same_call(
    network: CallerNetwork, speech: Path, tmp_path: Path
) -> None:
    async with line(network, speech, tmp_path) as call:
        network.move()
        await eventually(lambda: call.times("caller.lost") >= 1, 20)
        await eventually(lambda: call.times("caller.returned") >= 1, 45)
        await call.caller.call("wait_for_answer", 10)  # that they were cut off
        exchange = await call.caller.call("exchange", str(speech / MCP))
    assert exchange["reply"].strip() == "Yes, there is."


async def test_a_caller_whose_client_crashed_comes_back_with_their_token(
    network: CallerNetwork, speech: Path, tmp_path: Path
) -> None:
    async with line(network, speech, tmp_path) as call:
        call.caller.kill()
        await eventually(lambda: call.times("caller.lost") == 1, 15)
        async with far_caller(network, call.running.url) as again:
            await again.call("enter", call.place)
            assert await again.call("wait_for_answer", 20), "they are told that they were cut off"
            exchange = await again.call("exchange", str(speech / MCP))
        assert len(list((call.running.state_dir / "calls").glob("*.jsonl"))) == 1, "it is the same call"
    assert exchange["reply"].strip() == "Yes, there is."


async def test_a_caller_who_does_not_come_back_is_let_go(
    network: CallerNetwork, speech: Path, tmp_path: Path
) -> None:
    async with line(network, speech, tmp_path, more="limits: {reconnect_s: 5}") as call:
        network.cut()
        await eventually(lambda: call.reason() == "caller_lost", 30)
        network.clear()


async def test_a_media_server_that_is_started_again_keeps_the_call(
    network: CallerNetwork, speech: Path, tmp_path: Path
) -> None:
    async with line(network, speech, tmp_path) as call:
        await call.media.kill()
        await eventually(lambda: call.times("caller.lost") == 1, 15)
        await call.media.start()
        await eventually(lambda: call.times("caller.returned") == 1, 40)
        await call.caller.call("wait_for_answer", 10)
        exchange = await call.caller.call("exchange", str(speech / MCP))
        assert (await call.caller.call("attributes")).get("lk.agent.state") == "listening"
    assert exchange["reply"].strip() == "Yes, there is."


async def test_without_a_media_server_the_call_ends_and_holds_nothing(
    network: CallerNetwork, speech: Path, tmp_path: Path
) -> None:
    async with line(network, speech, tmp_path, more="limits: {reconnect_s: 5}") as call:
        await call.media.kill()
        await eventually(lambda: call.reason() == "media_lost", 40)
        await eventually(lambda: "call.ended" in call.running.output.read_text(), 20)


async def test_a_worker_that_is_stopped_tells_who_is_left(
    network: CallerNetwork, speech: Path, tmp_path: Path
) -> None:
    async with line(network, speech, tmp_path) as call:
        os.kill(call.running.process.pid, signal.SIGTERM)
        await eventually(lambda: call.reason() == "stopped", 20)


@pytest.mark.browser
async def test_the_page_says_that_it_reconnects_and_does(
    network: CallerNetwork, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "chromium"
    inside.write_text(f'#!/bin/sh\nexec ip netns exec {network.name} {test_browser.CHROMIUM} "$@"\n')
    inside.chmod(0o755)
    async with serving(network, speech, tmp_path) as (_, running):
        monkeypatch.setattr(test_browser, "CHROMIUM", str(inside))
        flags = (
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--unsafely-treat-insecure-origin-as-secure={running.url}",
        )
        async with test_browser.page_at(running.url, *flags) as page:
            await page.get_by_test_id("start").click()
            agent = page.get_by_test_id("caption-agent")
            await expect(agent.first).to_contain_text("this is the test", timeout=30_000)
            network.cut()
            await expect(page.get_by_test_id("reconnecting")).to_be_visible(timeout=20_000)
            network.clear()
            await expect(page.get_by_test_id("reconnecting")).to_be_hidden(timeout=30_000)
            await page.get_by_test_id("chat-input").fill("Tell me about MCP")
            await page.get_by_test_id("chat-send").click()
            await expect(agent.last).to_contain_text("Yes, there is", timeout=30_000)
