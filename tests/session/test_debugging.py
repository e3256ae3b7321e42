"""LiveKit's debug session as its Playground speaks it: questions, answers, events, and what a caller is not told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from livekit import rtc
from livekit.protocol.agent_pb import agent_session as pb
from livekit.rtc._proto import stats_pb2

from repartee.session.debugging import ITEMS_KEPT, NOT_TOLD, DebugSession


class Rig:
    def __init__(self) -> None:
        self.sent: list[pb.AgentSessionMessage] = []
        self.said: list[str] = []
        self.takes, self.now_ms, self.connected = True, 0.0, True
        self.session = DebugSession(
            publish=self.publish, say=self.say, stats=self.stats, agent="Desk", clock_ms=lambda: self.now_ms
        )

    async def publish(self, payload: bytes) -> bool:
        self.sent.append(pb.AgentSessionMessage.FromString(payload))
        return True

    def say(self, text: str) -> bool:
        self.said.append(text)
        return self.takes

    async def stats(self) -> rtc.RtcStats:
        if not self.connected:
            raise RuntimeError("the room isn't connected")
        inbound = stats_pb2.RtcStats()
        inbound.inbound_rtp.stream.kind = "audio"
        inbound.inbound_rtp.inbound.jitter_buffer_delay = 1.5
        inbound.inbound_rtp.inbound.jitter_buffer_emitted_count = 48_000
        inside = stats_pb2.RtcStats()
        inside.local_candidate.candidate.address = "10.1.2.3"
        pair = stats_pb2.RtcStats()
        pair.candidate_pair.candidate_pair.current_round_trip_time = 0.02
        pair.candidate_pair.candidate_pair.local_candidate_id = "10.1.2.3:7882"
        return rtc.RtcStats(publisher_stats=[pair, inside], subscriber_stats=[inbound])

    def ask(self, request_id: str = "r1", **request: Any) -> None:
        asked = pb.SessionRequest(request_id=request_id, **request)
        self.session.take(pb.AgentSessionMessage(request=asked).SerializeToString())

    def watch(self) -> None:
        self.ask("watch", ping=pb.SessionRequest.Ping())

    @property
    def events(self) -> list[pb.AgentSessionEvent]:
        return [message.event for message in self.sent if message.HasField("event")]

    @property
    def responses(self) -> dict[str, pb.SessionResponse]:
        return {m.response.request_id: m.response for m in self.sent if m.HasField("response")}

    async def told(self, what: Callable[[Rig], object]) -> Rig:
        running = asyncio.create_task(self.session.run())
        async with asyncio.timeout(5):
            while not what(self):  # noqa: ASYNC110 - nothing announces what is waited for
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return self


def turn(rig: Rig, number: int, said: str, answer: str) -> None:
    """A turn that is answered 700 ms after the voice ended."""
    session = rig.session
    session.user_voice(rig.now_ms, speaking=True)
    session.user_text(number, said, final=False)
    session.user_voice(rig.now_ms, speaking=False)
    session.user_text(number, said, final=True)
    session.state("thinking")
    rig.now_ms += 700
    session.state("speaking")
    session.agent_text(number, answer[:3], final=False)
    session.agent_text(number, answer, final=True)
    session.state("listening")


async def test_nothing_is_sent_before_something_is_asked() -> None:
    rig = Rig()
    turn(rig, 1, "Hello?", "Good day.")
    rig.session.failed()
    assert rig.session._out.empty()


async def test_a_turn_as_the_playground_shows_it() -> None:
    rig = Rig()
    rig.watch()
    rig.session.state("listening")
    turn(rig, 1, "Are you open?", "Yes, we are.")
    await rig.told(lambda r: len(r.events) == 11)
    assert [event.WhichOneof("event") for event in rig.events] == [
        "agent_state_changed",
        "agent_state_changed",
        "user_state_changed",
        "user_input_transcribed",
        "user_state_changed",
        "user_input_transcribed",
        "conversation_item_added",
        "agent_state_changed",
        "agent_state_changed",
        "conversation_item_added",
        "agent_state_changed",
    ]
    assert all(event.created_at.seconds > 0 for event in rig.events)
    last = rig.events[-1].agent_state_changed
    assert (last.old_state, last.new_state) == (pb.AS_SPEAKING, pb.AS_LISTENING)
    answer = rig.events[-2].conversation_item_added.item.message
    assert (answer.role, answer.content[0].text, answer.interrupted) == (pb.ASSISTANT, "Yes, we are.", False)
    assert answer.metrics.e2e_latency == pytest.approx(0.7)


async def test_an_interrupted_answer_says_so() -> None:
    rig = Rig()
    rig.watch()
    rig.session.interrupted(3)
    rig.session.agent_text(3, "We are", final=True)
    rig.session.agent_text(4, "Yes?", final=True)
    await rig.told(lambda r: len(r.events) == 3)
    said = [event.conversation_item_added.item.message for event in rig.events[1:]]
    assert [(message.content[0].text, message.interrupted) for message in said] == [
        ("We are", True),
        ("Yes?", False),
    ]


async def test_tools_are_told_by_name_alone_and_failures_not_at_all() -> None:
    rig = Rig()
    rig.watch()
    for name in ("find_slots", "find_slots", "book", "", ""):
        rig.session.tool(name)
    rig.session.failed()
    await rig.told(lambda r: any(event.HasField("error") for event in r.events))
    told = [event for event in rig.events if event.WhichOneof("event").startswith("function")]
    assert [event.WhichOneof("event") for event in told] == [
        "function_tools_started",
        "function_tools_executed",
        "function_tools_started",
        "function_tools_executed",
    ]
    calls = [call for event in told for call in event.function_tools_executed.function_calls]
    assert [(call.name, call.call_id, call.arguments) for call in calls] == [
        ("find_slots", "tool_1", ""),
        ("book", "tool_2", ""),
    ]


async def test_questions_are_answered() -> None:
    rig = Rig()
    turn(rig, 1, "Are you open?", "Yes, we are.")
    rig.ask("ping", ping=pb.SessionRequest.Ping())
    rig.ask("history", get_chat_history=pb.SessionRequest.GetChatHistory())
    rig.ask("info", get_agent_info=pb.SessionRequest.GetAgentInfo())
    rig.ask("state", get_session_state=pb.SessionRequest.GetSessionState())
    rig.ask("framework", get_framework_info=pb.SessionRequest.GetFrameworkInfo())
    rig.ask("usage", get_session_usage=pb.SessionRequest.GetSessionUsage())
    rig.ask("io", update_io=pb.SessionRequest.UpdateIO())
    rig.ask("empty")
    answers = (await rig.told(lambda r: len(r.responses) == 8)).responses
    assert answers["ping"].HasField("pong")
    said = [item.message.content[0].text for item in answers["history"].get_chat_history.items]
    assert said == ["Are you open?", "Yes, we are."]
    assert (answers["info"].get_agent_info.id, answers["info"].get_agent_info.instructions) == ("Desk", "")
    assert answers["state"].get_session_state.agent_state == pb.AS_LISTENING
    assert answers["framework"].get_framework_info.sdk == "repartee"
    assert {answers[name].error for name in ("usage", "io", "empty")} == {NOT_TOLD}


async def test_statistics_say_how_long_sound_is_on_its_way_and_no_address() -> None:
    rig = Rig()
    rig.ask("stats", get_rtc_stats=pb.SessionRequest.GetRTCStats())
    await rig.told(lambda r: "stats" in r.responses)
    told = rig.responses["stats"].get_rtc_stats
    pairs = [MessageToDict(stat) for stat in told.publisher_stats]
    assert [pair["candidatePair"]["candidatePair"]["currentRoundTripTime"] for pair in pairs] == [
        pytest.approx(0.02)
    ]
    assert MessageToDict(told.subscriber_stats[0])["inboundRtp"]["stream"] == {"kind": "audio"}
    assert "10.1.2.3" not in str(told)
    rig.connected = False
    rig.ask("later", get_rtc_stats=pb.SessionRequest.GetRTCStats())
    await rig.told(lambda r: "later" in r.responses)
    assert rig.responses["later"].error


class TestTyping:
    async def test_run_input_is_answered_with_the_turn_and_its_answer(self) -> None:
        rig = Rig()
        rig.session.agent_text(1, "Hello", final=False)
        rig.ask("run", run_input=pb.SessionRequest.RunInput(text="Is there parking?"))
        rig.session.agent_text(1, "Hello", final=True)  # what it interrupted
        rig.session.user_text(2, "Is there parking?", final=True, typed=True)
        rig.session.agent_text(2, "It is free.", final=True)
        await rig.told(lambda r: "run" in r.responses)
        items = [item.message.content[0].text for item in rig.responses["run"].run_input.items]
        assert rig.said == ["Is there parking?"]
        assert items[-2:] == ["Is there parking?", "It is free."]

    async def test_what_is_not_taken_is_refused(self) -> None:
        rig = Rig()
        rig.ask("empty", run_input=pb.SessionRequest.RunInput(text="  "))
        rig.ask("first", run_input=pb.SessionRequest.RunInput(text="a"))
        rig.ask("second", run_input=pb.SessionRequest.RunInput(text="b"))
        rig.takes = False
        rig.ask("much", run_input=pb.SessionRequest.RunInput(text="c"))
        await rig.told(lambda r: {"empty", "first", "much"} <= r.responses.keys())
        assert all(rig.responses[name].error for name in ("empty", "first", "much"))
        assert "second" not in rig.responses


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xff\xff",
        b"not protobuf at all",
        pb.AgentSessionMessage(event=pb.AgentSessionEvent()).SerializeToString(),
        pb.AgentSessionMessage(request=pb.SessionRequest(request_id="")).SerializeToString(),
        pb.AgentSessionMessage(request=pb.SessionRequest(request_id="x" * 200)).SerializeToString(),
    ],
)
def test_what_is_no_question_is_dropped(payload: bytes) -> None:
    rig = Rig()
    rig.session.take(payload)
    assert rig.session._out.empty()


async def test_a_long_call_is_bounded() -> None:
    rig = Rig()
    for number in range(ITEMS_KEPT + 50):
        turn(rig, number, f"Question {number}", f"Answer {number}")
    rig.ask("history", get_chat_history=pb.SessionRequest.GetChatHistory())
    await rig.told(lambda r: "history" in r.responses)
    assert len(rig.responses["history"].get_chat_history.items) == ITEMS_KEPT
