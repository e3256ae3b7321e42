"""The voice sockets: ElevenLabs' multi-context input and Cartesia's contexts.

A text is charged when it comes, by its characters without the blanks around it: a context that is cut off later
gives nothing back.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from repartee.simulator.providers.asked import RATES_HZ, AskedClause, AskedText, read_socket
from repartee.simulator.providers.bill import Entry
from repartee.simulator.providers.desk import Desk, FaultError
from repartee.simulator.providers.voices import MS_PER_CHARACTER, speak, words_with_times

CHUNK_S = 0.08
MAX_CONTEXTS = 5
SENTENCE = re.compile(r"(.+?[.!?,;:])(?:\s+|$)")


@dataclass
class _Context:
    """One utterance in the making: text waits until it is a clause or is flushed."""

    name: str
    pending: str = ""
    characters: int = 0
    """Of the texts that came, those not yet in an entry of the bill."""
    owed: deque[Entry] = field(default_factory=deque)
    """Clauses whose turn has not come."""
    work: asyncio.Queue[Entry | None] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[None] | None = None
    spoken_s: float = 0.0
    rate_hz: int = 24_000
    model: str = ""
    voice: str = ""


class _Socket:
    """What both vendors share: contexts that speak their text in order."""

    vendor = ""

    def __init__(self, desk: Desk, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.desk = desk
        self.socket = socket
        self._request = request
        self.contexts: dict[str, _Context] = {}

    async def close(self) -> None:
        tasks = [c.task for c in self.contexts.values() if c.task is not None]
        for task in tasks:
            task.cancel()
        # Booked before waiting: the handler itself may be cancelled while it does.
        for context in self.contexts.values():
            self._book_owed(context)
        await asyncio.gather(*tasks, return_exceptions=True)

    def context(self, name: str, rate_hz: int, model: str, voice: str) -> _Context:
        if name not in self.contexts:
            context = self.contexts[name] = _Context(name, rate_hz=rate_hz, model=model, voice=voice)
            context.task = asyncio.create_task(self._speak(context))
        return self.contexts[name]

    def drop(self, name: str) -> None:
        context = self.contexts.pop(name, None)
        if context is not None and context.task is not None:
            context.task.cancel()
            self._book_owed(context)

    def take(self, context: _Context, text: str) -> None:
        """Take a text; its whole clauses are spoken, the rest waits."""
        context.pending += text
        context.characters += len(text.strip())
        while (match := SENTENCE.match(context.pending.lstrip())) is not None:
            context.pending = context.pending.lstrip()[match.end() :]
            last = not context.pending.strip()
            self._queue(context, match.group(1), context.characters if last else len(match.group(0)))

    def flush(self, context: _Context) -> None:
        if context.pending.strip():
            self._queue(context, context.pending.strip(), context.characters)
        context.pending = ""

    def _queue(self, context: _Context, text: str, characters: int) -> None:
        characters = min(characters, context.characters)
        context.characters -= characters
        entry = Entry(
            "tts", self.vendor, context.model, characters=characters, text=text, voice=context.voice
        )
        entry.request_id = context.name
        context.owed.append(entry)
        context.work.put_nowait(entry)

    def _book_owed(self, context: _Context) -> None:
        if context.characters:
            self._queue(context, context.pending.strip(), context.characters)
        while context.owed:
            self.desk.bill.book(context.owed.popleft())

    async def _speak(self, context: _Context) -> None:
        since_s = time.monotonic()
        while (entry := await context.work.get()) is not None:
            try:
                context.owed.popleft()
                async with self.desk.booked(entry):
                    cut = False
                    if not context.spoken_s:
                        cut = await self.desk.wait("tts", entry.text, max(since_s, time.monotonic()))
                    if not await self._send_audio(context, entry.text, entry, cut=cut):
                        return
                    entry.outcome = "ok"
            except FaultError as fault:
                context.owed.clear()  # nothing was made of it, nothing is charged
                context.characters = 0
                self.contexts.pop(context.name, None)
                await self.failed(context, fault)
                return
        await self.done(context)
        self.contexts.pop(context.name, None)

    async def _send_audio(self, context: _Context, text: str, entry: Entry, *, cut: bool) -> bool:
        """Send a clause; return whether all of it was: one that is cut takes the socket with it half way."""
        pcm = speak(text, context.rate_hz)
        await self.words(context, text, context.spoken_s)
        size, began_s = int(context.rate_hz * CHUNK_S), time.monotonic()
        for number, at in enumerate(range(0, len(pcm), size)):
            if cut and at >= len(pcm) // 2:
                if self._request.transport is not None:
                    self._request.transport.abort()
                return False
            pause_s = began_s + number * CHUNK_S * self.desk.profile.real_time_factor - time.monotonic()
            await asyncio.sleep(max(0.0, pause_s))
            entry.audio_s += CHUNK_S
            await self.audio(context, base64.b64encode(pcm[at : at + size].tobytes()).decode())
        context.spoken_s += len(pcm) / context.rate_hz
        return True

    async def send(self, data: dict[str, Any]) -> None:
        if not self.socket.closed:
            with contextlib.suppress(ConnectionError):
                await self.socket.send_json(data)

    async def words(self, context: _Context, text: str, offset_s: float) -> None:
        raise NotImplementedError

    async def audio(self, context: _Context, data: str) -> None:
        raise NotImplementedError

    async def done(self, context: _Context) -> None:
        raise NotImplementedError

    async def failed(self, context: _Context, fault: FaultError) -> None:
        raise NotImplementedError


class _ElevenLabs(_Socket):
    vendor = "elevenlabs"

    async def receive(self, event: AskedText, model: str, rate_hz: int) -> None:
        if event.close_socket:
            await self.socket.close()
            return
        name = event.context_id or "default"
        if event.close_context:
            if name in self.contexts:
                self.flush(self.contexts[name])
                self.contexts[name].work.put_nowait(None)
            return
        if name not in self.contexts and len(self.contexts) >= MAX_CONTEXTS:
            message = f"Maximum simultaneous contexts per WebSocket exceeded ({MAX_CONTEXTS})"
            await self.socket.close(code=1008, message=message.encode())
            return
        context = self.context(name, rate_hz, model, self._request.match_info["voice"])
        self.take(context, event.text or "")
        if event.flush:
            self.flush(context)

    async def words(self, context: _Context, text: str, offset_s: float) -> None:
        del offset_s  # times begin again with each message
        spoken = text + " "
        alignment = {
            "chars": list(spoken),
            "charStartTimesMs": [n * MS_PER_CHARACTER for n in range(len(spoken))],
            "charDurationsMs": [MS_PER_CHARACTER] * len(spoken),
        }
        await self.send({"contextId": context.name, "alignment": alignment, "normalizedAlignment": alignment})

    async def audio(self, context: _Context, data: str) -> None:
        await self.send({"contextId": context.name, "audio": data})

    async def done(self, context: _Context) -> None:
        await self.send({"contextId": context.name, "isFinal": True})

    async def failed(self, context: _Context, fault: FaultError) -> None:
        del context  # the whole socket ends
        await self.socket.close(code=1011, message=str(fault).encode())


class _Cartesia(_Socket):
    vendor = "cartesia"

    async def receive(self, event: AskedClause) -> None:
        name = event.context_id or "default"
        if event.cancel:
            self.drop(name)
            return
        asked_hz = event.output_format.sample_rate if event.output_format is not None else 24_000
        rate_hz = asked_hz if asked_hz in RATES_HZ else 24_000
        known = name in self.contexts
        if not known and not (event.transcript or "").strip():
            return
        voice = event.voice.id if event.voice is not None else ""
        context = self.context(name, rate_hz, event.model_id or "sonic-3", voice)
        self.take(context, event.transcript or "")
        if not event.continues:
            self.flush(context)
            context.work.put_nowait(None)

    async def words(self, context: _Context, text: str, offset_s: float) -> None:
        timed = words_with_times(text)
        times = {
            "words": [word for word, _, _ in timed],
            "start": [round(offset_s + start, 3) for _, start, _ in timed],
            "end": [round(offset_s + end, 3) for _, _, end in timed],
        }
        await self.send(_cartesia(context, "timestamps", word_timestamps=times))

    async def audio(self, context: _Context, data: str) -> None:
        await self.send(_cartesia(context, "chunk", data=data, step_time=0))

    async def done(self, context: _Context) -> None:
        await self.send(_cartesia(context, "done") | {"done": True})

    async def failed(self, context: _Context, fault: FaultError) -> None:
        await self.send(
            _cartesia(context, "error", error=str(fault)) | {"done": True, "status_code": fault.status}
        )


def _cartesia(context: _Context, kind: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "context_id": context.name, "done": False, "status_code": 206, **data}


class VoiceSockets:
    """Both sockets' routes.

    Args:
        desk: Latency, faults and the bill.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/v1/text-to-speech/{voice}/multi-stream-input", self._elevenlabs),
            web.get("/tts/websocket", self._cartesia),
            web.get("/voices", self._voices),
        ]

    async def _voices(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [], "has_more": False})

    async def _elevenlabs(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        session = _ElevenLabs(self._desk, socket, request)
        rate = request.query.get("output_format", "pcm_24000").removeprefix("pcm_")
        rate_hz = next((hz for hz in RATES_HZ if str(hz) == rate), 24_000)
        model = request.query.get("model_id", "eleven_flash_v2_5")
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    event = await read_socket(AskedText, socket, message.data)
                    if event is not None:
                        await session.receive(event, model, rate_hz)
        finally:
            await session.close()
        return socket

    async def _cartesia(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        session = _Cartesia(self._desk, socket, request)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    event = await read_socket(AskedClause, socket, message.data)
                    if event is not None:
                        await session.receive(event)
        finally:
            await session.close()
        return socket
