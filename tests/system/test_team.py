"""A real call that is passed on, and in which an agent over HTTP is asked: what the caller hears and is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from repartee.cli.instance import instance
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.store import Store
from tests.system.helpers import calling, eventually

MODELS = "models: {stt: 'openai:gpt-4o-mini-transcribe', llm: 'openai:gpt-4.1-mini', tts: 'openai:gpt-4o-mini-tts'}"
SCRIPT = """
- {when: gemini, as: the reception, call: pass_to_workshops, with: {summary: Asks about workshops.}}
- {after: pass_to_workshops, as: the workshops desk, say: "Workshops here, and yes, there are two of them."}
- {when: rooms, as: the workshops desk, call: ask_rooms, with: {question: "Which room is free?"}}
- {after: ask_rooms, as: the workshops desk, say: "Room four is free."}
- {when: which room, as: the rooms desk, say: "Room four."}
"""


def write(folder: Path, name: str, persona: str, voice: str, more: str = "") -> Path:
    file = folder / f"{name.lower()}.yaml"
    file.write_text(
        f"name: {name}\npersona: You are {persona}.\ngreeting: Hello, this is {name}.\n{MODELS}\n"
        f"voice: {{openai: {voice}}}\n{more}",
        encoding="utf-8",
    )
    return file


@pytest.mark.long
async def test_a_real_call_is_passed_on_and_another_agent_is_asked(speech: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT, encoding="utf-8")
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    config = SimulatorConfig(profile="fixed:60/60/60", speech=speech, script=script)
    async with Simulator.start(config) as simulator:
        asked = write(rooms, "Rooms", "the rooms desk", "sage")
        reached = simulator.environment | {"REPARTEE_A2A_CALLS": "2"}
        async with instance(asked, rooms / "state", reached) as other:
            ask = f"team:\n  ask:\n    - {{name: rooms, url: '{other.url}', about: Which rooms are free.}}\n"
            write(tmp_path, "Workshops", "the workshops desk", "verse", ask)
            pass_on = "team:\n  agents:\n    - {agent: workshops.yaml, when: Questions about workshops.}\n"
            agent = write(tmp_path, "Reception", "the reception", "alloy", pass_on)
            async with instance(agent, tmp_path / "state", simulator.environment) as running:
                async with calling(running.url) as caller:
                    await eventually(lambda: caller.agent_attributes().get("repartee.agent") == "Reception")
                    exchange = await caller.exchange(speech / "aiewf" / "turn_001.flac")
                    assert exchange.latency_ms is not None
                    await eventually(lambda: caller.agent_attributes().get("repartee.agent") == "Workshops")
                    await eventually(lambda: "two of them" in caller.captions("agent")[-1])
                    await caller.type("Are there rooms?")
                    await eventually(lambda: "Room four is free." in caller.captions("agent")[-1])
                store = Store.open(f"sqlite:///{tmp_path / 'state' / 'repartee.db'}", spool=None)
                await eventually(lambda: all(kept.call.ended_at for kept in store.calls()))
                (call,) = store.calls()
                tools = [event.data for event in store.events(call.call.call_id) if event.kind == "tool"]
                store.close()
    assert [(tool["tool"], tool["outcome"]) for tool in tools] == [
        ("pass_to_workshops", "done"),
        ("ask_rooms", "done"),
    ]
    assert tools[1]["result"] == {"it_said": "Room four."}
    spoken = {entry.text: entry.voice for entry in simulator.desk.bill.entries if entry.stage == "tts"}
    assert {voice for text, voice in spoken.items() if text.startswith("Hello, this is Reception")} == {
        "alloy"
    }
    assert {voice for text, voice in spoken.items() if text.startswith(("Workshops here", "Room four"))} == {
        "verse"
    }
