"""Talking over each other, on real calls: what is heard is remembered, what is no interruption is not one."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soxr
import yaml
from livekit import api, rtc

from repartee.cli.instance import Instance, instance
from repartee.simulator import meter
from repartee.simulator.audio import Pcm
from repartee.simulator.caller import RATE_HZ, Caller
from repartee.simulator.invitation import Invitation
from repartee.simulator.material import Item, Material
from repartee.simulator.providers import Simulator
from repartee.simulator.stage import Call, Said, rows
from tests.conftest import ROOT
from tests.system.helpers import answer_to, calling, eventually, server, simulate, write_agent

pytestmark = pytest.mark.asyncio(loop_scope="module")
TRANSCRIPTS = ROOT / "benchmarks" / "transcripts.json"
QUESTION, INTERRUPTION = "aiewf/turn_001.flac", "aiewf/turn_003.flac"
PAIRS = (
    (QUESTION, INTERRUPTION, 0.7),
    ("aiewf/turn_002.flac", "aiewf/turn_004.flac", 1.6),
    ("aiewf/turn_014.flac", "aiewf/turn_011.flac", 2.9),
)
"""Asked, said over the answer, and how long the answer was heard before."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(
    speech: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Simulator, Instance]]:
    """Vendors whose answers are long enough to be talked over, and a server that several tests call."""
    folder = tmp_path_factory.mktemp("line")
    async with (
        simulate(speech, style="long", transcripts=TRANSCRIPTS) as simulator,
        server(write_agent(folder), folder, simulator) as running,
    ):
        yield simulator, running


def tape(caller: Caller) -> meter.Sound:
    return np.asarray(soxr.resample(caller.heard(), RATE_HZ, meter.RATE_HZ))


async def ask(caller: Caller, item: Item, talk_s: float) -> float:
    """Ask something and let the agent talk for a while; return when it was asked."""
    at_s = await caller.play(item.pcm)
    await caller.wait_until(at_s + item.end_s)
    assert await caller.wait_for_sound(10), "the agent answers"
    await caller.wait_until(caller.now_s() + talk_s)
    return at_s


def items(speech: Path) -> dict[str, Item]:
    return {item.name: item for item in Material(speech, TRANSCRIPTS, seed=1).suite("latency")}


@pytest.mark.parametrize(
    "voice",
    [
        "openai:gpt-4o-mini-tts",  # the one that tells no times of words
        pytest.param("elevenlabs:eleven_flash_v2_5", marks=pytest.mark.long),
        pytest.param("cartesia:sonic-3", marks=pytest.mark.long),
    ],
)
async def test_what_is_remembered_is_what_was_heard_to_a_word(
    speech: Path, tmp_path: Path, voice: str
) -> None:
    known = items(speech)
    script = tmp_path / "script.yaml"  # what is said over an answer is answered in short
    over_it = [known[interruption].text for _, interruption, _ in PAIRS]
    script.write_text(
        yaml.safe_dump([{"when": f"^{re.escape(text)}$", "say": answer_to(text)} for text in over_it])
    )
    models = f"models: {{stt: 'openai:whisper-1', llm: 'openai:gpt-4.1-mini', tts: '{voice}'}}"
    call = Call("repartee", "barge-in")
    keys = {"ELEVENLABS_API_KEY": "k", "CARTESIA_API_KEY": "k"}
    async with (
        simulate(speech, script, style="long", transcripts=TRANSCRIPTS) as simulator,
        instance(write_agent(tmp_path, models), tmp_path / "state", simulator.environment | keys) as running,
        calling(running.url) as caller,
    ):
        for question, interruption, talk_s in PAIRS:
            asked_s = await ask(caller, known[question], talk_s)
            call.said.append(Said(known[question], asked_s))
            over = known[interruption]
            at_s = await caller.play(over.pcm)
            call.said.append(Said(over, at_s, over=True, prompt_at_s=asked_s))
            await caller.wait_until(at_s + over.end_s)
            assert await caller.wait_for_sound(10)
            await caller.wait_for_quiet(1.2, 20)
        call.tape = tape(caller)
        call.entries = list(simulator.desk.bill.entries)
    stops = [row for row in rows(call) if row["kind"] == "barge-in"]
    assert [row["answered"] for row in stops] == [True] * 3, "what was said over the agent is answered"
    assert all(not row["missed_stop"] for row in stops)
    assert all(abs(row["context_words_off"]) <= 1 for row in stops), stops


async def test_what_is_no_interruption_is_not_one(line: tuple[Simulator, Instance], speech: Path) -> None:
    """A "sure", a keyboard, and another person in the room: the answer is heard to its end."""
    known = items(speech)
    short = Material(speech, TRANSCRIPTS, seed=1).suite("backchannel")
    noises = [
        item for item in Material(speech, TRANSCRIPTS, seed=1).suite("noise") if item.prompt is not None
    ]
    keyboard = next(item for item in noises if "keyboard" in item.name and " 10 dB" in item.name)
    sure = next(item for item in short if item.text == "Sure.")
    call = Call("repartee", "backchannel")
    simulator, running = line
    simulator.desk.bill.reset()
    async with calling(running.url) as caller:
        for item in (sure, keyboard):
            asked_s = await ask(caller, known[QUESTION], 1.5)
            call.said.append(Said(known[QUESTION], asked_s))
            at_s = await caller.play(item.pcm)
            call.said.append(Said(item, at_s, over=True, prompt_at_s=asked_s))
            await caller.wait_until(at_s + item.end_s + 0.3)
            await caller.wait_for_quiet(2.0, 20)
        call.tape = tape(caller)
        call.entries = list(simulator.desk.bill.entries)
        asked = len([e for e in simulator.desk.bill.entries if e.stage == "llm"])
        async with second_person(running.state_dir, caller.room_name) as speak:
            await ask(caller, known[QUESTION], 0.5)
            await speak(known[INTERRUPTION].pcm)
            await caller.wait_for_quiet(2.0, 20)
        entries = [e for e in simulator.desk.bill.entries if e.stage == "llm"][asked:]
    over = [row for row in rows(call) if row["kind"] == "backchannel"]
    assert [(row["speaking"], row["abandoned"]) for row in over] == [(True, False), (True, False)]
    assert {entry.said for entry in entries} <= {known[QUESTION].text}, (
        "the other person's words are not the caller's"
    )


async def test_a_noise_before_the_first_word_does_not_swallow_the_greeting(
    line: tuple[Simulator, Instance], speech: Path
) -> None:
    crowd = next(
        item for item in Material(speech, TRANSCRIPTS, seed=1).suite("backchannel") if item.text == "Mm-hmm."
    )
    _, running = line
    caller = Caller(running.url)
    try:
        await caller.join()
        await caller.play(crowd.pcm)
        assert await caller.wait_for_answer(20)
        await eventually(lambda: "this is the test" in " ".join(caller.captions("agent")))
    finally:
        await caller.leave()


async def test_the_caller_may_set_the_sensitivity_in_the_call(line: tuple[Simulator, Instance]) -> None:
    _, running = line
    async with calling(running.url) as caller:
        room = caller._room
        (agent,) = room.remote_participants
        perform = room.local_participant.perform_rpc
        answer = await perform(destination_identity=agent, method="repartee.sensitivity", payload="high")
        with pytest.raises(rtc.RpcError, match="low, medium, high"):
            await perform(destination_identity=agent, method="repartee.sensitivity", payload="deaf")
        marks = running.state_dir / "calls"
        await eventually(lambda: any('"sensitivity"' in f.read_text() for f in marks.glob("*.jsonl")))
    assert answer == "high"


class second_person:  # noqa: N801 - reads as a phrase
    """Somebody else in the caller's room, with a microphone of their own."""

    def __init__(self, state_dir: Path, room: str) -> None:
        config = json.loads((state_dir / "livekit.json").read_text(encoding="utf-8"))
        ((key, secret),) = config["keys"].items()
        token = api.AccessToken(key, secret).with_identity(f"guest-{secrets.token_hex(3)}")
        jwt = token.with_grants(api.VideoGrants(room_join=True, room=room)).to_jwt()
        self._invitation = Invitation(f"ws://127.0.0.1:{config['port']}", jwt, room)
        self._guest = Caller()

    async def __aenter__(self):  # type: ignore[no-untyped-def]
        await self._guest.join(self._invitation)

        async def speak(pcm: Pcm) -> None:
            at_s = await self._guest.play(pcm)
            await self._guest.wait_until(at_s + len(pcm) / RATE_HZ)

        return speak

    async def __aexit__(self, *_: object) -> None:
        await self._guest.leave()
        await asyncio.sleep(0)
