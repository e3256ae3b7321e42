"""`repartee bench voices`: which voices are compared, what is told apart, and one real run on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from repartee.cli.voices import VoicesOptions, _check, _is_simulator, run_voices
from repartee.errors import ConfigError
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.voices import texts


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cartesa:sonic-3", "did you mean 'cartesia'?"),
        ("openai", "provider:model"),
        ("openai:tts-1", "OPENAI_API_KEY, which is not set"),
    ],
)
def test_a_voice_that_cannot_be_had_is_explained(plain_settings: Settings, name: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _check(name, plain_settings)
    assert said in str(caught.value)


async def test_a_language_without_texts_is_explained(plain_settings: Settings) -> None:
    with pytest.raises(ConfigError, match="choose from: en, de, es"):
        await run_voices(VoicesOptions(language="fr"), plain_settings, None, None, Console(quiet=True))


async def test_an_address_of_a_simulator_is_known_for_one() -> None:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        assert await _is_simulator(f"{simulator.url}/v1")
        host = simulator.url
    assert not await _is_simulator(f"{host}/v1"), "nobody is there any more"


@pytest.mark.models
async def test_the_machine_s_own_voice_is_measured_and_a_stand_in_stays_apart(
    plain_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(texts.TEXTS, "en", texts.TEXTS["en"][1:3])
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        # A key and an address, as somebody who tries repartee out with the simulator has them.
        settings = plain_settings.model_copy(
            update={"openai_api_key": SecretStr("k"), "openai_base_url": f"{simulator.url}/v1"}
        )
        written, page = tmp_path / "voices.json", tmp_path / "voices.html"
        options = VoicesOptions(("openai:tts-1", "on-device:piper"), repeats=1)
        await run_voices(options, settings, written, page, Console(quiet=True))
    report = json.loads(written.read_text())
    (own,), (stand_in,) = report["voices"], report["simulated"]
    assert own["provider"] == "on-device"
    assert own["failed"] == 0
    assert own["word_error"] < 0.2
    assert -40 < own["loudness_lufs"] < -5
    assert own["usd_per_minute"] == 0
    assert stand_in["provider"] == "openai"
    assert "word_error" not in stand_in
    assert page.read_text().count("<audio") == 2
