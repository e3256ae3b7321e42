"""What others build clients with, in Chromium, against a real server: their hooks and events, not ours."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from repartee.cli.instance import instance
from repartee.simulator.providers import Simulator, SimulatorConfig
from tests.system.helpers import write_agent
from tests.system.interop import Seen, browsing, microphone, pipecat_s_page, row, site, versions

pytestmark = pytest.mark.browser
PROFILE = "fixed:60/60/60"
WAIT_MS = 30_000
GREETING = "Hello, this is the test."
ASKED = "any workshops about"
"""The middle of the question: a browser may take a microphone's first sound for noise, and the simulated recogniser
knows a recording to a word at its end."""
TYPED = "Do you have parking?"


@asynccontextmanager
async def page_of(name: str, speech: Path, folder: Path, first_s: float) -> AsyncIterator[Page]:
    """A page in a call whose caller asks `ASKED` after some seconds."""
    mic = microphone(folder, first_s, speech / "aiewf" / "turn_001.flac")
    agent = write_agent(folder)
    async with Simulator.start(SimulatorConfig(profile=PROFILE, speech=speech)) as simulator:
        with site() as origin:
            variables = {**simulator.environment, "REPARTEE_ALLOWED_ORIGINS": origin}
            async with instance(agent, folder / "state", variables) as running, browsing(mic) as page:
                await page.goto(f"{origin}/{name}.html?server={running.url}")
                await page.get_by_text("start").click()
                yield page


@pytest.mark.long
async def test_livekit_s_hooks(speech: Path, tmp_path: Path) -> None:
    shown = (
        "`useSession`, `useAgent`: joined, states, no failure, ended",
        "`useVoiceAssistant`: state, voice, captions",
        "`useTrackTranscription`: both sides, interim and final",
        "`useSessionMessages`, `useChat`: typed words once, answered",
        "`lk.agent.session`: events, history, run_input",
        "RPC",
    )
    packages = versions("@livekit/components-react", "livekit-client", "@livekit/protocol")
    with row("LiveKit components for React", packages, shown):
        async with page_of("livekit", speech, tmp_path, 8.0) as page:
            seen = Seen(page)
            await greeted_and_asked(seen)
            await typed(page, seen)
            await debugged(page, seen)
            await page.get_by_role("button", name="end", exact=True).click()
            await seen.until("connection", "it === 'disconnected'")


async def greeted_and_asked(seen: Seen) -> None:
    greeting = f"it.some(s => s.text === {GREETING!r} && s.final)"
    await seen.until("useVoiceAssistant.transcriptions", greeting)
    await seen.until("useTrackTranscription.agent", greeting)
    mine = await seen.until("useTrackTranscription.mine", "it.length > 0 && it[it.length - 1].final")
    assert len(mine) == 1
    assert ASKED in mine[0]["text"]
    agents = await seen.until("useTrackTranscription.agent", "it.length === 2 && it[1].final")
    assert ASKED in agents[1]["text"]
    await seen.until("useAgent.state", "it === 'listening'")
    states = set(await seen.history("useAgent.state"))
    assert {"listening", "speaking"} <= states, states
    assert "failed" not in states
    assert await seen.history("useAgent.failures") == [None]
    assert await seen.now("useVoiceAssistant.audio") == "microphone"
    streams = await seen.now("useTranscriptions")
    assert [stream["mine"] for stream in streams] == [False, True, False]
    assert all(stream["lk.segment_id"] and stream["lk.transcribed_track_id"] for stream in streams)


async def typed(page: Page, seen: Seen) -> None:
    await page.locator("input").fill(TYPED)
    await page.get_by_text("send").click()
    messages = await seen.until(
        "useSessionMessages", "it.some(m => m.message.includes('do you have parking'))"
    )
    mine = [message["type"] for message in messages if message["message"] == TYPED]
    assert mine == ["chatMessage"], "typed words are shown once"
    await seen.until("useTrackTranscription.agent", "it.length === 3 && it[2].final")


async def debugged(page: Page, seen: Seen) -> None:
    async def ask(case: str, value: dict[str, Any] | None = None) -> Any:
        request = {"case": case, "value": value or {}}
        await page.evaluate("([request, id]) => window.ask(request, id)", [request, case])
        return await seen.until(f"session.{case}", "true")

    history = await ask("getChatHistory")
    said = [item["message"]["content"][0]["text"] for item in history["getChatHistory"]["items"]]
    assert said[0] == GREETING
    assert ASKED in said[1]
    assert said[3] == TYPED
    stats = await ask("getRtcStats")
    assert "candidatePair" in str(stats["getRtcStats"])
    assert (await ask("getSessionUsage"))["error"]
    answer = await ask("runInput", {"text": "Is there a track about MCP?"})
    items = [item["message"]["content"][0]["text"] for item in answer["runInput"]["items"]]
    assert items[0] == "Is there a track about MCP?"
    assert "is there a track about mcp" in items[1]
    events = {event["case"] for event in await seen.now("session.events")}
    assert {"agentStateChanged", "conversationItemAdded"} <= events
    known = await page.evaluate("() => window.performRpc('repartee.sensitivity', 'low')")
    assert known == "low"


@pytest.mark.long
async def test_pipecat_s_client(speech: Path, tmp_path: Path) -> None:
    shown = (
        "`startBotAndConnect`, `bot-ready`",
        "`user-transcription`, `user-started-speaking`",
        "`bot-output`, `bot-tts-text`, `bot-started-speaking`",
        "`sendText`",
        "`sendClientRequest`: answered and refused",
        "`disconnectBot`",
    )
    packages = versions("@pipecat-ai/client-js", "livekit-client")
    client = "Pipecat's client, RTVI over LiveKit's data channel"
    with row(client, packages, shown):
        async with page_of("pipecat", speech, tmp_path, 3.0) as page:
            seen = Seen(page)
            ready = await seen.until("ready", "true")
            assert ready["version"].startswith("2.")
            assert ready["about"]["library"] == "repartee"
            await seen.until("events", said_by_agent("this is the test."))
            await seen.until(
                "events",
                f"it.some(e => e.event === 'userTranscript' && e.data.text.includes({ASKED!r}) && e.data.final)",
            )
            await seen.until("events", said_by_agent(ASKED))
            await page.evaluate(f"() => window.client.sendText({TYPED!r})")
            events = await seen.until("events", said_by_agent("do you have parking"))
            kinds = [event["event"] for event in events]
            for kind in ("botReady", "botStartedSpeaking", "botStoppedSpeaking", "userStartedSpeaking",
                         "userStoppedSpeaking", "botLlmStarted", "botOutput", "userLlmText"):  # fmt: skip
                assert kind in kinds, kind
            transcripts = [event["data"]["text"] for event in events if event["event"] == "userTranscript"]
            assert TYPED not in transcripts
            refused = await page.evaluate(
                "() => window.client.sendClientRequest('secrets').then(() => '', (error) => JSON.stringify(error))"
            )
            assert "nothing is known by that name" in refused
            await page.evaluate("() => window.client.disconnectBot()")
            await seen.until("events", "it.some(e => ['botDisconnected', 'disconnected'].includes(e.event))")


async def test_pipecat_s_page(speech: Path, tmp_path: Path) -> None:
    """With Pipecat's own transport for LiveKit, which is in this page alone."""
    shown = (
        "connects by `POST /start`",
        "`bot-ready`",
        "conversation of both sides",
        "typing",
        "disconnects",
    )
    packages = {"pipecat-ai-prebuilt": version("pipecat-ai-prebuilt")}
    mic = microphone(tmp_path, 5.0, speech / "aiewf" / "turn_001.flac")
    with row("Pipecat's Playground, its LiveKit transport", packages, shown):
        async with Simulator.start(SimulatorConfig(profile=PROFILE, speech=speech)) as simulator:
            agent = write_agent(tmp_path)
            async with instance(agent, tmp_path / "state", simulator.environment) as running:
                with site(pipecat_s_page(), start=f"{running.url}/api/token") as origin:
                    async with browsing(mic) as page:
                        await page.goto(origin)
                        await hold_conversation(page)


async def hold_conversation(page: Page) -> None:
    await page.get_by_label("Transport").click()
    await page.get_by_role("option", name="LiveKit").click()
    whole = page.locator("body")
    # Its button works from the beginning; what it connects with is there when the one before has gone.
    changed = re.compile('"disconnecting".*"initialized"', re.DOTALL)
    await expect(whole).to_contain_text(changed, timeout=WAIT_MS)
    await page.get_by_role("button", name="Connect", exact=True).click()
    await expect(whole).to_contain_text(GREETING, timeout=WAIT_MS)
    await expect(whole).to_contain_text(ASKED, timeout=WAIT_MS)
    answered = re.compile(f"{ASKED}.*{ASKED}", re.DOTALL)
    await expect(whole).to_contain_text(answered, timeout=WAIT_MS)
    await page.get_by_role("textbox", name="Message", exact=True).fill(TYPED)
    await page.get_by_label("Send message").click()
    answered = re.compile("you have parking.*you have parking", re.IGNORECASE | re.DOTALL)
    await expect(whole).to_contain_text(answered, timeout=WAIT_MS)
    await page.get_by_role("button", name="Disconnect", exact=True).click()
    await expect(page.get_by_role("button", name="Connect", exact=True)).to_be_visible(timeout=WAIT_MS)


def said_by_agent(text: str) -> str:
    """What holds when the agent's pieces, put together, have some words in them."""
    pieces = "it.filter(e => e.event === 'botTtsText').map(e => e.data.text).join(' ').toLowerCase()"
    return f"{pieces}.includes({text!r})"
