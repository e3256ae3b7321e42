"""The books of a real call: what the database holds afterwards, against what was heard and what was billed."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx

from repartee.cli.instance import clean_environment, instance
from repartee.simulator.audio import read_audio
from repartee.simulator.caller import RATE_HZ
from repartee.store import Store
from tests.billing import compare
from tests.system.helpers import GEMINI, LONG, answer_to, calling, simulate, write_agent

MODELS = "models: {stt: 'openai:gpt-4o-mini-transcribe', llm: 'openai:gpt-4.1-mini', tts: 'openai:gpt-4o-mini-tts'}"


async def test_a_call_s_turns_and_costs_are_kept(speech: Path, tmp_path: Path) -> None:
    """A turn heard to its end, one that is interrupted, and the one that interrupts it."""
    agent, state, script = write_agent(tmp_path, MODELS), tmp_path / "state", tmp_path / "script.yaml"
    script.write_text(f"- when: mcp\n  say: '{LONG}'\n")
    async with simulate(speech, script) as simulator:
        async with instance(agent, state, simulator.environment) as running, calling(running.url) as caller:
            await caller.exchange(speech / "aiewf" / "turn_001.flac")
            await caller.say(read_audio(speech / "aiewf" / "turn_003.flac", RATE_HZ))
            assert await caller.wait_for_sound(20)
            await caller.say(read_audio(speech / "aiewf" / "turn_004.flac", RATE_HZ))
            assert await caller.wait_for_answer(20)
        store = Store.open(f"sqlite:///{state / 'repartee.db'}", spool=None)
        try:
            (kept,) = store.calls(10)
            call = kept.call
            turns = store.turns(call.call_id)
            compared = compare(store.usage_rows(), simulator.desk.bill)
        finally:
            store.close()
    assert call.reason in {"caller_left", "stopped"}, "the server is ended as soon as the caller has left"
    assert call.agent == "Test"
    assert turns[0].heard_text == "Hello, this is the test."
    first, over, *_, last = [turn for turn in turns if turn.user_text]
    assert first.user_text == GEMINI
    assert first.heard_text == answer_to(GEMINI)
    assert first.latency_ms is not None
    assert over.unheard_text, "what was cut off was made, and not heard"
    assert last.heard_text
    assert compared.problems == []
    shown = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "repartee.cli", "calls", "show", call.call_id),
        env=clean_environment() | {"REPARTEE_STATE_DIR": str(state)},
        stdout=asyncio.subprocess.PIPE,
    )
    text, _ = await shown.communicate()
    assert shown.returncode == 0
    assert b"workshops about Gemini" in text


async def test_a_call_whose_money_is_spent_ends_politely_and_no_other_begins(
    speech: Path, tmp_path: Path
) -> None:
    """The first answer is heard to its end, the goodbye after it, and then the day's money is spent as well."""
    more = f"{MODELS}\ncache: {{voice: false}}\nbudget: {{call_usd: 0.001, day_usd: 0.001}}"
    agent, state = write_agent(tmp_path, more), tmp_path / "state"
    async with simulate(speech, style="long") as simulator:
        # Who asks for a place and is given one has a call that nobody comes to; it is not waited for in the end.
        variables = {**simulator.environment, "REPARTEE_DRAIN_S": "0"}
        async with instance(agent, state, variables) as running:
            async with calling(running.url) as caller:
                await caller.say(read_audio(speech / "aiewf" / "turn_001.flac", RATE_HZ))
                await asyncio.wait_for(caller.gone.wait(), 30)
                said = " ".join(caller.captions("agent"))
            refused = await refusal(running.url)
        store = Store.open(f"sqlite:///{state / 'repartee.db'}", spool=None)
        try:
            kept = store.calls(10)
            events = store.events(kept[-1].call.call_id)
        finally:
            store.close()
    assert "are there any workshops about gemini" in said
    assert said.endswith("I'm sorry, I have to end our call here. Please call again later. Goodbye!")
    assert kept[-1].call.reason == "budget"
    assert any(event.kind == "budget" and event.data["over"] for event in events)
    answer = refused.json()
    assert answer["error"] == "budget_spent"
    assert answer["message"].endswith("calls are taken again from 00:00 UTC")
    now = datetime.now(UTC)
    left_s = 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)
    assert abs(int(refused.headers["Retry-After"]) - left_s) < 30 or left_s < 30, "until midnight"


async def refusal(url: str) -> httpx.Response:
    """Ask for a token until none is given; what was spent is read anew every five seconds."""
    async with asyncio.timeout(30), httpx.AsyncClient(timeout=10) as client:
        while (answer := await client.post(f"{url}/api/token", json={})).status_code == 200:  # noqa: ASYNC110
            await asyncio.sleep(1.0)
    return answer
