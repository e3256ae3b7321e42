"""Readers of what participants send, of what a model calls tools with, and the captions that go out."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from hypothesis import strategies as st
from livekit import rtc
from livekit.protocol.agent_pb import agent_session as pb

from repartee import bounded_json
from repartee.agent.describe import tools_of
from repartee.errors import ToolError
from repartee.session.callers import CALLER_ID, earlier_lines, valid_id, vouched_id
from repartee.session.debugging import DebugSession
from repartee.session.inlet import Body, Inlet
from repartee.session.limits import TokenBucket
from repartee.session.room import RoomHooks, RoomTransport
from repartee.session.rtvi import Rtvi
from repartee.session.spoken import SpokenReply
from repartee.session.wire import Wire
from repartee.store import CallerFact
from tests.fuzz.made import lines, text, values, words
from tests.fuzz.target import LOOP, Target

ROOT = Path(__file__).parent.parent.parent
MESSAGE = {"label": "rtvi-ai", "type": "send-text", "id": "1", "data": {"content": "Hi"}}
RTVI = [
    {"label": "rtvi-ai", "type": kind, "id": "1", "data": data}
    for kind, data in (
        ("client-ready", {"version": "2.1.0", "about": {"library": "x", "platform_details": {"a": 1}}}),
        ("send-text", {"content": "Hi", "options": {"run_immediately": True, "audio_response": False}}),
        ("client-message", {"t": "known", "d": {"since": [1, None, "x"]}}),
        ("disconnect-bot", {}),
    )
]
TYPED = {"id": "1", "timestamp": 1, "message": "Hi", "ignoreLegacy": False}
ASKED = [
    pb.AgentSessionMessage(request=pb.SessionRequest(request_id="r", **request)).SerializeToString()
    for request in (
        {"ping": pb.SessionRequest.Ping()},
        {"run_input": pb.SessionRequest.RunInput(text="Hi")},
        {"get_chat_history": pb.SessionRequest.GetChatHistory()},
        {"update_io": pb.SessionRequest.UpdateIO()},
    )
]
NOW = datetime(2026, 11, 27, tzinfo=UTC)


class _Line(Body):
    content: str


def message(case: tuple[str | None, bytes]) -> None:
    taken: list[_Line] = []
    inlet = Inlet(
        lambda who: who == "ann",
        {"send-text": (_Line, lambda line, _: taken.append(line))},
        bucket=TokenBucket(10, 10),
    )
    inlet.data(*case)
    assert len(taken) + sum(inlet.refused.values()) == 1, "every message is taken or counted"
    if taken:
        assert case[0] == "ann"
        assert isinstance(taken[0].content, str)


def rtvi_message(payload: bytes) -> None:
    sent: list[bytes] = []
    said: list[str] = []

    async def publish(packet: bytes) -> bool:
        sent.append(packet)
        return True

    async def answer(asked: str) -> str:
        return asked[:3]

    def say(typed: str) -> bool:
        said.append(typed)
        return True

    async def take() -> None:
        client = Rtvi(
            publish=publish,
            caller=lambda: "ann",
            say=say,
            hang_up=lambda: said.append(""),
            answers={"known": answer},
        )
        inlet = Inlet(lambda who: who == "ann", client.messages)
        inlet.data("ann", payload)
        client.agent_text(1, "Hello", final=True)
        running = asyncio.create_task(client.run())
        for _ in range(20):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    LOOP.run(take())
    assert all(json.loads(packet)["label"] == "rtvi-ai" for packet in sent)


def typed_by_an_older_client(payload: bytes) -> None:
    inlet = Inlet(lambda who: who == "ann")
    said = inlet.older_chat("ann", payload)
    assert said is None or isinstance(said, str)


def asked_by_a_debugger(payload: bytes) -> None:
    async def publish(_: bytes) -> bool:
        return True

    async def stats() -> rtc.RtcStats:
        return rtc.RtcStats([], [])

    session = DebugSession(
        publish=publish, say=lambda _: True, stats=stats, agent="Desk", clock_ms=lambda: 0.0
    )
    session.take(payload)
    session.agent_text(1, "Hello", final=True)


def counted(payload: bytes) -> None:
    try:
        value = bounded_json.loads(payload, 8)
    except ValueError:
        return
    assert _depth(value) <= 8


def _depth(value: Any) -> int:
    match value:
        case dict():
            return 1 + max((_depth(inner) for inner in value.values()), default=0)
        case list():
            return 1 + max((_depth(inner) for inner in value), default=0)
        case _:
            return 0


def _client() -> Any:
    nothing: Any = lambda *_: None  # noqa: E731
    hooks = RoomHooks(nothing, nothing, nothing, nothing, nothing)
    client = RoomTransport("ws://x", "t", "r", hooks=hooks, caller_identity=None).client
    client._caller = "ann"
    return client


def rpc(case: tuple[str, str]) -> None:
    client = _client()

    async def answer(payload: str) -> str:
        return payload[:3]

    async def ask() -> None:
        for method in (client._on_sensitivity, client._for_caller(answer)):
            with contextlib.suppress(rtc.RpcError):
                await method(rtc.RpcInvocationData("1", *case, 5.0))

    LOOP.run(ask())


def typed(case: tuple[str, int, list[str], bool]) -> None:
    who, size, chunks, broken = case

    class Stream:
        closed = False

        async def __aiter__(self) -> Any:
            for chunk in chunks:
                yield chunk
            if broken:
                raise rtc.StreamError("cut")

        def close(self) -> None:
            self.closed = True

    inlet, stream = Inlet(lambda given: given == "ann"), Stream()

    async def read() -> str | None:
        return await inlet.chat(stream) if inlet.may_chat(stream, who, size) else None

    told = LOOP.run(read())
    assert stream.closed
    assert (told is None) == bool(inlet.refused)


def caller_of(case: tuple[dict[str, str], bool]) -> None:
    attributes, may_change = case
    given = vouched_id(attributes, may_change=may_change)
    assert given is None or (valid_id(given) and not may_change and attributes[CALLER_ID] == given)


def remembered(case: list[tuple[str, str, int]]) -> None:
    kept = [CallerFact(kind, said, NOW - timedelta(days=days), "c") for kind, said, days in case]
    shown = earlier_lines(kept, NOW - timedelta(days=90), 200)
    assert not any("\n" in line and line.startswith("call of") for line in shown)


def _tools() -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("fuzzed_tools", ROOT / "agents" / "tools.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {tool.name: tool for tool in tools_of(module)}


TOOLS = _tools()


def arguments(case: tuple[str, dict[str, Any]]) -> None:
    tool = TOOLS[case[0]]
    try:
        checked = tool.check(case[1])
    except ToolError:
        return
    assert isinstance(tool.canonical(checked), str)


class _Writer:
    def __init__(self) -> None:
        self.written: list[str] = []

    async def write(self, part: str) -> None:
        self.written.append(part)

    async def aclose(self, **_: Any) -> None:
        return


class _Participant:
    track_publications: dict[str, Any] = {}  # noqa: RUF012 - as LiveKit's

    def __init__(self) -> None:
        self.writers: list[_Writer] = []

    async def stream_text(self, **_: Any) -> _Writer:
        self.writers.append(_Writer())
        return self.writers[-1]


def captions(case: list[tuple[int, str, bool]]) -> None:
    participant = _Participant()
    wire = Wire(lambda: cast("rtc.LocalParticipant", participant), lambda: "ann", "call")

    async def show() -> None:
        from repartee.session.wire import _AgentText, _UserText

        local = cast("rtc.LocalParticipant", participant)
        for number, said, final in case:
            await wire._publish_agent(local, _AgentText(number, said, final))
            await wire._publish_user(local, _UserText(number, said, final))

    LOOP.run(show())


def heard(case: tuple[list[tuple[str, int]], int]) -> None:
    reply = SpokenReply(1, 24_000)
    for said, samples in case[0]:
        reply.begin_sentence(said)
        reply.pcm += b"\0\0" * samples
        reply.place_words(said, max(0, reply.samples - samples))
    told = reply.heard_text(case[1])
    assert len(told.split()) <= len(reply.full_text().split())


someone = st.sampled_from(("ann", "ann", "ann", "bob", ""))
TARGETS = [
    Target(
        "messages of participants", st.tuples(st.one_of(someone, st.none()), lines(MESSAGE)), message, 100
    ),
    Target("RTVI of participants", lines(*RTVI), rtvi_message, 30),
    Target("messages typed by older clients", lines(TYPED), typed_by_an_older_client, 15),
    Target(
        "questions of debuggers",
        st.one_of(st.sampled_from(ASKED), st.binary(max_size=200)),
        asked_by_a_debugger,
        30,
    ),
    Target("depth of JSON", lines(MESSAGE), counted, 80),
    Target(
        "remote procedure calls",
        st.tuples(someone, st.one_of(text, words, st.sampled_from(("low", '"high"')))),
        rpc,
        15,
    ),
    Target(
        "typed messages",
        st.tuples(
            someone, st.integers(0, 20_000), st.lists(st.one_of(text, words), max_size=5), st.booleans()
        ),
        typed,
        30,
    ),
    Target(
        "attributes of participants",
        st.tuples(
            st.dictionaries(
                st.one_of(st.just(CALLER_ID), st.text(max_size=8)), st.one_of(text, st.just("ann"))
            ),
            st.booleans(),
        ),
        caller_of,
        50,
    ),
    Target(
        "facts of earlier calls",
        st.lists(
            st.tuples(
                st.sampled_from(("name", "summary", "name:x", "question", ":", "")),
                words,
                st.integers(0, 200),
            )
        ),
        remembered,
        30,
    ),
    Target(
        "arguments of tools",
        st.tuples(
            st.sampled_from(sorted(TOOLS)),
            st.dictionaries(
                st.one_of(
                    st.sampled_from(
                        sorted({name for t in TOOLS.values() for name in t.parameters.get("properties", {})})
                    ),
                    st.text(max_size=8),
                ),
                st.one_of(values, st.sampled_from(("2031-03-03", "10:00", "Ann Hill", "", "+4930901820"))),
                max_size=6,
            ),
        ),
        arguments,
        30,
        fixed=frozenset(TOOLS),
    ),
    Target(
        "captions", st.lists(st.tuples(st.integers(0, 3), words, st.booleans()), max_size=8), captions, 30
    ),
    Target(
        "what was heard of a reply",
        st.tuples(st.lists(st.tuples(words, st.integers(0, 5000)), max_size=5), st.integers(-1, 30_000)),
        heard,
        50,
    ),
]
