"""RTVI as Pipecat's client reads it: what is heard, in order, and nothing before the client is ready."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from pipecat.processors.frameworks.rtvi.models import PROTOCOL_VERSION

from repartee.errors import ReparteeError
from repartee.session.inlet import Inlet
from repartee.session.rtvi import FAILED, Rtvi


class Rig:
    """A client's end of the data channel, through the real inlet."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.said: list[str] = []
        self.takes, self.hung_up = True, 0
        self.rtvi = Rtvi(
            publish=self.publish,
            caller=lambda: "ann",
            say=self.say,
            hang_up=self.hang_up,
            answers={"repartee.memory": self.memory, "broken": self.broken},
        )
        self.inlet = Inlet(lambda who: who == "ann", self.rtvi.messages)

    async def publish(self, payload: bytes) -> bool:
        self.sent.append(json.loads(payload))
        return True

    def say(self, text: str) -> bool:
        self.said.append(text)
        return self.takes

    def hang_up(self) -> None:
        self.hung_up += 1

    async def memory(self, payload: str) -> str:
        return f"known: {payload}"

    async def broken(self, _: str) -> str:
        raise ReparteeError("the database at db:5432 is away")

    def send(self, kind: str, data: Any = None, message_id: str = "m1") -> None:
        whole = {"label": "rtvi-ai", "type": kind, "id": message_id, "data": data or {}}
        self.inlet.data("ann", json.dumps(whole).encode())

    def ready(self, version: str = PROTOCOL_VERSION) -> None:
        about = {"library": "@pipecat-ai/client-js", "platform_details": {"browser": "Chrome"}}
        self.send("client-ready", {"version": version, "about": about})

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.sent]

    def data(self, kind: str) -> list[Any]:
        return [message.get("data") for message in self.sent if message["type"] == kind]

    async def told(self, what: Callable[[Rig], object]) -> Rig:
        """Let it publish until something is so."""
        running = asyncio.create_task(self.rtvi.run())
        async with asyncio.timeout(5):
            while not what(self):  # noqa: ASYNC110 - nothing announces what is waited for
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return self


async def test_a_call_as_it_is_heard() -> None:
    rig = Rig()
    rig.ready()
    call = rig.rtvi
    call.state("listening")
    call.user_turn(is_open=True)
    call.user_text(1, "Are you", final=False)
    call.user_text(1, "Are you open?", final=True)
    call.user_turn(is_open=False)
    call.state("thinking")
    call.tool("find_slots")
    call.tool("find_slots")
    call.tool("")
    call.state("speaking")
    call.agent_text(2, "Yes", final=False)
    call.agent_text(2, "Yes", final=False)
    call.agent_text(2, "Yes, we are", final=False)
    call.interrupted(2)
    call.agent_text(2, "Yes, we are", final=True)
    call.state("listening")
    call.failed()
    await rig.told(lambda r: "error" in r.types)
    assert rig.types == [
        "bot-ready",
        "user-started-speaking",
        "user-transcription",
        "user-transcription",
        "user-llm-text",
        "user-stopped-speaking",
        "bot-llm-started",
        "llm-function-call-started",
        "llm-function-call-in-progress",
        "llm-function-call-stopped",
        "bot-llm-stopped",
        "bot-started-speaking",
        "bot-tts-started",
        *["bot-tts-text", "bot-output", "bot-output"] * 2,
        "bot-interrupted",
        "bot-tts-stopped",
        "bot-stopped-speaking",
        "error",
    ]
    assert all(message["label"] == "rtvi-ai" for message in rig.sent)
    words = [(said["text"], said["final"], said["user_id"]) for said in rig.data("user-transcription")]
    assert words == [("Are you", False, "ann"), ("Are you open?", True, "ann")]
    assert rig.data("bot-output") == [
        {
            "text": text, "output_type": "sentence", "text_type": "sentence", "aggregated_by": "sentence",
            "segment_id": segment, "will_be_spoken": True, "spoken_status": status,
            "spoken_progress": {
                "accumulated_text": text if status == "completed" else "",
                "remaining_text": "" if status == "completed" else text,
            },
        }
        for segment, text in ((1, "Yes"), (2, ", we are"))
        for status in ("new", "completed")
    ]  # fmt: skip
    assert rig.data("llm-function-call-in-progress") == [
        {"tool_call_id": "tool_1", "function_name": "find_slots"}
    ]
    assert rig.data("error") == [{"error": FAILED, "fatal": False}]


async def test_nothing_is_sent_to_a_client_that_speaks_no_rtvi() -> None:
    rig = Rig()
    rig.rtvi.state("speaking")
    rig.rtvi.agent_text(1, "Hello", final=True)
    rig.rtvi.failed()
    assert rig.rtvi._out.empty()


async def test_who_is_ready_in_the_middle_of_the_greeting_is_told_it_from_its_beginning() -> None:
    rig = Rig()
    rig.rtvi.state("speaking")
    rig.rtvi.agent_text(1, "Hello, this is", final=False)
    rig.ready()
    rig.rtvi.agent_text(1, "Hello, this is the clinic.", final=True)
    await rig.told(lambda r: len(r.data("bot-tts-text")) == 2)
    assert rig.types[:4] == ["bot-ready", "bot-started-speaking", "bot-tts-started", "bot-tts-text"]
    assert [piece["text"] for piece in rig.data("bot-tts-text")] == ["Hello, this is", "the clinic."]


@pytest.mark.parametrize(
    ("version", "answered", "refused"),
    [(PROTOCOL_VERSION, PROTOCOL_VERSION, 0), ("2.0.0", PROTOCOL_VERSION, 0), ("1.4.0", "1.4.0", 0),
     ("3.0.0", PROTOCOL_VERSION, 1), ("", PROTOCOL_VERSION, 1), ("x.y", PROTOCOL_VERSION, 1)],
)  # fmt: skip
async def test_versions_are_negotiated_as_pipecat_does(version: str, answered: str, refused: int) -> None:
    rig = Rig()
    rig.ready(version)
    rig.rtvi.agent_text(1, "Hello", final=True)
    await rig.told(lambda r: r.data("bot-output"))
    ready = rig.data("bot-ready")[0]
    assert ready["version"] == answered
    assert ready["capabilities"]["audio_in"] is True
    assert len(rig.data("error-response")) == refused
    assert ("spoken" in rig.data("bot-output")[0]) == (version == "1.4.0")


async def test_typed_words_are_said_and_not_shown_twice() -> None:
    rig = Rig()
    rig.ready()
    rig.send("send-text", {"content": "Hi", "options": {"run_immediately": True, "audio_response": False}})
    rig.rtvi.user_text(1, "Hi", final=True, typed=True)
    await rig.told(lambda r: r.data("user-llm-text"))
    assert rig.said == ["Hi"]
    assert rig.data("user-transcription") == []


async def test_what_cannot_be_done_is_refused_by_its_id() -> None:
    rig = Rig()
    rig.ready()
    rig.send("send-text", {"content": "a", "options": {"run_immediately": False}}, "m2")
    rig.takes = False
    rig.send("send-text", {"content": "b"}, "m3")
    rig.send("client-message", {"t": "config"}, "m4")
    rig.send("client-message", {"t": "broken"}, "m5")
    await rig.told(lambda r: len(r.data("error-response")) == 4)
    assert {m["id"] for m in rig.sent if m["type"] == "error-response"} == {"m2", "m3", "m4", "m5"}
    assert rig.said == ["b"]
    assert "db:5432" not in json.dumps(rig.sent)


async def test_what_may_be_asked_by_rpc_may_be_asked_here() -> None:
    rig = Rig()
    rig.ready()
    for number, payload in enumerate(("all", None, {"since": 1})):
        rig.send("client-message", {"t": "repartee.memory", "d": payload}, f"q{number}")
    await rig.told(lambda r: len(r.data("server-response")) == 3)
    answers = [(m["id"], m["data"]["d"]) for m in rig.sent if m["type"] == "server-response"]
    assert answers == [("q0", "known: all"), ("q1", "known: "), ("q2", 'known: {"since": 1}')]


async def test_a_client_may_send_the_agent_away_and_nobody_may_forge_its_tools() -> None:
    rig = Rig()
    rig.send("disconnect-bot")
    rig.send("llm-function-call-result", {"function_name": "book", "result": "done"})
    rig.inlet.data("bob", json.dumps({"label": "rtvi-ai", "type": "disconnect-bot"}).encode())
    assert rig.hung_up == 1
    assert rig.inlet.summary() == {"data.not_caller": 1, "data.unknown": 1}


async def test_a_client_that_reads_nothing_costs_nothing_but_the_newest() -> None:
    rig = Rig()
    rig.ready()
    for number in range(10_000):
        rig.rtvi.agent_text(number, f"Sentence {number}.", final=True)
    assert rig.rtvi._out.full()
