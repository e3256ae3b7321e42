"""A real call that must wait, a machine that is full, and vendors that are all away."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import httpx
import pytest

from repartee.cli.instance import instance
from repartee.conversation.degradation import Level
from repartee.conversation.fillers import texts_for
from repartee.providers.shared import BreakerKey, FileJournal, Found
from repartee.session.clips import clips_for
from repartee.simulator.caller import Caller
from repartee.store import Store
from tests.system.helpers import GEMINI, answer_to, calling, eventually, simulate, write_agent

MODELS = "models: {stt: 'openai:gpt-4o-mini-transcribe', llm: 'openai:gpt-4.1-mini', tts: 'openai:gpt-4o-mini-tts'}"
QUESTION = "turn_001.flac"


async def test_a_slow_model_is_bridged_by_a_word_and_its_answer_follows(speech: Path, tmp_path: Path) -> None:
    agent = write_agent(tmp_path, MODELS)
    async with simulate(speech, profile="fixed:60/2500/60") as simulator:
        async with (
            instance(agent, tmp_path / "state", simulator.environment) as running,
            calling(running.url) as caller,
        ):
            await caller.exchange(speech / "aiewf" / QUESTION)  # to the quiet after the first word
            answer = answer_to(GEMINI)
            await eventually(lambda: any(answer in said for said in caller.captions("agent")))
            shown = next(said for said in caller.captions("agent") if answer in said)
        (file,) = (tmp_path / "state" / "calls").glob("*.jsonl")
    marks = [json.loads(line) for line in file.read_text().splitlines()]
    ended_ms = max(mark["ended_at_ms"] for mark in marks if mark["name"] == "speech.stopped")
    said = [mark for mark in marks if mark["name"] == "filler"]
    audible_ms = [mark["at_ms"] for mark in marks if mark["name"] == "reply.audible"][-1]
    fillers = {text for texts in texts_for("en").values() for text in texts}
    assert len(said) == 1
    assert 1000 <= said[0]["at_ms"] - ended_ms < audible_ms - ended_ms - 500
    assert any(shown.startswith(text) for text in fillers), shown


async def test_a_full_machine_says_so_at_the_door(speech: Path, tmp_path: Path) -> None:
    async with simulate(speech, profile="instant") as simulator:
        variables = {**simulator.environment, "REPARTEE_LEVEL": str(int(Level.CLOSED))}
        async with (
            instance(write_agent(tmp_path, MODELS), tmp_path / "state", variables) as running,
            httpx.AsyncClient(timeout=10) as client,
        ):
            answer = await client.post(f"{running.url}/api/token", json={})
            clip = await client.get(running.url + answer.json()["clip"])
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert clip.content[:4] == b"OggS"


@pytest.mark.long
async def test_a_call_hears_the_recording_and_is_noted_when_every_model_is_away(
    speech: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    async with (
        simulate(speech, profile="instant") as simulator,
        instance(
            write_agent(tmp_path, MODELS), state, {**simulator.environment, "REPARTEE_LEVEL": ""}
        ) as running,
    ):
        caller = Caller(running.url)
        await caller.join()
        assert await caller.wait_for_answer(20.0)
        now_s = time.monotonic()
        model = BreakerKey("openai", "gpt-4.1-mini", "k", "chat")
        away = Found(model, "limited", now_s, now_s, "x", retry_after_s=300.0)
        FileJournal(state / "providers").append(away)
        assert await caller.wait_for_sound(30.0)
        async with asyncio.timeout(30):
            await caller.gone.wait()
        said = caller.captions("agent")[-1]
        await caller.leave()
    store = Store.open(f"sqlite:///{state / 'repartee.db'}")
    (call,) = store.calls(event="callback.wanted")
    store.close()
    assert call.call.reason == "trouble"
    assert said == clips_for("en")["hang_up"].text
