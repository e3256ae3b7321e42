"""The simulator's realtime conversations, spoken to by OpenAI's SDK: what is heard, said, cut, counted, refused."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import openai
import pytest

from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.conversation_items import Item, Prompts, messages_of
from repartee.simulator.providers.desk import Fault
from repartee.simulator.providers.library import Heard
from repartee.simulator.providers.replies import Replies, Reply

SECOND = base64.b64encode(np.full(24_000, 900, np.int16).tobytes()).decode()
TOOL = {"type": "function", "name": "book", "description": "Book.", "parameters": {"type": "object"}}


class Scripted(Replies):
    def __init__(self) -> None:
        super().__init__(None)
        self.asked: list[list[dict[str, Any]]] = []
        self.tool: str | None = None

    def answer(self, messages: list[dict[str, Any]]) -> Reply:
        self.asked.append(messages)
        if self.tool is not None and messages[-1]["role"] == "user":
            return Reply(tool=self.tool, arguments={"day": "friday"})
        return Reply("There are four rooms with a view of the river.")


class Socket:
    """A conversation, with what it has told."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.told: list[Any] = []

    async def send(self, kind: str, **data: Any) -> None:
        await self.connection.send({"type": kind, **data})

    async def until(self, kind: str) -> Any:
        async with asyncio.timeout(5):
            while True:
                event = await self.connection.recv()
                self.told.append(event)
                if event.type == kind:
                    return event

    async def say(self) -> None:
        await self.send("input_audio_buffer.append", audio=SECOND)
        await self.send("input_audio_buffer.commit")

    async def ask(self) -> Any:
        await self.say()
        await self.send("response.create")
        return (await self.until("response.done")).response

    def kinds(self) -> list[str]:
        return [event.type for event in self.told]


@pytest.fixture
async def simulator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        simulator.desk.replies = Scripted()

        async def recognise(*_: Any) -> Heard:
            return Heard("which rooms are there", ("x",), complete=True)

        monkeypatch.setattr(simulator.desk, "recognise", recognise)
        yield simulator


@pytest.fixture
async def socket(simulator: Simulator) -> AsyncIterator[Socket]:
    async with (
        openai.AsyncOpenAI(api_key="k", base_url=f"{simulator.url}/v1") as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        socket = Socket(connection)
        await socket.until("session.created")
        session = {"type": "realtime", "instructions": "You are a hotel.", "tools": [TOOL]}
        await socket.send("session.update", session=session)
        await socket.until("session.updated")
        yield socket


def asked(simulator: Simulator) -> list[dict[str, Any]]:
    replies = simulator.desk.replies
    assert isinstance(replies, Scripted)
    return replies.asked[-1]


async def test_what_is_said_is_answered_in_sound_and_words(socket: Socket, simulator: Simulator) -> None:
    response = await socket.ask()
    words = "".join(e.delta for e in socket.told if e.type == "response.output_audio_transcript.delta")
    pcm = b"".join(base64.b64decode(e.delta) for e in socket.told if e.type == "response.output_audio.delta")
    assert (
        words == response.output[0].content[0].transcript == "There are four rooms with a view of the river."
    )
    seconds = len(pcm) / 48_000
    assert seconds == pytest.approx((len(words) + 1) * 0.062, abs=0.01)
    usage = response.usage
    assert usage.output_token_details.audio_tokens == pytest.approx(seconds * 20, abs=1)
    assert usage.input_token_details.audio_tokens == 10, "a second of the caller's"
    assert usage.input_tokens == usage.input_token_details.text_tokens + 10
    assert [m["content"] for m in asked(simulator)] == ["You are a hotel.", "which rooms are there"]
    assert "rate_limits.updated" in socket.kinds()


async def test_the_bill_has_what_was_told(socket: Socket, simulator: Simulator) -> None:
    response = await socket.ask()
    (entry,) = simulator.desk.bill.entries
    usage = response.usage
    assert (entry.stage, entry.model, entry.outcome) == ("llm", "gpt-realtime", "ok")
    assert (entry.tokens_in, entry.tokens_out) == (usage.input_tokens, usage.output_tokens)
    text_in, sound_in = usage.input_token_details.text_tokens, usage.input_token_details.audio_tokens
    text_out, sound_out = usage.output_token_details.text_tokens, usage.output_token_details.audio_tokens
    assert entry.usd == pytest.approx((text_in * 4 + sound_in * 32 + text_out * 16 + sound_out * 64) / 1e6)


async def test_a_cancelled_response_says_what_it_had_come_to(socket: Socket, simulator: Simulator) -> None:
    simulator.desk.profile = replace(simulator.desk.profile, real_time_factor=1.0)
    await socket.say()
    await socket.send("response.create")
    await socket.until("response.output_audio.delta")
    await socket.send("response.cancel")
    response = (await socket.until("response.done")).response
    assert response.status == "cancelled"
    assert 0 < response.usage.output_token_details.audio_tokens < 20
    assert simulator.desk.bill.entries[-1].outcome == "cancelled"
    await socket.send("response.cancel", event_id="again")
    error = (await socket.until("error")).error
    assert (error.code, error.event_id) == ("response_cancel_not_active", "again")


async def test_what_was_not_heard_is_cut_or_deleted(socket: Socket, simulator: Simulator) -> None:
    first = (await socket.ask()).output[0].id
    second = (await socket.ask()).output[0].id
    await socket.send("conversation.item.truncate", item_id=first, content_index=0, audio_end_ms=1000)
    await socket.until("conversation.item.truncated")
    await socket.send("conversation.item.delete", item_id=second)
    await socket.until("conversation.item.deleted")
    await socket.ask()
    said = [m["content"] for m in asked(simulator) if m["role"] == "assistant"]
    assert said == ["There are four"]
    await socket.send("conversation.item.truncate", item_id=first, content_index=0, audio_end_ms=60_000)
    assert (await socket.until("error")).error.code == "invalid_value"


async def test_a_tool_is_called_and_its_result_is_spoken_of(socket: Socket, simulator: Simulator) -> None:
    assert isinstance(simulator.desk.replies, Scripted)
    simulator.desk.replies.tool = "book"
    response = await socket.ask()
    call = response.output[0]
    assert (call.type, call.name, call.arguments) == ("function_call", "book", '{"day": "friday"}')
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "done"}
    await socket.send("conversation.item.create", item=output)
    await socket.send("response.create", response={"tool_choice": "none"})
    spoken = (await socket.until("response.done")).response
    assert spoken.output[0].type == "message"
    assert [m["role"] for m in asked(simulator)] == ["system", "user", "assistant", "tool"]


async def test_words_of_the_caller_come_where_they_are_asked_for(
    socket: Socket, simulator: Simulator
) -> None:
    audio = {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}
    await socket.send("session.update", session={"type": "realtime", "audio": audio})
    await socket.say()
    done = await socket.until("conversation.item.input_audio_transcription.completed")
    assert done.transcript == "which rooms are there"
    assert [(e.stage, e.audio_s) for e in simulator.desk.bill.entries] == [("stt", 1.0)]


async def test_refusals_leave_the_conversation_as_it_was(socket: Socket) -> None:
    await socket.send("input_audio_buffer.commit")
    assert (await socket.until("error")).error.code == "input_audio_buffer_commit_empty"
    await socket.send("input_audio_buffer.append", audio=SECOND)
    await socket.send("input_audio_buffer.clear")
    await socket.until("input_audio_buffer.cleared")
    await socket.send("input_audio_buffer.commit")
    assert (await socket.until("error")).error.code == "input_audio_buffer_commit_empty"
    await socket.send("conversation.item.delete", item_id="none")
    assert (await socket.until("error")).error.code == "item_delete_invalid_item_id"
    assert (await socket.ask()).status == "completed"


@pytest.mark.parametrize(("kind", "code"), [("error", "server_error"), ("rate_limit", "rate_limit_error")])
async def test_a_response_fails_on_demand(socket: Socket, simulator: Simulator, kind: str, code: str) -> None:
    simulator.desk.faults.append(Fault("llm", kind, 1))
    response = await socket.ask()
    assert response.status == "failed"
    assert response.status_details.error.code == code
    assert simulator.desk.bill.entries[-1].usd == 0


def test_pieces_of_a_turn_are_one_message() -> None:
    items = [Item("message", "user", text="are you"), Item("message", "user", text="open")]
    assert messages_of("x", items)[1:] == [{"role": "user", "content": "are you open"}]


def test_what_a_long_conversation_shares_with_the_response_before_was_kept() -> None:
    prompts, said = Prompts(), [Item("message", "user", text="x" * 4000), Item("message", "user", audio_s=30)]
    first = prompts.count("You are A.", [], said)
    again = prompts.count("You are A.", [], [*said, Item("message", "user", audio_s=10)])
    changed = prompts.count("You are B.", [], said)
    assert (first.text_kept, first.audio_kept) == (0, 0)
    assert (again.text_kept, again.audio_kept) == (first.text // 128 * 128, 256)
    assert again.audio == 400
    assert (changed.text_kept, changed.audio_kept) == (0, 0)
