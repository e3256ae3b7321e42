"""Bad networks, each in a namespace the test makes itself: loss, no UDP, another address, no network for a while."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sqlite3
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.async_api import Page, expect

from repartee.cli.https import certificate_for
from repartee.cli.instance import Instance, free_ports, instance
from repartee.cli.livekit import VERSION
from repartee.errors import MediaError
from repartee.settings import Settings
from repartee.simulator.far import FarCaller, far_caller
from repartee.simulator.netns import CallerNetwork
from tests.system import test_browser
from tests.system.helpers import eventually, simulate, write_agent

pytestmark = [pytest.mark.livekit, pytest.mark.asyncio(loop_scope="module")]
RECONNECT_S = 14
AWAY_S = 25
LONG = (
    "The first workshop is on Monday. The second workshop is on Tuesday. The third workshop is on Wednesday. "
    "The fourth workshop is on Thursday. That is all there is."
)
GEMINI, MCP = "aiewf/turn_001.flac", "aiewf/turn_003.flac"


@pytest.fixture
def network(cable: CallerNetwork) -> Iterator[CallerNetwork]:
    yield cable
    cable.clear()


class MediaServer:
    """A LiveKit server on the cable, as one is on a network: UDP, and TCP for who has no UDP."""

    def __init__(
        self, network: CallerNetwork, folder: Path, codec: str = "", *, relays: bool = False
    ) -> None:
        self.network, self.folder, self.codec, self.relays = network, folder, codec, relays
        self.port, self.udp, self.tcp, self.turn, self.turns = free_ports(5)
        self.key, self.secret = "key-of-the-test", secrets.token_urlsafe(32)
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"ws://{self.network.here}:{self.port}"

    async def start(self) -> None:
        config: dict[str, Any] = {
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
        if self.relays:
            tls = certificate_for(self.folder, self.network.here)
            config["turn"] = {
                "enabled": True,
                "domain": self.network.here,
                "udp_port": self.turn,
                # It relays to no private address by itself, and its own is one.
                "allow_restricted_peer_cidrs": [f"{self.network.here}/32"],
                "tls_port": self.turns,
                "cert_file": str(tls.certificate),
                "key_file": str(tls.key),
            }
        if self.codec:
            config["room"] = {"enabled_codecs": [{"mime": self.codec}]}
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
class Site:
    """A server with its media server on the cable."""

    network: CallerNetwork
    media: MediaServer
    running: Instance

    @property
    def port(self) -> int:
        return int(self.running.url.rpartition(":")[2])

    def calls(self) -> set[str]:
        return {file.stem for file in (self.running.state_dir / "calls").glob("*.jsonl")}

    @asynccontextmanager
    async def greeted(self) -> AsyncIterator[Line]:
        """A caller in the other network, who has heard the greeting."""
        before = self.calls()
        async with far_caller(self.network, self.running.url) as caller:
            await caller.call("join")
            assert await caller.call("wait_for_answer", 30), "the agent greets"
            (call_id,) = self.calls() - before
            yield Line(self, caller, await caller.call("place"), call_id)


@dataclass
class Line:
    """One call."""

    site: Site
    caller: FarCaller
    place: dict[str, str]
    call_id: str

    def marks(self, name: str) -> list[dict[str, Any]]:
        file = self.site.running.state_dir / "calls" / f"{self.call_id}.jsonl"
        marks = [json.loads(line) for line in file.read_text().splitlines()]
        return [mark for mark in marks if mark["name"] == name]

    def rows(self, query: str) -> list[Any]:
        with sqlite3.connect(f"file:{self.site.running.state_dir / 'repartee.db'}?mode=ro", uri=True) as db:
            return [row[0] for row in db.execute(query, [self.call_id])]

    def ended(self, reason: str) -> bool:
        return self.rows("SELECT reason FROM calls WHERE call_id = ?") == [reason]

    async def marked(self, name: str, limit_s: float = 30) -> None:
        """Wait for a mark."""
        await eventually(lambda: self.marks(name), limit_s)

    async def hear_until(self, text: str, limit_s: float = 30) -> None:
        """Wait until a text was heard."""
        async with asyncio.timeout(limit_s):
            while text not in " ".join(await self.caller.call("captions", "agent")):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # the other process is asked, it tells nothing by itself

    async def goes_on(self, speech: Path) -> None:
        """Ask something, and be answered."""
        exchange = await self.caller.call("exchange", str(speech / MCP))
        assert exchange["reply"].strip().endswith("Yes, there is.")


@asynccontextmanager
async def serving(
    network: CallerNetwork,
    speech: Path,
    folder: Path,
    codec: str = "",
    reconnect_s: int = RECONNECT_S,
    *,
    relays: bool = False,
) -> AsyncIterator[Site]:
    script = folder / "script.yaml"
    script.write_text(f"- when: gemini\n  say: '{LONG}'\n- when: mcp\n  say: Yes, there is.\n")
    agent = write_agent(folder, f"limits: {{reconnect_s: {reconnect_s}}}")
    media = MediaServer(network, folder, codec, relays=relays)
    await media.start()
    try:
        async with simulate(speech, script) as simulator:
            variables = {
                **simulator.environment,
                "LIVEKIT_URL": media.url,
                "LIVEKIT_API_KEY": media.key,
                "LIVEKIT_API_SECRET": media.secret,
                "REPARTEE_HOST": network.here,
            }
            async with instance(agent, folder / "state", variables) as running:
                yield Site(network, media, running)
    finally:
        await media.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    cable: CallerNetwork, speech: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    async with serving(cable, speech, tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.mark.long
async def test_a_caller_without_udp_is_heard_over_tcp(
    network: CallerNetwork, site: Site, speech: Path
) -> None:
    network.block_udp()
    async with site.greeted() as call:
        assert {route.rpartition("/")[2] for route in await call.caller.call("routes")} == {"tcp"}
        await call.goes_on(speech)


@pytest.mark.long
async def test_a_caller_whom_only_a_relay_lets_through_is_heard_over_turn(
    network: CallerNetwork, speech: Path, tmp_path: Path
) -> None:
    async with serving(network, speech, tmp_path, relays=True) as site:
        network.only(udp=site.media.turn, tcp=(site.port, site.media.port))
        async with site.greeted() as call:
            assert await call.caller.call("routes") == ["relay/udp"]
            await call.goes_on(speech)


@pytest.mark.long
async def test_one_packet_in_twenty_may_be_lost(network: CallerNetwork, site: Site, speech: Path) -> None:
    network.lose(0.05)
    async with site.greeted() as call:
        await call.goes_on(speech)
        assert not call.marks("network.reconnecting")
        assert not call.marks("caller.lost")


async def test_a_caller_who_is_gone_for_some_seconds_hears_what_they_missed(
    network: CallerNetwork, site: Site, speech: Path
) -> None:
    async with site.greeted() as call:
        await call.caller.call("say", str(speech / GEMINI))
        await call.hear_until("The second")
        network.cut()
        await call.marked("caller.lost", 15)
        await asyncio.sleep(2)  # away, as somebody in a tunnel is
        network.clear()
        await call.marked("caller.returned")
        await call.hear_until("That is all there is.", 40)
        await call.caller.call("wait_for_quiet", 0.9, 10)
        await call.goes_on(speech)
    assert len(call.marks("voice.repeated")) == 1
    assert LONG in call.rows("SELECT heard_text FROM turns WHERE call_id = ?"), "all was heard, and once"


@pytest.mark.long
async def test_another_address_is_another_connection_of_the_same_call(
    network: CallerNetwork, site: Site, speech: Path
) -> None:
    async with site.greeted() as call:
        network.move()
        await call.marked("caller.lost", 20)
        await call.marked("caller.returned")
        await call.caller.call("wait_for_answer", 5)  # that they were cut off
        await call.goes_on(speech)


@pytest.mark.long
async def test_a_caller_whose_client_crashed_comes_back_with_their_token(
    network: CallerNetwork, site: Site, speech: Path
) -> None:
    async with site.greeted() as call:
        calls = site.calls()
        async with far_caller(network, site.running.url) as again:
            call.caller.kill()
            await call.marked("caller.lost", 15)
            await again.call("enter", call.place)
            await call.marked("caller.returned")
            call.caller = again
            await call.goes_on(speech)
        assert site.calls() == calls, "it is the same call"
        await eventually(lambda: call.ended("caller_left"))


@pytest.mark.long
async def test_a_caller_who_does_not_come_back_is_let_go(network: CallerNetwork, site: Site) -> None:
    async with site.greeted() as call:
        network.cut()
        await eventually(lambda: call.ended("caller_lost"), 40)
        network.clear()


@pytest.mark.long
async def test_a_media_server_that_is_started_again_keeps_the_call(
    network: CallerNetwork, site: Site, speech: Path
) -> None:
    async with site.greeted() as call:
        await site.media.kill()
        await call.marked("caller.lost", 15)
        await site.media.start()
        await call.marked("caller.returned")
        await call.caller.call("wait_for_answer", 5)
        await call.goes_on(speech)
        assert (await call.caller.call("attributes")).get("lk.agent.state") == "listening"


@pytest.mark.long
async def test_without_a_media_server_the_call_ends_and_holds_nothing(
    network: CallerNetwork, site: Site
) -> None:
    async with site.greeted() as call:
        await site.media.kill()
        await eventually(lambda: call.ended("media_lost"), 40)
        ended = f'"call_id": "{call.call_id}", "outcome": "ended"'
        await eventually(lambda: ended in site.running.output.read_text(), 20)
        await site.media.start()
    registered = "worker.registered"
    await eventually(lambda: site.running.output.read_text().count(registered) >= 2)
    async with site.greeted():
        pass  # and the worker takes calls again


@pytest.mark.long
async def test_a_media_server_without_opus_is_said_instead_of_a_call_without_sound(
    network: CallerNetwork, speech: Path, tmp_path: Path
) -> None:
    async with serving(network, speech, tmp_path, "audio/PCMU") as site:
        with pytest.raises(MediaError, match="set up without Opus"):
            async with site.greeted():
                pass
        assert "livekit.no_opus" in site.running.output.read_text()


@asynccontextmanager
async def page_of_a_call(network: CallerNetwork, site: Site, folder: Path, *more: str) -> AsyncIterator[Page]:
    """The page in the other network, with a caller who has heard the greeting."""
    inside = folder / "chromium"
    inside.write_text(f'#!/bin/sh\nexec ip netns exec {network.name} {test_browser.CHROMIUM} "$@"\n')
    inside.chmod(0o755)
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--unsafely-treat-insecure-origin-as-secure={site.running.url}",
        *more,
    )
    async with test_browser.page_at(site.running.url, *flags, program=str(inside)) as page:
        await page.get_by_test_id("start").click()
        await expect(page.get_by_test_id("caption-agent").first).to_contain_text(
            "this is the test", timeout=30_000
        )
        yield page


async def typed(page: Page, words: str) -> None:
    await page.get_by_test_id("chat-input").fill(words)
    await page.get_by_test_id("chat-send").click()


async def asked_by_typing(page: Page) -> None:
    await typed(page, "Tell me about MCP")
    await expect(page.get_by_test_id("caption-agent").last).to_contain_text("Yes, there is", timeout=30_000)


async def arrived(page: Page) -> None:
    """All that was typed is known to have reached the agent."""
    await expect(page.locator("[data-pending=true]")).to_have_count(0, timeout=30_000)


@pytest.mark.browser
@pytest.mark.long
async def test_a_page_that_only_https_is_let_through_to_is_heard_over_turn(
    network: CallerNetwork, speech: Path, tmp_path: Path
) -> None:
    async with serving(network, speech, tmp_path, relays=True) as site:
        key = x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes()).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        known = f"--ignore-certificate-errors-spki-list={b64encode(sha256(spki).digest()).decode()}"
        # Clients are told 443, where a load balancer passes it on.
        network.only(udp=None, tcp=(site.port, site.media.port, 443, site.media.turns))
        network.forward(443, site.media.turns)
        async with page_of_a_call(network, site, tmp_path, known) as page:
            await asked_by_typing(page)


@pytest.mark.browser
@pytest.mark.long
async def test_the_page_says_that_it_reconnects_and_does(
    network: CallerNetwork, site: Site, tmp_path: Path
) -> None:
    async with page_of_a_call(network, site, tmp_path) as page:
        line = page.get_by_test_id("line")
        network.cut()
        # Sooner than the media client notices, who waits for 15 s: the agent would be gone by then.
        await expect(line).to_have_attribute("data-line", "reconnecting", timeout=10_000)
        await typed(page, "typed while nothing goes through")
        network.clear()
        await expect(line).to_have_attribute("data-line", re.compile("back|good"), timeout=30_000)
        await arrived(page)
        await asked_by_typing(page)


@pytest.mark.browser
@pytest.mark.long
async def test_a_page_that_was_away_for_long_comes_back_to_its_call(
    network: CallerNetwork, speech: Path, tmp_path: Path
) -> None:
    async with (
        serving(network, speech, tmp_path, reconnect_s=60) as site,
        page_of_a_call(network, site, tmp_path) as page,
    ):
        network.cut()
        await typed(page, "This is typed as the line was cut.")
        await asyncio.sleep(AWAY_S)  # the media client tries to come back by itself, in vain
        await typed(page, "This is typed while it is away.")
        await expect(page.locator("[data-pending=true]")).to_have_count(2)
        network.clear()
        line = page.get_by_test_id("line")
        await expect(line).to_have_attribute("data-line", re.compile("back|good"), timeout=40_000)
        await arrived(page)
        await asked_by_typing(page)
        (call,) = site.calls()  # it is the same call
        with sqlite3.connect(site.running.state_dir / "repartee.db") as db:
            said = db.execute("SELECT user_text FROM turns WHERE call_id = ?", [call]).fetchall()
    words = " ".join(text for (text,) in said)
    assert [words.count(f"typed {when}") for when in ("as the line was cut", "while it is away")] == [1, 1]
