"""Two agents that speak with each other: real voices, real recognition, a model that follows a script."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from repartee.agent import load_agent
from repartee.providers.ondevice import SpeechHost
from repartee.session.meeting import MeetingLimits, meet_aloud
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.store import Store

SCRIPT = """
- {when: how can I help, as: a patient, say: "I would like to know when you are open on Friday."}
- {when: friday, as: the front desk, say: "On Friday we are open from eight in the morning until noon."}
- {when: noon, as: a patient, say: "And is there a car park behind the house?"}
- {when: "car ?park", as: the front desk, say: "Yes, there is, and it is free for patients."}
- {when: free, as: a patient, say: "Thank you very much, and goodbye."}
"""
SAID = [
    "Riverside Clinic, how can I help you?",
    "I would like to know when you are open on Friday.",
    "On Friday we are open from eight in the morning until noon.",
    "And is there a car park behind the house?",
    "Yes, there is, and it is free for patients.",
]


@pytest.mark.long
@pytest.mark.timeout(170)
async def test_two_agents_understand_each_other_aloud(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT, encoding="utf-8")
    agents = []
    for name, persona, greeting in (
        ("Clinic", "You are the front desk.", SAID[0]),
        ("Ann", "You are a patient.", "Hello?"),
    ):
        file = tmp_path / f"{name.lower()}.yaml"
        file.write_text(
            f"name: {name}\npersona: {persona}\ngreeting: {greeting}\n"
            "models: {stt: on-device, llm: 'openai:gpt-4.1-mini', tts: on-device}\n",
            encoding="utf-8",
        )
        agents.append(load_agent(file))
    async with Simulator.start(SimulatorConfig(profile="fixed:100/100/100", script=script)) as simulator:
        settings = Settings(_env_file=None).model_copy(  # type: ignore[call-arg]
            update={
                "openai_api_key": SecretStr("k"),
                "openai_base_url": f"{simulator.url}/v1",
                "state_dir": tmp_path,
                "database_url": SecretStr(f"sqlite:///{tmp_path / 'calls.db'}"),
            }
        )
        limits = MeetingLimits(turns=len(SAID), seconds=120.0)
        async with SpeechHost.start() as host:
            meeting = await meet_aloud(agents[0], agents[1], settings, host.url, limits)
    assert [text for _, text in meeting.said] == SAID
    assert [name for name, _ in meeting.said] == ["Clinic", "Ann", "Clinic", "Ann", "Clinic"]
    assert meeting.end == "turns"
    store = Store.open(settings.store_url)
    heard = [turn.user_text.lower() for turn in store.turns(meeting.calls[0]) if turn.user_text]
    assert "friday" in heard[0], "it was recognised, not told"
    store.close()
