"""OpenAI's realtime socket, as it is for transcription; for conversations see `openai_conversation.py`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
import uuid
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

from repartee.simulator.providers.asked import AskedEvent, read_socket
from repartee.simulator.providers.bill import Entry
from repartee.simulator.providers.desk import Desk, FaultError
from repartee.simulator.providers.openai_conversation import Conversation

RATE_HZ = 24_000
PARTIAL_S = 0.15
PARTIAL_LAG_S = 0.15
"""Words are told 0.15 to 0.3 s after they were spoken, as streaming recognisers do."""
MIN_COMMIT_S = 0.1
MAX_BUFFER_S = 300
_TRANSCRIPTION = "conversation.item.input_audio_transcription"


class OpenAIRealtime:
    """The socket.

    Args:
        desk: Latency, faults and the bill.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get("/v1/realtime", self._connect)]

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=16 * 1024 * 1024)
        await socket.prepare(request)
        session: _Session | Conversation
        if request.query.get("intent") == "transcription":
            session = _Session(self._desk, socket)
            await session.send("session.created", session={"type": "transcription"})
        else:
            session = Conversation(self._desk, socket, request.query.get("model", "gpt-realtime"))
            await session.begin()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    event = await read_socket(AskedEvent, socket, message.data)
                    if event is not None:
                        await session.receive(event)
        finally:
            await session.close()
        return socket


class _Session:
    def __init__(self, desk: Desk, socket: web.WebSocketResponse) -> None:
        self._desk = desk
        self._socket = socket
        self._model = "gpt-4o-mini-transcribe"
        self._buffer = bytearray()
        self._item = f"item_{uuid.uuid4().hex[:16]}"
        self._told = ""
        self._looked_at = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._owed: list[Entry] = []
        """Commits whose work has not begun."""

    async def send(self, kind: str, **data: Any) -> None:
        if not self._socket.closed:
            await self._socket.send_json({"type": kind, "event_id": f"event_{uuid.uuid4().hex[:12]}", **data})

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        # Booked before waiting: the handler itself may be cancelled while it does.
        for entry in self._owed:
            self._desk.bill.book(entry)
        self._owed.clear()
        self._book_buffer()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _book_buffer(self) -> None:
        """What was sent and never committed was heard all the same."""
        if self._buffer:
            self._desk.bill.book(Entry("stt", "openai-realtime", self._model, audio_s=_seconds(self._buffer)))

    async def receive(self, event: AskedEvent) -> None:
        match event.type:
            case "session.update":
                audio = event.session.audio.input if event.session and event.session.audio else None
                asked = audio.transcription.model if audio and audio.transcription else None
                self._model = asked or self._model
                given = event.session.model_dump(exclude_none=True) if event.session else {}
                await self.send("session.updated", session=given)
            case "input_audio_buffer.append":
                await self._append(event.audio)
            case "input_audio_buffer.clear":
                self._book_buffer()
                self._begin_item()
                await self.send("input_audio_buffer.cleared")
            case "input_audio_buffer.commit":
                await self._commit()
            case other:
                await self._error("invalid_value", f"Invalid value: '{other}'.")

    async def _append(self, audio: str) -> None:
        try:
            self._buffer += base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError):
            await self._error("invalid_value", "'audio' is not base64.")
            return
        if len(self._buffer) > MAX_BUFFER_S * RATE_HZ * 2:
            await self._error("buffer_too_large", "The input audio buffer is full.")
            self._book_buffer()
            self._begin_item()
        # Only the streaming models tell words before the commit.
        streaming = self._model in {"gpt-realtime-whisper", "gpt-live-transcribe"}
        idle = self._looking is None or self._looking.done()
        if streaming and idle and len(self._buffer) - self._looked_at >= PARTIAL_S * RATE_HZ * 2:
            self._looked_at = len(self._buffer)
            self._looking = self._own(self._look())

    async def _look(self) -> None:
        item, told_at_s = self._item, time.monotonic() + PARTIAL_LAG_S
        heard = await self._desk.recognise(_sound(self._buffer), RATE_HZ)
        await asyncio.sleep(max(0.0, told_at_s - time.monotonic()))
        if item == self._item:
            await self._tell(item, heard.text)

    async def _tell(self, item: str, text: str) -> None:
        if text.startswith(self._told) and len(text) > len(self._told):
            delta, self._told = text[len(self._told) :], text
            await self.send(f"{_TRANSCRIPTION}.delta", item_id=item, content_index=0, delta=delta)

    async def _commit(self) -> None:
        if len(self._buffer) < MIN_COMMIT_S * RATE_HZ * 2:
            await self._error("input_audio_buffer_commit_empty", "The buffer is too small to commit.")
            return
        item, told, pcm = self._item, self._told, bytes(self._buffer)
        self._begin_item()
        await self.send("input_audio_buffer.committed", item_id=item)
        entry = Entry("stt", "openai-realtime", self._model, audio_s=_seconds(pcm))
        self._owed.append(entry)
        self._own(self._complete(item, told, pcm, entry))

    async def _complete(self, item: str, told: str, pcm: bytes, entry: Entry) -> None:
        since_s = time.monotonic()
        if entry not in self._owed:
            return
        self._owed.remove(entry)
        try:
            async with self._desk.booked(entry):
                heard = await self._desk.recognise(_sound(pcm), RATE_HZ)
                entry.text = heard.text
                await self._desk.wait("stt", heard.text or f"{entry.audio_s:.1f}", since_s)
                entry.outcome = "ok"
        except FaultError as fault:
            error = {"type": "server_error", "code": "server_error", "message": str(fault)}
            await self.send(f"{_TRANSCRIPTION}.failed", item_id=item, content_index=0, error=error)
            return
        if heard.text.startswith(told) and (delta := heard.text[len(told) :]):
            await self.send(f"{_TRANSCRIPTION}.delta", item_id=item, content_index=0, delta=delta)
        await self.send(f"{_TRANSCRIPTION}.completed", item_id=item, content_index=0, transcript=heard.text)

    def _begin_item(self) -> None:
        self._buffer = bytearray()
        self._item, self._told, self._looked_at = f"item_{uuid.uuid4().hex[:16]}", "", 0

    async def _error(self, code: str, message: str) -> None:
        await self.send("error", error={"type": "invalid_request_error", "code": code, "message": message})

    def _own(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _seconds(pcm: bytes | bytearray) -> float:
    return len(pcm) / 2 / RATE_HZ


def _sound(pcm: bytes | bytearray) -> Any:
    return np.frombuffer(bytes(pcm[: len(pcm) & ~1]), dtype=np.int16).astype(np.float32) / 32768
