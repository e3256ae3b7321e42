"""The speech host: on-device models behind OpenAI's own wire format on loopback, loaded once per machine.

One process for all calls, so ten calls do not load ten Whispers, and a call process stays small and quick to
start. Work is bounded: a queue that is full answers 429 at once.
"""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import structlog
from aiohttp import web
from faster_whisper import WhisperModel

from repartee.errors import ProviderError
from repartee.providers.ondevice import registry
from repartee.providers.ondevice.sentences import SentenceModel
from repartee.providers.ondevice.voice import Voice

log = structlog.get_logger()
MAX_UPLOAD_BYTES = 25 * 1024 * 1024
MAX_TEXT_CHARACTERS = 4096
MAX_WAITING = 16
NO_SPEECH = "this host was started for sentence vectors only"
WHISPER_THREADS = 2
WHISPER_WORKERS = 2
"""An inference cannot be stopped half way; one whose caller has gone on speaking must not hold up the next."""


class Host:
    """The models and the HTTP application in front of them.

    Args:
        speech: Load the recogniser and the voice too; without them it makes sentence vectors only, and is small.
        whisper: The recogniser, by its name in agent files.
        voice: The voice, by its name in agent files.
        models: Where fetched models are.

    Raises:
        ConfigError: A model is not there.
    """

    def __init__(
        self,
        *,
        speech: bool = True,
        whisper: str = registry.OWN_WHISPER,
        voice: str = registry.OWN_VOICE,
        models: Path = Path(),
    ) -> None:
        self._whisper: WhisperModel | None = None
        self._voice: Voice | None = None
        if speech:
            self._whisper = WhisperModel(
                str(registry.WHISPERS[whisper].locate(models)),
                device="cpu",
                compute_type="int8",
                cpu_threads=WHISPER_THREADS,
                num_workers=WHISPER_WORKERS,
            )
            self._voice = Voice(*registry.piper_voice(voice, models))
        self._sentences = SentenceModel(*registry.minilm_files())
        self._executor = ThreadPoolExecutor(max_workers=WHISPER_WORKERS, thread_name_prefix="whisper")
        self._small = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sentences")
        self._waiting = 0

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=MAX_UPLOAD_BYTES)
        app.router.add_get("/healthz", self._health)
        app.router.add_post("/v1/audio/transcriptions", self._transcribe)
        app.router.add_post("/v1/audio/speech", self._speak)
        app.router.add_post("/v1/embeddings", self._embed)
        app.on_startup.append(self._start)
        app.on_cleanup.append(self._stop)
        return app

    async def _start(self, _: web.Application) -> None:
        if self._voice is not None:
            await self._voice.start()
        # The first inference of a model is slow; it shall not be a caller's. Nobody waits for these.
        if self._whisper is not None:
            self._executor.submit(self._hear, np.zeros(16_000, np.float32), 16_000, "en")
        self._small.submit(self._sentences.embed, ["hello"])

    async def _stop(self, _: web.Application) -> None:
        if self._voice is not None:
            await self._voice.stop()
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._small.shutdown(wait=False, cancel_futures=True)

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "waiting": self._waiting})

    async def _transcribe(self, request: web.Request) -> web.Response:
        if self._whisper is None:
            return _refuse(404, NO_SPEECH)
        if self._waiting >= MAX_WAITING:
            return _refuse(429, "too many transcriptions are waiting")
        form = await request.post()
        upload = form.get("file")
        if not isinstance(upload, web.FileField):
            return _refuse(400, "the form needs a 'file' with audio")
        language = str(form.get("language") or "en")
        if language not in self._whisper.supported_languages:
            return _refuse(400, f"the on-device recogniser does not know the language '{language}'")
        try:
            audio, rate = sf.read(io.BytesIO(upload.file.read()), dtype="float32", always_2d=True)
        except sf.LibsndfileError:
            return _refuse(400, "the file is no audio that can be read")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            sound = audio.mean(axis=1)
            text = await loop.run_in_executor(self._executor, self._hear, sound, rate, language)
        finally:
            self._waiting -= 1
        if form.get("response_format") == "text":
            return web.Response(text=text)
        return web.json_response({"text": text})

    def _hear(self, audio: Any, rate: int, language: str) -> str:
        if rate != 16_000:
            import soxr  # noqa: PLC0415 - callers send 16 kHz

            audio = soxr.resample(audio, rate, 16_000)
        assert self._whisper is not None  # noqa: S101 - requests without it are refused
        segments, _ = self._whisper.transcribe(
            audio,
            language=language,
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        # A stretch the model itself calls no speech is where it invents words.
        return " ".join(
            s.text.strip() for s in segments if s.no_speech_prob < 0.8 or s.avg_logprob > -0.7
        ).strip()

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        if self._voice is None:
            return _refuse(404, NO_SPEECH)
        body = await request.json()
        text = body.get("input")
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_TEXT_CHARACTERS:
            return _refuse(400, f"'input' must be a text of 1 to {MAX_TEXT_CHARACTERS} characters")
        if body.get("response_format", "pcm") != "pcm":
            return _refuse(400, "the on-device voice gives 'pcm' only")
        speed = min(4.0, max(0.25, float(body.get("speed") or 1.0)))
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        blocks = self._voice.speak(text, speed)
        try:
            async for block in blocks:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(block)
        except ProviderError as error:
            if not response.prepared:
                return _refuse(503, str(error))
            raise
        finally:
            await blocks.aclose()  # type: ignore[attr-defined]
        if not response.prepared:
            await response.prepare(request)
        await response.write_eof()
        return response

    async def _embed(self, request: web.Request) -> web.Response:
        body = await request.json()
        texts = body.get("input")
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not texts or len(texts) > 512:
            return _refuse(400, "'input' must be a text or a list of up to 512 texts")
        loop = asyncio.get_running_loop()
        vectors = await loop.run_in_executor(self._small, self._sentences.embed, [str(t) for t in texts])
        data = [
            {"object": "embedding", "index": index, "embedding": [round(float(x), 6) for x in vector]}
            for index, vector in enumerate(vectors)
        ]
        return web.json_response({"object": "list", "model": "all-MiniLM-L6-v2", "data": data})


def _refuse(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=status)
