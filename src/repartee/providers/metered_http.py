"""HTTP clients that meter: each request is looked at on its way out, each answer on its way in.

Here and not in the services, because retries, hedges, requests ahead of time and those that are cancelled before or
after they have left all pass this point, whoever makes them. Reading and reckoning happen when an answer has ended,
never between its pieces.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import httpx2
from openai import DefaultAsyncHttpxClient

from repartee.bounded_json import loads
from repartee.conversation.tokens import without_pictures
from repartee.providers.connections import plain_tls, shared
from repartee.providers.metering import CHARACTERS_PER_TOKEN, Meter, Record, TokenUsage
from repartee.telemetry.usage import Outcome, Stage

STAGES: dict[str, Stage] = {
    "/chat/completions": "llm",
    "/audio/speech": "tts",
    "/tts/bytes": "tts",
    "/audio/transcriptions": "stt",
    "/embeddings": "embedding",
}
_VOICE_PATH = re.compile(r"/v1/text-to-speech/[^/]+/stream$")
MAX_KEPT_BYTES = 4 * 1024 * 1024
"""Of one answer's text: some 10,000 tokens. What is longer is reckoned from its beginning."""
_MODEL_PART = re.compile(rb'name="model"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]+)\r\n')
_PROMPT_TOKENS = re.compile(rb'"prompt_tokens"\s*:\s*(\d+)')
EDGE_BYTES = 512
MAX_TOKENS = 100_000_000
MAX_AUDIO_S = 1_000_000
"""More than these nobody is billed for one request."""
_LEFT = re.compile(r"http\d+\.send_request_body\.started")
"""From here the body, one piece, is on the wire without another wait; "complete" comes a moment too late to tell."""


class MeteredClient(DefaultAsyncHttpxClient):
    """The OpenAI SDK's HTTP client, metered.

    Args:
        meter: Takes the requests.
        provider: As in `provider:model`.
    """

    def __init__(self, meter: Meter, provider: str, **kwargs: Any) -> None:
        super().__init__(**shared(**kwargs))
        self._meter, self._provider = meter, provider

    async def send(self, request: httpx2.Request, *, stream: bool = False, **kwargs: Any) -> httpx2.Response:
        """Send a request; it is reported when it, or the stream of its answer, has ended."""
        call = await _call(self._meter, self._provider, request)
        if call is None:
            return await super().send(request, stream=stream, **kwargs)
        if stream:
            request.headers["Accept-Encoding"] = "identity"  # read here as it passes
        try:
            response = await super().send(request, stream=stream, **kwargs)
        except BaseException as error:
            call.end(_outcome(error))
            raise
        if call.answered(response.status_code):
            if stream:
                assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101 - an async client's
                response.stream = _MeteredStream(response.stream, call)
            else:
                call.received(response.content)
                call.end("done")
        return response


class MeteredHostClient(httpx.AsyncClient):
    """A plain HTTP client, metered; its answers come whole.

    Args:
        meter: Takes the requests.
        provider: As in `provider:model`.
    """

    def __init__(self, meter: Meter, provider: str, **kwargs: Any) -> None:
        super().__init__(**{"verify": plain_tls(), **kwargs})
        self._meter, self._provider = meter, provider

    async def send(self, request: httpx.Request, *, stream: bool = False, **kwargs: Any) -> httpx.Response:
        """Send a request; it is reported when its answer has come."""
        call = None if stream else await _call(self._meter, self._provider, request)
        if call is None:
            return await super().send(request, stream=stream, **kwargs)
        try:
            response = await super().send(request, **kwargs)
        except BaseException as error:
            call.end(_outcome(error))
            raise
        if call.answered(response.status_code):
            call.received(response.content)
            call.end("done")
        return response


async def _call(meter: Meter, provider: str, request: httpx.Request | httpx2.Request) -> _Call | None:
    stage = next((stage for path, stage in STAGES.items() if request.url.path.endswith(path)), None)
    if stage is None and _VOICE_PATH.search(request.url.path):
        stage = "tts"
    if stage is None or request.method != "POST":
        return None
    call = _Call(meter, provider, stage, await request.aread())
    # OpenAI writes it into its logs, so that a bill can be compared request by request.
    request.headers["X-Client-Request-Id"] = call.record.request_id
    request.extensions = {**request.extensions, "trace": call.trace}
    return call


def _outcome(error: BaseException) -> Outcome:
    return "cancelled" if isinstance(error, (asyncio.CancelledError, GeneratorExit)) else "failed"


class _Call:
    """One request and what has come back of its answer."""

    def __init__(self, meter: Meter, provider: str, stage: Stage, body: bytes) -> None:
        self._meter = meter
        self._body = body
        self._answer = bytearray()
        self.record = meter.begin(stage, provider, "")
        self.record.reckon = self._reckon

    async def trace(self, event: str, _: dict[str, Any]) -> None:
        """Take the transport's news: the request is being written."""
        if _LEFT.fullmatch(event):
            self.record.left = True

    def answered(self, status: int) -> bool:
        """Take the status of the answer; return whether it is one to be paid for."""
        self.record.left = True
        if status >= 400:
            self.record.end("failed", billed=False)
            return False
        return True

    def received(self, part: bytes) -> None:
        """Take a part of the answer."""
        if self.record.stage != "tts" and len(self._answer) < MAX_KEPT_BYTES:
            self._answer += part

    @property
    def complete(self) -> bool:
        """Whether the answer said that it is complete."""
        return self.record.stage == "llm" and b"data: [DONE]" in self._answer[-64:]

    def end(self, outcome: Outcome) -> None:
        """Report it; an answer that was whole was not cut, however it was put away."""
        self.record.end("done" if self.complete else outcome)

    def _reckon(self, record: Record) -> bool:
        match record.stage:
            case "stt":
                estimated = self._heard(record)
            case "llm":
                estimated = self._thought(record)
            case "tts":
                asked = _json(self._body)
                record.model = str(asked.get("model") or asked.get("model_id") or "")
                text = str(asked.get("input") or asked.get("text") or asked.get("transcript") or "")
                record.quantities["characters"] = Decimal(len(text))
                estimated = False
            case "embedding":
                estimated = self._embedded(record)
        self._body, self._answer = b"", bytearray()
        return estimated

    def _heard(self, record: Record) -> bool:
        found = _MODEL_PART.search(self._body)
        record.model = found[1].decode(errors="replace") if found else ""
        seconds = wav_seconds(self._body)
        if seconds is not None:
            record.quantities["audio_s"] = seconds
            return False
        usage = _json(bytes(self._answer)).get("usage")
        told = usage.get("seconds") if isinstance(usage, dict) else None
        sane = isinstance(told, (int, float)) and 0 < told <= MAX_AUDIO_S
        record.quantities["audio_s"] = Decimal(str(told)) if sane else Decimal(0)
        return not sane

    def _thought(self, record: Record) -> bool:
        asked = _json(self._body)
        record.model = str(asked.get("model", ""))
        deltas, usage = _read_chat(bytes(self._answer))
        characters = _prompt_characters(asked)
        density = self._meter.density(record.provider, record.model, record.about.purpose)
        if usage is not None:
            density.learn(characters, usage, deltas)
        record.quantities.update((usage or density.reckon(characters, deltas)).quantities())
        return usage is None

    def _embedded(self, record: Record) -> bool:
        asked = _json(self._body)
        record.model = str(asked.get("model", ""))
        # Not parsed: it is thousands of numbers, and the count stands before or after all of them.
        edges = bytes(self._answer[:EDGE_BYTES]) + bytes(self._answer[-EDGE_BYTES:])
        told = _PROMPT_TOKENS.search(edges)
        texts = asked.get("input", "")
        listed = texts if isinstance(texts, list) else [texts]
        characters = sum(len(str(text)) for text in listed)
        tokens = characters // CHARACTERS_PER_TOKEN + 1 if told is None else int(told[1][:12])
        record.quantities["tokens_in"] = Decimal(tokens)
        return told is None


class _MeteredStream(httpx2.AsyncByteStream):
    """The body of an answer, watched while somebody reads it."""

    def __init__(self, body: httpx2.AsyncByteStream, call: _Call) -> None:
        self._body, self._call = body, call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._body:
                self._call.received(part)
                yield part
        except BaseException as error:
            self._call.end(_outcome(error))
            raise
        self._call.end("done")

    async def aclose(self) -> None:
        """Close the connection: whatever has not come is not made any more."""
        self._call.end("cancelled")
        await self._body.aclose()


def wav_seconds(body: bytes) -> Decimal | None:
    """Return how long the WAV file in an upload is, None when there is none."""
    at = body.find(b"RIFF")
    if at < 0 or body[at + 8 : at + 12] != b"WAVE":
        return None
    at, per_second = at + 12, 0
    while at + 8 <= len(body):
        name, size = body[at : at + 4], int(struct.unpack_from("<I", body, at + 4)[0])
        if name == b"fmt " and at + 20 <= len(body):
            per_second = int(struct.unpack_from("<I", body, at + 16)[0])
        if name == b"data":
            return round(Decimal(size) / per_second, 6) if per_second else None
        at += 8 + size + size % 2
    return None


def _prompt_characters(asked: dict[str, Any]) -> int:
    listed = asked.get("messages")
    told = [m for m in listed if isinstance(m, dict)] if isinstance(listed, list) else []
    messages = sum(len(json.dumps(without_pictures(message))) for message in told)
    tools = asked.get("tools")
    return messages + (len(json.dumps(tools)) if tools else 0)


def _read_chat(answer: bytes) -> tuple[int, TokenUsage | None]:
    """Return how many pieces an answer came in, and the tokens it was said to have used."""
    if not answer.startswith(b"data:") and b"\ndata:" not in answer:
        whole = _json(answer)
        return (1 if whole.get("choices") else 0), _told(whole)
    deltas, usage = 0, None
    for line in answer.split(b"\n"):
        if not line.startswith(b"data:"):
            continue
        chunk = _json(line[5:])
        usage = _told(chunk) or usage
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            delta = choice.get("delta") if isinstance(choice, dict) else None
            if isinstance(delta, dict):
                deltas += bool(delta.get("content") or delta.get("tool_calls") or delta.get("refusal"))
    return deltas, usage


def _told(chunk: dict[str, Any]) -> TokenUsage | None:
    usage = chunk.get("usage")
    if not isinstance(usage, dict) or "prompt_tokens" not in usage:
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    return TokenUsage(_count(usage["prompt_tokens"]), _count(cached), _count(usage.get("completion_tokens")))


def _count(told: object) -> int:
    """Return a number of tokens; what is none counts nothing."""
    return int(told) if isinstance(told, (int, float)) and 0 <= told <= MAX_TOKENS else 0


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = loads(data)
    except ValueError:
        return {}  # the half of a line that was cut, or [DONE]
    return value if isinstance(value, dict) else {}
