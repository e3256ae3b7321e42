"""A model that hears and speaks itself, in a whole call over WebRTC: answered, cut off, billed."""

from __future__ import annotations

from pathlib import Path

from repartee.simulator.audio import read_audio
from repartee.simulator.caller import RATE_HZ
from repartee.store import Store
from tests.billing import compare
from tests.system.helpers import LONG, MCP, calling, eventually, server, simulate, write_agent
from tests.system.test_simulated import overhear

MODEL = "gpt-realtime"
MODELS = f"models: {{realtime: 'openai:{MODEL}', stt: 'openai:gpt-4o-mini-transcribe'}}"


async def test_two_turns_of_which_the_first_answer_is_cut_off(speech: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(f"- when: gemini\n  say: '{LONG}'\n- when: mcp\n  say: Yes, there is.\n")
    async with simulate(speech, script) as simulator:
        heard = overhear(simulator, script)
        agent = write_agent(tmp_path, MODELS)
        async with server(agent, tmp_path, simulator) as running:
            async with calling(running.url) as caller:
                await caller.say(read_audio(speech / "aiewf" / "turn_001.flac", RATE_HZ))
                assert await caller.wait_for_sound(15)
                await caller.say(read_audio(speech / "aiewf" / "turn_003.flac", RATE_HZ))
                assert await caller.wait_for_answer(15)
                agent_said, user_said = caller.captions("agent"), caller.captions("user")
            store = Store.open(f"sqlite:///{running.state_dir / 'repartee.db'}", spool=None)
            await eventually(lambda: store.calls()[0].call.reason == "caller_left")
            rows, turns = store.usage_rows(), store.turns(store.calls()[0].call.call_id)
            cut_off, *_, answered = [turn for turn in turns if turn.user_text]
            store.close()
    assert user_said[-1] == answered.user_text == MCP
    assert agent_said[-1] == answered.heard_text == "Yes, there is."
    shown = heard.asked[-1]
    assert [message["role"] for message in shown] == ["system", "assistant", "user", "assistant", "user"]
    vendor_has = str(shown[3]["content"])
    assert LONG.startswith(vendor_has)
    assert 0 < len(vendor_has) < len(LONG) - 50, "the vendor's conversation ends where the ear did"
    for ours in (agent_said[-2], cut_off.heard_text):
        assert abs(len(ours.split()) - len(vendor_has.split())) <= 1
    models = {row.usage.model for row in rows if row.usage.stage == "llm"}
    assert models == {MODEL}, "the model that stands by was not asked"
    assert not compare(rows, simulator.desk.bill).problems
    assert sum(row.cost or 0 for row in rows if row.usage.model == MODEL) > 0
