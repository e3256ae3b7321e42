"""OpenAI over HTTP: transcription, chat with streaming and tools, speech; and the other vendors' plain speech."""

from __future__ import annotations

import asyncio
import io
import json
import time
import uuid
from typing import Any

import numpy as np
import soundfile as sf
from aiohttp import web

from repartee.bounded_json import loads
from repartee.simulator.providers.asked import AskedChat, AskedSpeech, read
from repartee.simulator.providers.bill import Entry
from repartee.simulator.providers.desk import Desk, FaultError
from repartee.simulator.providers.prompt_cache import PromptCache, prompt_text, prompt_tokens
from repartee.simulator.providers.replies import Reply, normalised
from repartee.simulator.providers.voices import speak

MODELS = ("gpt-4.1-mini", "gpt-4o-mini", "gpt-4o-mini-transcribe", "whisper-1", "gpt-4o-mini-tts", "tts-1")
SPEECH_RATE_HZ = 24_000
CHUNK_S = 0.04
FORMATS = ("pcm", "wav")


class OpenAIHttp:
    """The HTTP endpoints.

    Args:
        desk: Latency, faults and the bill.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._prompts = PromptCache()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/v1/models", self._models),  # ElevenLabs' has the same path
            web.post("/v1/audio/transcriptions", self._transcribe),
            web.post("/v1/chat/completions", self._chat),
            web.post("/v1/audio/speech", self._speech),
            web.post("/v1/text-to-speech/{voice}/stream", self._elevenlabs),
            web.post("/tts/bytes", self._cartesia),
        ]

    async def _models(self, _: web.Request) -> web.Response:
        data = [{"id": name, "object": "model", "owned_by": "simulator"} for name in MODELS]
        return web.json_response({"object": "list", "data": data})

    async def _transcribe(self, request: web.Request) -> web.Response:
        form = await request.post()
        complete_s = time.monotonic()
        upload = form.get("file")
        if not isinstance(upload, web.FileField):
            return _refuse(400, "'file' is missing")
        try:
            sound, rate = sf.read(io.BytesIO(upload.file.read()), dtype="float32", always_2d=True)
        except sf.LibsndfileError:
            return _refuse(400, "Invalid file format.")
        entry = Entry("stt", "openai", str(form.get("model") or "whisper-1"), audio_s=len(sound) / rate)
        entry.request_id = _request_id(request)
        try:
            async with self._desk.booked(entry):
                heard = await self._desk.recognise(sound.mean(axis=1), rate)
                entry.text = heard.text
                extra = self._desk.profile.stt_per_audio_s * entry.audio_s
                await self._desk.wait("stt", heard.text or f"{entry.audio_s:.1f}", complete_s, extra)
                entry.outcome = "ok"
        except FaultError as fault:
            return _failed(fault)
        if form.get("response_format") == "text":
            return web.Response(text=heard.text + "\n")
        return web.json_response(
            {"text": heard.text, "usage": {"type": "duration", "seconds": round(entry.audio_s)}}
        )

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        complete_s = time.monotonic()
        try:
            data = await request.read()
            asked = read(AskedChat, data)
        except ValueError as error:
            return _refuse(400, str(error))
        body = loads(data)  # as it came: each sign of it is counted
        messages: list[dict[str, Any]] = body["messages"]
        reply = self._desk.replies.answer(messages)
        entry = Entry("llm", "openai", asked.model, request_id=_request_id(request))
        prompt = prompt_text(messages, body.get("tools"))
        entry.tokens_in = prompt_tokens(prompt)
        entry.tokens_cached = self._prompts.known_tokens(entry.model, prompt)
        entry.said, entry.told = _last(messages, "user"), _last(messages, "assistant")
        entry.text = reply.text or f"{reply.tool}({json.dumps(reply.arguments)})"
        try:
            async with self._desk.booked(entry):
                cut = await self._desk.wait("llm", normalised(json.dumps(messages[-1])), complete_s)
                self._prompts.keep(entry.model, prompt)
                if not asked.stream:
                    entry.tokens_out = len(_pieces(reply))
                    entry.outcome = "ok"
                    return web.json_response(_whole(asked.model, reply, entry))
                return await self._stream(request, asked, reply, entry, cut=cut)
        except FaultError as fault:
            return _failed(fault)

    async def _stream(
        self, request: web.Request, asked: AskedChat, reply: Reply, entry: Entry, *, cut: bool
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        head = _head(asked.model, "chat.completion.chunk")
        pieces = _pieces(reply)
        began_s = time.monotonic()
        for number, delta in enumerate(pieces):
            if cut and number >= len(pieces) // 2:
                if request.transport is not None:
                    request.transport.abort()
                return response
            await _pace(began_s + number / self._desk.profile.tokens_per_s)
            entry.tokens_out += 1
            await _event(response, head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        finish = "tool_calls" if reply.tool else "stop"
        await _event(response, head | {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        if asked.stream_options is not None and asked.stream_options.include_usage:
            await _event(response, head | {"choices": [], "usage": _usage(entry)})
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        entry.outcome = "ok"
        return response

    async def _elevenlabs(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if request.query.get("output_format") != f"pcm_{SPEECH_RATE_HZ}":
            return _refuse(400, f"the simulator gives 'pcm_{SPEECH_RATE_HZ}' only")
        model = str(body.get("model_id") or "eleven_flash_v2_5")
        entry = Entry("tts", "elevenlabs", model, voice=request.match_info["voice"])
        return await self._say(request, entry, body.get("text"))

    async def _cartesia(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        wanted = body.get("output_format") or {}
        if wanted.get("encoding") != "pcm_s16le" or wanted.get("sample_rate") != SPEECH_RATE_HZ:
            return _refuse(400, f"the simulator gives raw pcm_s16le at {SPEECH_RATE_HZ} only")
        model = str(body.get("model_id") or "sonic-3")
        return await self._say(request, Entry("tts", "cartesia", model), body.get("transcript"))

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = read(AskedSpeech, await request.read())
        except ValueError as error:
            return _refuse(400, str(error))
        if asked.response_format not in FORMATS:
            return _refuse(400, "the simulator gives 'pcm' and 'wav' only; ask for one of them")
        entry = Entry("tts", "openai", asked.model, voice=asked.voice)
        return await self._say(request, entry, asked.input, head=asked.response_format == "wav")

    async def _say(
        self, request: web.Request, entry: Entry, text: object, *, head: bool = False
    ) -> web.StreamResponse:
        """Answer with a text's audio, as raw PCM or with a WAV head before it."""
        complete_s = time.monotonic()
        if not isinstance(text, str) or not text.strip() or len(text) > 4096:
            return _refuse(400, "the text must have 1 to 4096 characters")
        entry.text, entry.characters, entry.request_id = text, len(text), _request_id(request)
        try:
            async with self._desk.booked(entry):
                cut = await self._desk.wait("tts", text, complete_s)
                response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
                await response.prepare(request)
                pcm = speak(text, SPEECH_RATE_HZ)
                if head:
                    await response.write(_wav_head(len(pcm) * 2))
                size, began_s = int(SPEECH_RATE_HZ * CHUNK_S), time.monotonic()
                for number, at in enumerate(range(0, len(pcm), size)):
                    if cut and at >= len(pcm) // 2:
                        if request.transport is not None:
                            request.transport.abort()
                        return response
                    await _pace(began_s + number * CHUNK_S * self._desk.profile.real_time_factor)
                    entry.audio_s += CHUNK_S
                    await response.write(pcm[at : at + size].tobytes())
                await response.write_eof()
                entry.outcome = "ok"
                return response
        except FaultError as fault:
            return _failed(fault)


def _request_id(request: web.Request) -> str:
    return request.headers.get("X-Client-Request-Id", "")


def _last(messages: list[dict[str, Any]], role: str) -> str:
    return next((str(m.get("content") or "") for m in reversed(messages) if m.get("role") == role), "")


async def _pace(until_s: float) -> None:
    await asyncio.sleep(max(0.0, until_s - time.monotonic()))


def _pieces(reply: Reply) -> list[dict[str, Any]]:
    """Return the deltas of a stream; each counts as a token."""
    if reply.tool is None:
        words = reply.text.split(" ")
        texts = [word + (" " if number < len(words) - 1 else "") for number, word in enumerate(words)]
        return [{"role": "assistant", "content": texts[0]}, *({"content": text} for text in texts[1:])]
    call_id, arguments = f"call_{uuid.uuid4().hex[:20]}", json.dumps(reply.arguments or {})
    function = {"name": reply.tool, "arguments": ""}
    first = {"index": 0, "id": call_id, "type": "function", "function": function}
    parts = [arguments[at : at + 8] for at in range(0, len(arguments), 8)]
    return [
        {"role": "assistant", "content": None, "tool_calls": [first]},
        *({"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in parts),
    ]


def _head(model: str, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex[:24]}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
    }


def _whole(model: str, reply: Reply, entry: Entry) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.tool:
        function = {"name": reply.tool, "arguments": json.dumps(reply.arguments or {})}
        message["tool_calls"] = [
            {"id": f"call_{uuid.uuid4().hex[:20]}", "type": "function", "function": function}
        ]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if reply.tool else "stop"}
    return _head(model, "chat.completion") | {"choices": [choice], "usage": _usage(entry)}


def _usage(entry: Entry) -> dict[str, Any]:
    return {
        "prompt_tokens": entry.tokens_in,
        "completion_tokens": entry.tokens_out,
        "total_tokens": entry.tokens_in + entry.tokens_out,
        "prompt_tokens_details": {"cached_tokens": entry.tokens_cached},
    }


async def _event(response: web.StreamResponse, data: dict[str, Any]) -> None:
    await response.write(f"data: {json.dumps(data)}\n\n".encode())


def _wav_head(data_bytes: int) -> bytes:
    buffer = io.BytesIO()
    sf.write(buffer, np.zeros(0, np.int16), SPEECH_RATE_HZ, format="WAV", subtype="PCM_16")
    head = bytearray(buffer.getvalue()[:44])
    head[4:8], head[40:44] = (36 + data_bytes).to_bytes(4, "little"), data_bytes.to_bytes(4, "little")
    return bytes(head)


def _refuse(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=status)


def _failed(fault: FaultError) -> web.Response:
    headers = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s else None
    return web.json_response(
        {"error": {"message": str(fault), "type": "server_error"}}, status=fault.status, headers=headers
    )
