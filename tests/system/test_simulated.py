"""Whole calls with simulated vendors: every provider, tools, interruption, typing, and what it all cost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from repartee.cli.instance import Instance, instance
from repartee.simulator.audio import read_audio
from repartee.simulator.caller import RATE_HZ
from repartee.simulator.providers import Simulator
from repartee.simulator.providers.desk import Fault
from repartee.simulator.providers.replies import Replies, Reply
from tests.conftest import FRONT_DESK
from tests.system.helpers import (
    GEMINI,
    LONG,
    MCP,
    answer_to,
    calling,
    eventually,
    processes_with,
    server,
    simulate,
    write_agent,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Overheard(Replies):
    """The model, and every conversation it was shown."""

    def __init__(self, script: Path | None) -> None:
        super().__init__(script, "short")
        self.asked: list[list[dict[str, Any]]] = []

    def answer(self, messages: list[dict[str, Any]]) -> Reply:
        self.asked.append(messages)
        return super().answer(messages)


def overhear(simulator: Simulator, script: Path | None = None) -> Overheard:
    heard = simulator.desk.replies = Overheard(script)
    return heard


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(
    speech: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Simulator, Instance]]:
    """Vendors and a server that several tests call, one after the other."""
    folder = tmp_path_factory.mktemp("line")
    async with simulate(speech) as simulator, server(write_agent(folder), folder, simulator) as running:
        yield simulator, running


@pytest.fixture
def shared(line: tuple[Simulator, Instance]) -> tuple[Simulator, Instance]:
    """The same, with nothing of the test before."""
    simulator, _ = line
    simulator.desk.bill.reset()
    simulator.desk.faults.clear()
    overhear(simulator)
    return line


async def test_typing_is_answered(shared: tuple[Simulator, Instance]) -> None:
    simulator, running = shared
    async with calling(running.url) as caller:
        await caller.type("Do you have parking?")
        assert await caller.wait_for_answer(15)
        assert caller.captions("user") == [], "whoever types sees it already"
        assert caller.captions("agent")[-1] == answer_to("Do you have parking?")
    assert "stt" not in simulator.desk.bill.summary()["stages"]


@pytest.mark.parametrize(
    "models",
    [
        "stt: openai:whisper-1, tts: openai:gpt-4o-mini-tts",
        "stt: openai-realtime:gpt-4o-mini-transcribe, tts: cartesia:sonic-3",
        "stt: openai:gpt-4o-mini-transcribe, tts: elevenlabs:eleven_flash_v2_5",
    ],
)
async def test_every_provider_holds_a_conversation(speech: Path, tmp_path: Path, models: str) -> None:
    agent = write_agent(tmp_path, f"models: {{llm: 'openai:gpt-4.1-mini', {models}}}")
    async with simulate(speech) as simulator:
        heard = overhear(simulator)
        variables = {**simulator.environment, "ELEVENLABS_API_KEY": "k", "CARTESIA_API_KEY": "k"}
        async with instance(agent, tmp_path / "state", variables) as running, calling(running.url) as caller:
            exchanges = [
                await caller.exchange(speech / "aiewf" / name) for name in ("turn_001.flac", "turn_003.flac")
            ]
        stages = simulator.desk.bill.summary()["stages"]
        models_billed = {entry.model for entry in simulator.desk.bill.entries}
    assert [exchange.heard for exchange in exchanges] == [GEMINI, MCP]
    assert [exchange.reply for exchange in exchanges] == [answer_to(GEMINI), answer_to(MCP)]
    roles = [message["role"] for message in heard.asked[-1]]
    assert roles == ["system", "assistant", "user", "assistant", "user"]
    assert all(stages[stage]["ok"] >= 2 for stage in ("stt", "llm", "tts"))
    assert {model.rsplit(":", 1)[1] for model in models.split(", ")} <= models_billed


async def test_tools_act_through_the_model(speech: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(
        "- when: gemini\n  call: book_appointment\n  with: {name: Ann Hill, day: '2031-03-03', at: '10:00'}\n"
    )
    async with simulate(speech, script) as simulator:
        heard = overhear(simulator, script)
        async with server(FRONT_DESK, tmp_path, simulator) as running, calling(running.url) as caller:
            exchange = await caller.exchange(speech / "aiewf" / "turn_001.flac")
            with sqlite3.connect(running.state_dir / "calendar.db") as db:
                rows = db.execute("SELECT starts_at, name FROM appointments").fetchall()
    assert rows == [("2031-03-03T10:00:00", "Ann Hill")]
    assert "Ann Hill is booked for Monday, March 3 at 10 in the morning" in exchange.reply
    assert [message["role"] for message in heard.asked[-1]][-2:] == ["assistant", "tool"]


async def test_an_interrupted_reply_stops_and_only_what_was_heard_is_remembered(
    shared: tuple[Simulator, Instance], speech: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(f"- when: gemini\n  say: '{LONG}'\n- when: mcp\n  say: Yes, there is.\n")
    simulator, running = shared
    heard = overhear(simulator, script)
    async with calling(running.url) as caller:
        await caller.say(read_audio(speech / "aiewf" / "turn_001.flac", RATE_HZ))
        assert await caller.wait_for_sound(15)
        await caller.say(read_audio(speech / "aiewf" / "turn_003.flac", RATE_HZ))
        assert await caller.wait_for_answer(15)
        captions = caller.captions("agent")
        assert caller.captions("user")[-1] == MCP
    assert captions[-1] == "Yes, there is."
    remembered = [m["content"] for m in heard.asked[-1] if m["role"] == "assistant"][-1]
    assert remembered.endswith("…"), remembered
    assert LONG.startswith(remembered[:-1])
    assert 0 < len(remembered) < len(LONG) - 50
    shown = [caption.strip() for caption in captions]
    assert remembered[:-1].strip() in shown, "the caption shows what was heard, not more"


async def test_a_model_that_fails_is_asked_again_and_one_that_stays_away_is_said_to(
    shared: tuple[Simulator, Instance], speech: Path
) -> None:
    simulator, running = shared
    async with calling(running.url) as caller:
        simulator.desk.faults.append(Fault("llm", "error", 1))
        first = await caller.exchange(speech / "aiewf" / "turn_001.flac")
        simulator.desk.faults.append(Fault("llm", "error", 99))
        second = await caller.exchange(speech / "aiewf" / "turn_003.flac")
        simulator.desk.faults.clear()
        third = await caller.exchange(speech / "aiewf" / "turn_001.flac")
    assert first.reply == answer_to(GEMINI), "nobody heard that it failed"
    assert "technical problem" in second.reply
    assert third.reply == answer_to(GEMINI)


async def test_the_agent_leaves_with_the_caller(speech: Path, tmp_path: Path) -> None:
    async with simulate(speech) as simulator, server(write_agent(tmp_path), tmp_path, simulator) as running:
        async with calling(running.url):
            during = processes_with(str(running.state_dir))
        log = running.output
        await eventually(lambda: '"detail": "caller_left"' in log.read_text())
        async with calling(running.url) as again:
            await again.exchange(speech / "aiewf" / "turn_001.flac")
    assert len(during) >= 4, "server, LiveKit, the call's process and a warm one"
    assert "crashed" not in running.output.read_text()


async def test_sigterm_in_a_call_leaves_nothing_behind(speech: Path, tmp_path: Path) -> None:
    async with simulate(speech) as simulator:
        variables = {**simulator.environment, "REPARTEE_DRAIN_S": "1"}  # the caller does not leave
        async with (
            instance(write_agent(tmp_path), tmp_path / "state", variables) as running,
            calling(running.url) as caller,
        ):
            assert await running.stop() == 0
            await eventually(lambda: not processes_with(str(running.state_dir)))
            await asyncio.wait_for(caller.gone.wait(), 10)
    assert "Traceback" not in running.output.read_text()


async def test_two_callers_at_once_have_two_calls(shared: tuple[Simulator, Instance], speech: Path) -> None:
    _, running = shared
    async with calling(running.url) as ann, calling(running.url) as bob:
        one, two = await asyncio.gather(
            ann.exchange(speech / "aiewf" / "turn_001.flac"),
            bob.exchange(speech / "aiewf" / "turn_003.flac"),
        )
    assert (one.heard, one.reply) == (GEMINI, answer_to(GEMINI))
    assert (two.heard, two.reply) == (MCP, answer_to(MCP))
