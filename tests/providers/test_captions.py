"""Words while they are spoken: the host gives them when it has time, and says when it never will."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from aiohttp.test_utils import TestServer

from repartee.providers.captions import Captioner
from repartee.providers.ondevice import host
from repartee.providers.ondevice import whisper as whisper_module
from repartee.providers.ondevice.sizes import Size
from repartee.providers.ondevice.whisper import Whisper


class Model:
    """A recogniser that takes its time."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.go, self.begun = threading.Event(), threading.Semaphore(0)
        self.supported_languages = ["en"]
        self.go.set()

    def transcribe(self, *_: Any, **__: Any) -> Any:
        self.begun.release()
        self.go.wait(20)

        class Words:
            text, no_speech_prob, avg_logprob = " so far ", 0.0, 0.0

        return [Words()], None


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    made = Model()
    monkeypatch.setattr(whisper_module, "WhisperModel", lambda *_, **__: made)
    monkeypatch.setattr(host, "SentenceModel", lambda *_: None)
    return made


@pytest.fixture
async def served(model: Model) -> AsyncIterator[tuple[host.Host, Captioner]]:
    serving = host.Host()
    app = serving.app()
    app.on_startup.clear()  # no voice is started
    app.on_cleanup.clear()
    async with TestServer(app) as server:
        captioner = Captioner(str(server.make_url("")), "en")
        yield serving, captioner
        await captioner.aclose()
        model.go.set()
        serving._executor.shutdown(wait=True)


def wav() -> bytes:
    file = io.BytesIO()
    sf.write(file, np.zeros(16_000, np.int16), 16_000, format="WAV")
    return file.getvalue()


async def test_words_come_from_a_machine_that_is_quick_and_has_time(
    served: Any, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, captioner = served
    monkeypatch.setattr(Whisper, "quick", True)
    assert await captioner.words(wav()) == "so far"
    model.go.clear()
    other = asyncio.create_task(captioner._client.post("/v1/audio/transcriptions", files={"file": wav()}))
    assert await asyncio.to_thread(model.begun.acquire, timeout=10)
    assert await asyncio.to_thread(model.begun.acquire, timeout=10)
    assert await captioner.words(wav()) == "", "a transcript that is waited for comes first"
    model.go.set()
    assert (await other).json() == {"text": "so far"}
    assert captioner.able


async def test_a_machine_that_is_too_slow_says_so_once(served: Any) -> None:
    _, captioner = served
    assert await captioner.words(wav()) == ""
    assert not captioner.able


@pytest.mark.parametrize(
    ("device", "cores", "took_s", "quick"),
    [("cpu", 4, 0.1, True), ("cpu", 2, 0.1, False), ("cuda", 2, 0.1, True), ("cpu", 64, 0.5, False)],
)
def test_who_is_quick(
    model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    cores: int,
    took_s: float,
    quick: bool,
) -> None:
    now = iter(range(100))
    monkeypatch.setattr(whisper_module, "cores", lambda: cores)
    monkeypatch.setattr(whisper_module, "device", lambda: device)
    monkeypatch.setattr("repartee.providers.ondevice.whisper.time.monotonic", lambda: next(now) * took_s)
    heard = Whisper(Size("tiny.en", tmp_path))
    assert not heard.quick, "nothing is known yet"
    heard.hear(np.zeros(16_000, np.float32), ("en",))
    assert heard.quick == quick
