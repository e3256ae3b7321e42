"""Which voice a call is spoken by, what there is to choose from, and what is kept of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from repartee.agent import Agent, load_agent
from repartee.errors import ConfigError, ToolError
from repartee.providers import choose_ladder
from repartee.session.fixed_texts import kept_voice
from repartee.session.voice_choice import VoiceChoice, sounding
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from tests.session.test_voice_kept import settings_for

FILE = """
name: Desk
persona: x
greeting: Riverside Clinic, good day.
voice: {openai: alloy, elevenlabs: one, cartesia: first}
voices:
  billing: {openai: nova, elevenlabs: two, cartesia: second, speed: 1.1}
languages:
  de: {voice: {openai: onyx, elevenlabs: drei, cartesia: dritte}}
  es: {}
"""


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    file = tmp_path / "a.yaml"
    file.write_text(FILE)
    return load_agent(file)


async def test_audio_of_one_voice_is_not_played_for_another(
    plain_settings: Settings, agent: Agent, tmp_path: Path
) -> None:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        settings = settings_for(plain_settings, simulator, "openai")
        ladder = await choose_ladder(settings, agent)
        caches = [
            kept_voice(tmp_path, sounding(key, {agent.name: agent}), ladder)
            for key in ("Desk", "Desk\x1fbilling\x1fen\x1f1", "Desk\x1fdefault\x1fde\x1f1")
        ]
    one, billing, german = (cache for cache in caches if cache is not None)
    one.put(agent.greeting, b"1111")
    assert one.get(agent.greeting) == b"1111"
    assert billing.get(agent.greeting) is None
    assert german.may_keep("Sind Sie noch da?")
    assert not one.may_keep("Sind Sie noch da?")


def choice(agent: Agent) -> VoiceChoice:
    return VoiceChoice(lambda: agent, lambda: agent.language, lambda *_, **__: None)


async def test_what_there_is_is_told_and_what_there_is_not_is_explained(agent: Agent) -> None:
    voice = choice(agent)
    assert json.loads(await voice.rpc("")) == {"voice": "default", "voices": ["default", "billing"]}
    with pytest.raises(ToolError, match="there is no voice 'biling'; did you mean 'billing'"):
        await voice.rpc('"biling"')
    assert voice.key() == "Desk", "nothing changes before somebody chooses"
    assert json.loads(await voice.rpc("billing"))["voice"] == "billing"
    assert sounding(voice.key(), {"Desk": agent}).voice == agent.voices["billing"]
    voice.reset()
    assert voice.key() == "Desk"


def test_each_language_has_a_voice_of_this_machine_that_speaks_it(agent: Agent) -> None:
    german, spanish = (sounding(f"Desk\x1fdefault\x1f{code}\x1f1", {"Desk": agent}) for code in ("de", "es"))
    assert (german.voice.openai, german.voice.on_device) == ("onyx", "espeak:de")
    assert (spanish.voice.openai, spanish.voice.on_device) == ("alloy", "espeak:es")
    assert agent.voice.on_device == "en_US-joe-medium"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("voices: {default: {}}", "'default' is what 'voice' has"),
        ("languages: {en-GB: {}}", "'en' is spoken already"),
        ("languages: {de: {}, de-AT: {}}", "'de' is spoken already"),
        ("languages: {german: {}}", "languages.german"),
        ("voices: {Billing: {}}", "voices.Billing"),
    ],
)
def test_mistakes_in_the_file_are_explained(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"name: Desk\npersona: x\ngreeting: Hello\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        load_agent(file)
    assert said in str(caught.value)
    assert ":4:" in str(caught.value)
