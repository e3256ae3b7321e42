"""A model that hears and speaks itself, in a whole call over WebRTC: answered, cut off, billed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from repartee.simulator.audio import read_audio
from repartee.simulator.caller import RATE_HZ
from tests.system.helpers import calling, eventually, server, write_agent
from tests.system.test_simulated import LONG, overhear, simulate

MODELS = "models: {realtime: 'openai:gpt-realtime', stt: 'openai:gpt-4o-mini-transcribe'}"
BILLED = "SELECT model, sum(audio_tokens_out), sum(cost) FROM usage WHERE stage = 'llm' GROUP BY model"


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
            database = running.state_dir / "repartee.db"

            def billed() -> list[tuple[str, float, float]]:
                with sqlite3.connect(database) as db:
                    return db.execute(BILLED).fetchall()

            await eventually(lambda: billed() and "caller_left" in running.output.read_text())
            (row,) = billed()
    assert user_said[-1] == "Is there a track about MCP?"
    assert agent_said[-1] == "Yes, there is."
    shown = heard.asked[-1]
    assert [message["role"] for message in shown] == ["system", "assistant", "user", "assistant", "user"]
    cut = str(shown[3]["content"])
    assert LONG.startswith(cut)
    assert 0 < len(cut) < len(LONG) - 50, "the vendor's conversation has what was heard"
    assert abs(len(agent_said[-2].split()) - len(cut.split())) <= 1, "and so has the caption"
    assert row[0] == "gpt-realtime"
    assert row[1] > 0
    assert row[2] > 0
    bill = sum(entry.usd for entry in simulator.desk.bill.entries if entry.model == "gpt-realtime")
    assert abs(float(row[2]) - bill) < 1e-8 or row[2] > 1, row
