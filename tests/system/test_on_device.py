"""No key at all: real Whisper, real voice, answers by meaning, over a real LiveKit server."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import jiwer
import pytest

from repartee.cli.say import say
from repartee.errors import ProviderError
from repartee.providers.ondevice import SpeechHost
from repartee.providers.ondevice.registry import PIPER, VOICES, WHISPER, WHISPERS
from repartee.simulator.caller import call
from tests.conftest import FRONT_DESK
from tests.system.helpers import eventually, server

WER_LIMIT = 0.12


async def test_three_recordings_make_a_booking(tmp_path: Path, speech: Path) -> None:
    book, yes = tmp_path / "book.wav", tmp_path / "yes.wav"
    await say(
        [
            ("I would like to book an appointment for next Tuesday at ten in the morning, please.", book),
            ("Yes, please book it.", yes),
        ]
    )
    async with server(FRONT_DESK, tmp_path) as running:
        report = await call(
            running.url, [book, speech / "aiewf" / "turn_010.flac", yes], tmp_path / "call.wav"
        )
        calls = list((running.state_dir / "calls").glob("*.jsonl"))
        with sqlite3.connect(running.state_dir / "calendar.db") as db:
            rows = db.execute("SELECT starts_at, name, booked_in_call FROM appointments").fetchall()
    assert report.greeting == "Riverside Clinic, good day. How can I help you?"
    first, second, third = report.exchanges
    assert "book an appointment" in first.heard
    assert first.reply == "What is your full name, please?"
    assert second.heard == "My name is Jennifer Smith."
    assert "at 10 in the morning for Jennifer Smith. Shall I book it?" in second.reply
    assert "is booked" in third.reply
    ((starts_at, name, call_id),) = rows
    assert starts_at.endswith("T10:00:00")
    assert name == "Jennifer Smith"
    assert [file.stem for file in calls] == [call_id]
    assert all(exchange.latency_ms is not None for exchange in report.exchanges)
    assert (tmp_path / "call.wav").stat().st_size > 48_000


def normalised(text: str) -> str:
    text = re.sub(r"[^a-z0-9' ]+", " ", text.lower().replace("mister", "mr").replace("-", " "))
    return " ".join(text.split())


async def test_whisper_mishears_few_words(
    speech: Path, transcribed: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    said, heard = [], []
    async with SpeechHost.start() as host, httpx.AsyncClient(base_url=host.url, timeout=120) as client:
        for entry in transcribed:
            data = await asyncio.to_thread((speech / entry["file"]).read_bytes)
            response = await client.post("/v1/audio/transcriptions", files={"file": ("a.flac", data)})
            said.append(normalised(entry["transcript"]))
            heard.append(normalised(response.json()["text"]))
    error = jiwer.wer(said, heard)
    with capsys.disabled():
        print(f"\nWhisper on {len(said)} recordings: word error rate {error:.1%}")  # noqa: T201 - the figure is the point
    assert len(said) >= 20
    assert error < WER_LIMIT, [pair for pair in zip(said, heard, strict=True) if pair[0] != pair[1]]


async def test_the_speech_host_comes_back_on_its_port() -> None:
    async with SpeechHost.start() as host, httpx.AsyncClient(base_url=host.url, timeout=10) as client:
        before = host._process.pid
        host._process.kill()
        await eventually(lambda: host._process.pid != before)

        def healthy() -> bool:
            try:
                return httpx.get(f"{host.url}/healthz").status_code == httpx.codes.OK
            except httpx.HTTPError:
                return False

        await eventually(healthy)
        response = await client.post("/v1/embeddings", json={"input": ["hello"]})
        assert len(response.json()["data"][0]["embedding"]) == 384


async def test_fetched_models_are_those_that_hear_and_speak(
    speech: Path, transcribed: list[dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(ProviderError, match="did not start"):
        async with SpeechHost.start(whisper="base", models=tmp_path):
            raise AssertionError
    fetched = tmp_path / WHISPERS["base"].name
    # A folder as a fetch leaves it; the weights are the smaller model's, which are here.
    fetched.symlink_to(WHISPER.locate())
    entry = min(transcribed, key=lambda item: len(item["transcript"]))
    data = await asyncio.to_thread((speech / entry["file"]).read_bytes)
    (tmp_path / VOICES["de_DE-thorsten-medium"].name).mkdir()
    for mine, theirs in zip(VOICES["de_DE-thorsten-medium"].files, PIPER.files, strict=True):
        link = tmp_path / VOICES["de_DE-thorsten-medium"].name / mine.path
        link.symlink_to(PIPER.locate() / theirs.path)
    starting = SpeechHost.start(whisper="base", voice="de_DE-thorsten-medium", models=tmp_path)
    async with starting as host, httpx.AsyncClient(base_url=host.url, timeout=60) as client:
        heard = await client.post("/v1/audio/transcriptions", files={"file": ("a.flac", data)})
        other = await client.post(
            "/v1/audio/transcriptions", files={"file": ("a.flac", data)}, data={"language": "de"}
        )
        said = await client.post("/v1/audio/speech", json={"input": "Hello there."})
    assert normalised(heard.json()["text"])
    assert len(said.content) > 10_000
    assert other.status_code == 400
    assert "does not know the language 'de'" in other.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "sent", "said"),
    [
        ("/v1/audio/speech", {"input": ""}, "'input' must be a text"),
        ("/v1/audio/speech", {"input": "x" * 5000}, "'input' must be a text"),
        ("/v1/audio/speech", {"input": "x", "response_format": "mp3"}, "gives 'pcm' only"),
        ("/v1/embeddings", {"input": []}, "'input' must be a text or a list"),
    ],
)
async def test_the_speech_host_refuses_what_it_cannot(path: str, sent: dict[str, str], said: str) -> None:
    async with SpeechHost.start() as host, httpx.AsyncClient(base_url=host.url) as client:
        response = await client.post(path, json=sent)
    assert response.status_code == 400
    assert said in response.json()["error"]["message"]
