"""What is sure to be said is synthesised once: a second call asks the vendor for none of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from repartee.agent import Agent, load_agent
from repartee.conversation import Idle, Speaking, Thinking, UserTurn
from repartee.conversation.fillers import texts_for
from repartee.events import CallerJoined, DeadlinePassed, SpeechStarted, SpeechStopped, TranscriptReceived
from repartee.providers import choose_ladder
from repartee.providers.answer_cache import AnswerCache
from repartee.providers.kit import ProviderKit
from repartee.providers.prepared_voice import make_voice, preparing_voice
from repartee.providers.services import SmallChunkTTS
from repartee.providers.voice_cache import VoiceCache, voice_key
from repartee.session.fixed_texts import fixed_texts
from repartee.session.lines import lines_for
from repartee.session.tiering import voice_parts
from repartee.session.tiers import TierParts, Tiers
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from tests.session.rig import Ask, Call
from tests.session.test_call import NOW, said

ANSWER = "Yes, of course, we are open. From eight in the morning to six in the evening, Monday to Friday."
FILE = f"""
name: Desk
persona: x
greeting: Riverside Clinic, good day.
answers:
  - {{id: hours, ask: ["Are you open?"], say: "{ANSWER}"}}
"""


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    file = tmp_path / "a.yaml"
    file.write_text(FILE)
    return load_agent(file)


def settings_for(plain: Settings, simulator: Simulator, vendor: str) -> Settings:
    socket = simulator.url.replace("http", "ws")
    return plain.model_copy(
        update={
            f"{vendor}_api_key": SecretStr("k"),
            "openai_base_url": f"{simulator.url}/v1",
            "elevenlabs_base_url": socket,
            "cartesia_base_url": socket,
            "llm_base_url": "http://127.0.0.1:9/v1",
        }
    )


async def one_call(settings: Settings, agent: Agent, folder: Path) -> list[str]:
    """Be greeted, ask what is known, cough so long that the agent did not hear; return what was heard."""
    ladder = await choose_ladder(settings, agent)
    kit = ProviderKit(
        settings,
        agent,
        ladder,
        "http://127.0.0.1:9",
        voice_cache=VoiceCache(folder, voice_key(agent, ladder), fixed_texts(agent)),
    )
    voice = kit.tts()
    whole = not isinstance(voice, SmallChunkTTS)
    cache = AnswerCache(agent, None, None)
    tiers = Tiers(TierParts(cache, voice=kit.voice_cache, whole=whole), lambda *_, **__: None)
    async with Call(
        policies=NOW, tiers=tiers, voice=voice_parts(kit, voice), greeting=agent.greeting
    ) as call:
        call.happen(CallerJoined(0))
        await call.play_until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
        said(call, "Are you open?")
        await call.play_until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
        call.happen(SpeechStarted(0, 2))
        await call.until(lambda: isinstance(call.state, UserTurn))
        call.happen(SpeechStopped(0, 2, 0, 900), TranscriptReceived(0, "", 2, 2))
        await call.play_until(lambda: len(call.history.entries) > 2 and isinstance(call.state, Idle))
    await kit.aclose()
    assert call.model.asked == []
    return [str(entry["content"]) for entry in call.history.entries]


@pytest.mark.parametrize("vendor", ["openai", "elevenlabs", "cartesia"])
async def test_a_second_call_asks_the_vendor_for_nothing(
    plain_settings: Settings, agent: Agent, tmp_path: Path, vendor: str
) -> None:
    folder = tmp_path / "voices"
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        settings = settings_for(plain_settings, simulator, vendor)
        first = await one_call(settings, agent, folder)
        asked = sum(entry.characters for entry in simulator.desk.bill.entries)
        second = await one_call(settings, agent, folder)
        again = sum(entry.characters for entry in simulator.desk.bill.entries) - asked
    assert asked >= len(agent.greeting + ANSWER)
    assert again == 0
    assert second == first
    assert first[0] == agent.greeting
    assert first[-1] == f"{ANSWER} {lines_for('en')['not_heard']}"


async def call_with_a_wait(settings: Settings, agent: Agent, folder: Path) -> str:
    """Ask what takes a while; return all that was shown of the reply."""
    ladder = await choose_ladder(settings, agent)
    kept = VoiceCache(folder, voice_key(agent, ladder), fixed_texts(agent))
    kit = ProviderKit(settings, agent, ladder, "http://127.0.0.1:9", voice_cache=kept)
    voice = kit.tts()
    parts = TierParts(voice=kit.voice_cache, whole=not isinstance(voice, SmallChunkTTS))
    tiers, think = Tiers(parts, lambda *_, **__: None), asyncio.Event()
    answer = Ask("Mia is in on Monday.", wait=think)
    async with Call(answer, policies=NOW, tiers=tiers, voice=voice_parts(kit, voice)) as call:
        said(call, "When is Mia in?")
        await call.until(lambda: isinstance(call.state, Thinking) and call.model.asked)
        await call.settle()
        call.now_ms = 1000
        call.happen(DeadlinePassed(1000, "waiting"))
        reply = call.gate._replies[1]
        await call.play_until(lambda: reply.samples and call.gate.quiet(1))
        assert isinstance(call.state, Thinking)
        think.set()
        await call.play_until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    await kit.aclose()
    assert call.history.entries[-1]["content"] == "Mia is in on Monday."
    return call.captions.agent[-1][0]


@pytest.mark.parametrize("vendor", ["openai", "elevenlabs", "cartesia"])
async def test_a_filler_is_made_once_and_is_no_part_of_the_answer(
    plain_settings: Settings, agent: Agent, tmp_path: Path, vendor: str
) -> None:
    folder = tmp_path / "voices"
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        settings = settings_for(plain_settings, simulator, vendor)
        shown = await call_with_a_wait(settings, agent, folder)
        asked = [entry.text for entry in simulator.desk.bill.entries]
        assert await call_with_a_wait(settings, agent, folder) == shown
        again = [entry.text for entry in simulator.desk.bill.entries][len(asked) :]
    filler = texts_for("en")["question"][0]
    assert shown == f"{filler} Mia is in on Monday."
    assert any(filler in text for text in asked)
    assert not any(filler in text for text in again)


async def test_the_audio_is_made_before_the_first_call(
    plain_settings: Settings, agent: Agent, tmp_path: Path
) -> None:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        settings = settings_for(plain_settings, simulator, "openai")
        ladder = await choose_ladder(settings, agent)
        texts = fixed_texts(agent)
        cache = VoiceCache(settings.state_dir / "voices", voice_key(agent, ladder), texts)
        kit = ProviderKit(settings, agent, ladder, None)
        voice = kit._voice(ladder.tts)
        made = await make_voice(voice, cache, texts)
        assert made == sum(map(len, texts))
        assert await make_voice(voice, cache, texts) == 0
        before = len(simulator.desk.bill.entries)
        async with preparing_voice(settings, agent, ladder, texts):
            await one_call(settings, agent, settings.state_dir / "voices")
        await kit.aclose()
        assert len(simulator.desk.bill.entries) == before


async def test_a_voice_that_fails_is_left_alone(
    plain_settings: Settings, agent: Agent, tmp_path: Path
) -> None:
    settings = plain_settings.model_copy(
        update={"openai_api_key": SecretStr("k"), "openai_base_url": "http://127.0.0.1:9/v1"}
    )
    ladder = await choose_ladder(settings, agent)
    texts = [f"text {number}" for number in range(10)]
    cache = VoiceCache(tmp_path / "v", voice_key(agent, ladder), texts)
    kit = ProviderKit(settings, agent, ladder, None)
    assert await make_voice(kit._voice(ladder.tts), cache, texts) == 0
    await kit.aclose()
