"""The simulator: knows its recordings, waits as told, fails as told, books everything; spoken to by the real SDK."""

from __future__ import annotations

import io
import json
import statistics
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import soundfile as sf
import soxr

from repartee.errors import ConfigError
from repartee.simulator.audio import read_audio
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.library import SpeechLibrary
from repartee.simulator.providers.profiles import PROFILES, Draws, profile


@pytest.fixture(scope="module")
def library(speech: Path) -> SpeechLibrary:
    return SpeechLibrary(speech)


def sound(path: Path) -> Any:
    return read_audio(path, 16_000).astype(np.float32) / 32768


class TestRecognition:
    def test_whole_recordings_are_known(
        self, library: SpeechLibrary, speech: Path, transcribed: list[dict[str, Any]]
    ) -> None:
        wrong = [
            entry["file"]
            for entry in transcribed
            if library.recognise(sound(speech / entry["file"])).text != " ".join(entry["transcript"].split())
        ]
        assert wrong == []

    def test_half_an_upload_gives_half_the_words(self, library: SpeechLibrary, speech: Path) -> None:
        audio = sound(speech / "aiewf" / "turn_013.flac")
        whole = library.recognise(audio)
        half = library.recognise(audio[: len(audio) // 2])
        assert whole.complete
        assert not half.complete
        assert whole.text.startswith(half.text)
        assert 3 <= len(half.text.split()) < len(whole.text.split())

    def test_noise_gain_and_a_telephone_do_not_matter(self, library: SpeechLibrary, speech: Path) -> None:
        audio = sound(speech / "aiewf" / "turn_001.flac") * 0.3
        narrow = soxr.resample(soxr.resample(audio, 16_000, 8_000), 8_000, 16_000)
        noisy = narrow + np.random.default_rng(1).normal(0, 0.0007, len(narrow)).astype(np.float32)
        assert library.recognise(noisy).text == "Are there any workshops about Gemini?"

    def test_what_is_no_recording_is_not_one(self, library: SpeechLibrary, speech: Path) -> None:
        other = sound(speech / "noise" / "lk_office-ambience.flac")[: 5 * 16_000]
        assert library.recognise(other).text == ""
        assert library.recognise(np.zeros(16_000, np.float32)).text == ""

    def test_two_in_one_upload_are_both_heard(self, library: SpeechLibrary, speech: Path) -> None:
        parts = [sound(speech / "aiewf" / name) for name in ("turn_001.flac", "turn_002.flac")]
        heard = library.recognise(np.concatenate(parts))
        assert heard.text == "Are there any workshops about Gemini? How many conference tracks are there?"


class TestLatency:
    @pytest.mark.parametrize("name", [name for name in PROFILES if name != "instant"])
    def test_draws_have_the_profile_s_median_and_tail(self, name: str) -> None:
        spread = PROFILES[name].llm
        draws = Draws(1)
        values = sorted(spread.at(draws.quantile("llm", f"request {n}")) for n in range(4000))
        assert statistics.median(values) == pytest.approx(spread.p50_ms, rel=0.06)
        assert values[int(0.95 * len(values))] == pytest.approx(spread.p95_ms, rel=0.12)

    def test_the_same_request_waits_as_long_in_every_run(self) -> None:
        first, again, other = Draws(1), Draws(1), Draws(2)
        keys = [f"r{n}" for n in range(20)]
        drawn = [first.quantile("stt", key) for key in keys]
        assert drawn == [again.quantile("stt", key) for key in reversed(keys)][::-1]
        assert drawn != [other.quantile("stt", key) for key in keys]
        assert first.quantile("stt", "r1") != drawn[1], "a second attempt is another draw"

    @pytest.mark.parametrize(
        ("name", "said"), [("fats", "did you mean 'fast'"), ("fixed:1/2", "is not three numbers in ms")]
    )
    def test_a_profile_that_is_none_is_said(self, name: str, said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            profile(name)


def sdk(simulator: Simulator, key: str = "k") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=key, base_url=f"{simulator.url}/v1", max_retries=0)


class TestOpenAI:
    async def test_transcription(self, speech: Path, tmp_path: Path) -> None:
        bill = tmp_path / "bill.jsonl"
        config = SimulatorConfig(profile="instant", speech=speech, bill=bill)
        wav = io.BytesIO()
        sf.write(wav, read_audio(speech / "aiewf" / "turn_001.flac", 16_000), 16_000, format="WAV")
        async with Simulator.start(config) as simulator, sdk(simulator) as client:
            answer = await client.audio.transcriptions.create(
                model="whisper-1", file=("a.wav", wav.getvalue())
            )
            summary = simulator.desk.bill.summary()
        assert answer.text == "Are there any workshops about Gemini?"
        assert summary["stages"]["stt"]["requests"] == 1
        assert summary["usd"] == pytest.approx(2.853 / 60 * 0.006, rel=0.05)
        assert json.loads(bill.read_text())["text"] == answer.text

    async def test_chat_streams_and_is_the_same_every_time(self) -> None:
        async with Simulator.start(SimulatorConfig(profile="instant")) as simulator, sdk(simulator) as client:
            answers = []
            for _ in range(2):
                stream = await client.chat.completions.create(
                    model="gpt-4.1-mini", messages=[{"role": "user", "content": "Hello"}], stream=True
                )
                chunks = [chunk async for chunk in stream]
                answers.append("".join(c.choices[0].delta.content or "" for c in chunks if c.choices))
        assert answers[0] == answers[1]
        assert len(chunks) > 5
        assert "hello" in answers[0]

    async def test_a_script_calls_tools(self, tmp_path: Path) -> None:
        script = tmp_path / "script.yaml"
        script.write_text("- when: 'tuesday at (\\d+)'\n  call: book\n  with: {at: '{0}:00'}\n")
        config = SimulatorConfig(profile="instant", script=script)
        async with Simulator.start(config) as simulator, sdk(simulator) as client:
            answer = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Tuesday at 10"}]
            )
        (call,) = answer.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == ("book", {"at": "10:00"})

    async def test_speech_is_pcm_as_long_as_the_text(self) -> None:
        async with Simulator.start(SimulatorConfig(profile="instant")) as simulator, sdk(simulator) as client:
            answer = await client.audio.speech.create(
                model="tts-1", voice="alloy", input="Hello there.", response_format="pcm"
            )
        seconds = len(answer.content) / 2 / 24_000
        assert 0.5 < seconds < 1.5

    async def test_faults_come_as_ordered_and_are_booked(self) -> None:
        async with Simulator.start(SimulatorConfig(profile="instant")) as simulator, sdk(simulator) as client:
            async with httpx.AsyncClient(base_url=simulator.url) as control:
                for kind in ("error", "rate_limit"):
                    await control.post("/_sim/faults", json={"stage": "llm", "kind": kind})
                bad = await control.post("/_sim/faults", json={"stage": "llm", "kind": "fire"})
            ask: Any = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
            with pytest.raises(openai.InternalServerError):
                await client.chat.completions.create(**ask)
            with pytest.raises(openai.RateLimitError):
                await client.chat.completions.create(**ask)
            await client.chat.completions.create(**ask)
            outcomes = [entry.outcome for entry in simulator.desk.bill.entries]
        assert bad.status_code == 400
        assert outcomes == ["failed", "failed", "ok"]

    @pytest.mark.parametrize("key", ["wrong", "wrong-too"])
    async def test_a_wrong_key_is_refused(self, key: str) -> None:
        async with Simulator.start(SimulatorConfig()) as simulator, sdk(simulator, key) as client:
            with pytest.raises(openai.AuthenticationError):
                await client.models.list()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- when: a\n", "rule 1 needs 'when' and one of"),
        ("- {when: '(', say: x}\n", "is no regular expression"),
        ("{", "is not YAML"),
    ],
)
async def test_a_bad_script_is_said(tmp_path: Path, text: str, said: str) -> None:
    script = tmp_path / "s.yaml"
    script.write_text(text)
    with pytest.raises(ConfigError, match=said):
        async with Simulator.start(SimulatorConfig(script=script)):
            pass
