"""OpenAI's realtime socket, as it is for conversations: a model that hears the caller and speaks itself.

What it answers, and how that sounds, is as with the model and the voice that are asked over HTTP. Its first sound
comes when both of them would have had their first: the profile's time to the first token and to the first audio.
Turns are ended by the client; a server that ends them itself is not simulated.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import math
import time
import uuid
from typing import Any

import numpy as np
from aiohttp import web

from repartee.simulator.providers.asked import AskedEvent, AskedItem, AskedResponse, AskedSession
from repartee.simulator.providers.bill import Entry
from repartee.simulator.providers.conversation_items import (
    ASSISTANT_TOKENS_PER_S,
    Counted,
    Item,
    Prompts,
    messages_of,
)
from repartee.simulator.providers.desk import Desk, FaultError
from repartee.simulator.providers.replies import Reply, normalised
from repartee.simulator.providers.voices import speak, words_with_times

RATE_HZ = 24_000
MIN_COMMIT_S = 0.1
MAX_BUFFER_S = 300
MAX_ITEMS = 2000
CHUNK_S = 0.1
_TRANSCRIPTION = "conversation.item.input_audio_transcription"


class Conversation:
    """One socket.

    Args:
        desk: Latency, faults and the bill.
        socket: To the client.
        model: The model's name, for the bill.
    """

    def __init__(self, desk: Desk, socket: web.WebSocketResponse, model: str) -> None:
        self._desk = desk
        self._socket = socket
        self._model = model
        self._instructions = ""
        self._tools: list[dict[str, Any]] = []
        self._transcription: str | None = None
        self._buffer = bytearray()
        self._items: list[Item] = []
        self._prompts = Prompts()
        self._response: _Response | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def begin(self) -> None:
        """Greet the client."""
        await self.send("session.created", session={"type": "realtime", "model": self._model})

    async def send(self, kind: str, **data: Any) -> None:
        """Tell the client something."""
        if not self._socket.closed:
            await self._socket.send_json({"type": kind, "event_id": f"event_{uuid.uuid4().hex[:12]}", **data})

    async def close(self) -> None:
        """The client has gone."""
        if self._response is not None:
            self._response.book("cancelled")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def receive(self, event: AskedEvent) -> None:
        """Take what the client sends."""
        match event.type:
            case "session.update":
                await self._update(event.session or AskedSession())
            case "input_audio_buffer.append":
                await self._append(event)
            case "input_audio_buffer.clear":
                self._buffer.clear()
                await self.send("input_audio_buffer.cleared")
            case "input_audio_buffer.commit":
                await self._commit(event)
            case "conversation.item.create" if event.item is not None:
                await self._create(event.item, event)
            case "conversation.item.truncate":
                await self._truncate(event)
            case "conversation.item.delete":
                await self._delete(event)
            case "response.create" if self._response is not None:
                await self._refuse(event, "conversation_already_has_active_response", "A response is active.")
            case "response.create":
                self._response = _Response(self, self._desk, event.response or AskedResponse())
                self._response.task = self._own(self._response.run())
            case "response.cancel" if self._response is not None:
                self._response.cancel()
            case "response.cancel":
                await self._refuse(event, "response_cancel_not_active", "No response is active.")
            case other:
                await self._refuse(event, "invalid_value", f"Invalid value: '{other}'.")

    # --- what it knows -----------------------------------------------------------------------------------------

    async def _update(self, session: AskedSession) -> None:
        if session.instructions is not None:
            self._instructions = session.instructions
        if session.tools is not None:
            self._tools = session.tools
        audio = session.audio.input if session.audio is not None else None
        if audio is not None and audio.transcription is not None:
            self._transcription = audio.transcription.model
        await self.send("session.updated", session={"type": "realtime", "model": self._model})

    async def _append(self, event: AskedEvent) -> None:
        try:
            self._buffer += base64.b64decode(event.audio, validate=True)
        except (binascii.Error, ValueError):
            await self._refuse(event, "invalid_value", "'audio' is not base64.")
        if len(self._buffer) > MAX_BUFFER_S * RATE_HZ * 2:
            self._buffer.clear()
            await self._refuse(event, "buffer_too_large", "The input audio buffer is full.")

    async def _commit(self, event: AskedEvent) -> None:
        seconds = len(self._buffer) / 2 / RATE_HZ
        if seconds < MIN_COMMIT_S:
            await self._refuse(event, "input_audio_buffer_commit_empty", "The buffer is too small to commit.")
            return
        pcm = bytes(self._buffer)
        self._buffer.clear()
        item = Item("message", "user", audio_s=seconds)
        item.heard = self._own(self._hear(item, pcm))
        await self.send("input_audio_buffer.committed", item_id=item.item_id)
        await self.add(item)
        if self._transcription is not None:
            self._own(self._transcribe(item, self._transcription))

    async def _hear(self, item: Item, pcm: bytes) -> str:
        sound = np.frombuffer(pcm[: len(pcm) & ~1], dtype=np.int16).astype(np.float32) / np.float32(32768)
        item.text = (await self._desk.recognise(sound, RATE_HZ)).text
        return item.text

    async def _transcribe(self, item: Item, model: str) -> None:
        since_s = time.monotonic()
        entry = Entry("stt", "openai-realtime", model, audio_s=item.audio_s)
        about = {"item_id": item.item_id, "content_index": 0}
        try:
            async with self._desk.booked(entry):
                assert item.heard is not None  # noqa: S101 - it was committed
                entry.text = await item.heard
                await self._desk.wait("stt", entry.text or f"{entry.audio_s:.1f}", since_s)
                entry.outcome = "ok"
        except FaultError as fault:
            error = {"type": "server_error", "code": "server_error", "message": str(fault)}
            await self.send(f"{_TRANSCRIPTION}.failed", **about, error=error)
            return
        await self.send(f"{_TRANSCRIPTION}.completed", **about, transcript=entry.text)

    async def add(self, item: Item) -> None:
        """Add an item at the end."""
        self._items.append(item)
        await self.send("conversation.item.added", item=item.shown())
        if item.role != "assistant":
            await self.send("conversation.item.done", item=item.shown())

    async def _create(self, asked: AskedItem, event: AskedEvent) -> None:
        if len(self._items) >= MAX_ITEMS or self._find(asked.id or "") is not None:
            await self._refuse(event, "invalid_value", "There is such an item, or there are too many.")
            return
        await self.add(Item.of(asked))

    async def _truncate(self, event: AskedEvent) -> None:
        item = self._find(event.item_id)
        if item is None or item.role != "assistant" or not 0 <= event.audio_end_ms <= item.audio_s * 1000 + 1:
            await self._refuse(event, "invalid_value", "There is no such item, or it has less audio.")
            return
        item.cut(event.audio_end_ms)
        about = {"item_id": item.item_id, "content_index": 0, "audio_end_ms": event.audio_end_ms}
        await self.send("conversation.item.truncated", **about)

    async def _delete(self, event: AskedEvent) -> None:
        item = self._find(event.item_id)
        if item is None:
            await self._refuse(event, "item_delete_invalid_item_id", "There is no such item.")
            return
        self._items.remove(item)
        await self.send("conversation.item.deleted", item_id=item.item_id)

    def _find(self, item_id: str) -> Item | None:
        return next((item for item in self._items if item.item_id == item_id), None)

    async def _refuse(self, event: AskedEvent, code: str, message: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message}
        await self.send("error", error=error | {"event_id": event.event_id})

    # --- what a response asks for --------------------------------------------------------------------------------

    async def question(self, asked: AskedResponse, entry: Entry) -> Reply:
        """Return what is to be answered; the bill is told what it was and what it counts as."""
        await asyncio.gather(*(item.heard for item in self._items if item.heard is not None))
        instructions = asked.instructions if asked.instructions is not None else self._instructions
        messages = messages_of(instructions, self._items)
        counted: Counted = self._prompts.count(instructions, self._tools, self._items)
        entry.tokens_in = counted.text + counted.audio
        entry.tokens_cached = counted.text_kept + counted.audio_kept
        entry.audio_tokens_in, entry.audio_tokens_cached = counted.audio, counted.audio_kept
        said = [m for m in messages if m.get("content")]
        entry.said = next((str(m["content"]) for m in reversed(said) if m["role"] == "user"), "")
        entry.told = next((str(m["content"]) for m in reversed(said) if m["role"] == "assistant"), "")
        reply = self._desk.replies.answer(messages)
        if reply.tool is not None and (asked.tool_choice == "none" or not self._tools):
            return Reply("I cannot look that up.")
        return reply

    def entry(self) -> Entry:
        """Return a new line of the bill."""
        return Entry("llm", "openai", self._model)

    def over(self) -> None:
        """The response is over; another may be asked for."""
        self._response = None

    def _own(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Response:
    """One response: made up, spoken at the profile's pace, counted and booked, however it ends."""

    def __init__(self, conversation: Conversation, desk: Desk, asked: AskedResponse) -> None:
        self._to = conversation
        self._desk = desk
        self._asked = asked
        self._id = f"resp_{uuid.uuid4().hex[:16]}"
        self._entry = conversation.entry()
        self._entry.request_id = self._id
        self._items: list[Item] = []
        self._asked_at_s = time.monotonic()
        self._booked = False
        self._cancelled = asyncio.Event()
        self.task: asyncio.Task[Any] | None = None

    def cancel(self) -> None:
        """The client wants no more of it."""
        self._cancelled.set()

    def book(self, outcome: str) -> None:
        """Put it on the bill, once."""
        if not self._booked:
            self._booked = True
            self._entry.outcome = outcome
            self._desk.bill.book(self._entry)

    async def run(self) -> None:
        """Answer."""
        await self._to.send(
            "response.created", response={"id": self._id, "status": "in_progress", "output": []}
        )
        await self._to.send("rate_limits.updated", rate_limits=[{"name": "tokens", "remaining": 100_000}])
        making = asyncio.create_task(self._make(), name="response")
        stopping = asyncio.create_task(self._cancelled.wait(), name="response cancelled")
        error: FaultError | None = None
        try:
            await asyncio.wait({making, stopping}, return_when=asyncio.FIRST_COMPLETED)
            status = "completed" if making.done() else "cancelled"
        finally:
            making.cancel()
            stopping.cancel()
            (failure, _) = await asyncio.gather(making, stopping, return_exceptions=True)
        if isinstance(failure, FaultError):
            status, error = "failed", failure
        elif isinstance(failure, Exception):
            raise failure
        await self._done(status, error)

    async def _make(self) -> None:
        reply = await self._to.question(self._asked, self._entry)
        key = normalised(self._entry.said)
        cut = await self._desk.wait("llm", key, self._asked_at_s)
        if reply.tool is not None:
            await self._call(reply)
        elif reply.text:
            await self._speak(reply.text, cut=cut)

    async def _call(self, reply: Reply) -> None:
        call_id, arguments = f"call_{uuid.uuid4().hex[:20]}", json.dumps(reply.arguments or {})
        item = Item("function_call", call_id=call_id, name=reply.tool or "", arguments=arguments)
        self._entry.text = f"{item.name}({arguments})"
        await self._begin(item)
        about = {"response_id": self._id, "item_id": item.item_id, "output_index": 0, "call_id": call_id}
        for at in range(0, len(arguments), 8):
            self._entry.tokens_out += 1
            delta = arguments[at : at + 8]
            await self._to.send("response.function_call_arguments.delta", **about, delta=delta)
        await self._to.send("response.function_call_arguments.done", **about, arguments=arguments)

    async def _speak(self, text: str, *, cut: bool) -> None:
        spoken_since_s = time.monotonic()
        self._entry.text = text
        item = Item("message", "assistant")
        await self._begin(item)
        await self._desk.wait("tts", text, spoken_since_s)
        pcm, words = speak(text, RATE_HZ), words_with_times(text)
        about = {"response_id": self._id, "item_id": item.item_id, "output_index": 0, "content_index": 0}
        size, began_s = int(RATE_HZ * CHUNK_S), time.monotonic()
        for number, at in enumerate(range(0, len(pcm), size)):
            if cut and at >= len(pcm) // 2:
                raise FaultError(500, "the server had an error")
            due_s = began_s + number * CHUNK_S * self._desk.profile.real_time_factor
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            chunk = pcm[at : at + size]
            until_s = item.audio_s + len(chunk) / RATE_HZ
            while words and words[0][1] < until_s:
                word = words.pop(0)[0]
                delta = f" {word}" if item.text else word
                item.text += delta
                self._entry.tokens_out += 1
                await self._to.send("response.output_audio_transcript.delta", **about, delta=delta)
            item.audio_s = until_s
            audio_tokens = math.ceil(item.audio_s * ASSISTANT_TOKENS_PER_S)
            self._entry.tokens_out += audio_tokens - self._entry.audio_tokens_out
            self._entry.audio_tokens_out = audio_tokens
            delta = base64.b64encode(chunk.tobytes()).decode()
            await self._to.send("response.output_audio.delta", **about, delta=delta)
        await self._to.send("response.output_audio_transcript.done", **about, transcript=item.text)
        await self._to.send("response.output_audio.done", **about)

    async def _begin(self, item: Item) -> None:
        self._items.append(item)
        added = {"response_id": self._id, "output_index": 0, "item": item.shown()}
        await self._to.send("response.output_item.added", **added)
        await self._to.add(item)

    async def _done(self, status: str, error: FaultError | None) -> None:
        entry = self._entry
        for item in self._items:
            done = {"response_id": self._id, "output_index": 0, "item": item.shown()}
            await self._to.send("response.output_item.done", **done)
            if item.role == "assistant":
                await self._to.send("conversation.item.done", item=item.shown())
        self.book({"completed": "ok", "cancelled": "cancelled"}.get(status, "failed"))
        kind = "rate_limit_error" if error is not None and error.status == 429 else "server_error"
        details = {"type": status, "error": {"type": kind, "code": kind, "message": str(error)}}
        response = {
            "id": self._id,
            "object": "realtime.response",
            "status": status,
            "status_details": details if error is not None else None,
            "output": [item.shown() for item in self._items],
            "usage": _usage(entry) if status != "failed" else None,
        }
        self._to.over()
        await self._to.send("response.done", response=response)


def _usage(entry: Entry) -> dict[str, Any]:
    kept = {
        "text_tokens": entry.tokens_cached - entry.audio_tokens_cached,
        "audio_tokens": entry.audio_tokens_cached,
    }
    return {
        "total_tokens": entry.tokens_in + entry.tokens_out,
        "input_tokens": entry.tokens_in,
        "output_tokens": entry.tokens_out,
        "input_token_details": {
            "text_tokens": entry.tokens_in - entry.audio_tokens_in,
            "audio_tokens": entry.audio_tokens_in,
            "cached_tokens": entry.tokens_cached,
            "cached_tokens_details": kept,
        },
        "output_token_details": {
            "text_tokens": entry.tokens_out - entry.audio_tokens_out,
            "audio_tokens": entry.audio_tokens_out,
        },
    }
