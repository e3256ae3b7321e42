"""LiveKit's debug session: what happens in a call, and answers to questions about it, on `lk.agent.session`.

Byte streams of `AgentSessionMessage`, as LiveKit's own agents speak it and its Playground shows it. Nothing is sent
before the caller's client asks something. The caller is no operator: they are told what they said and heard, which
tool works, and how long it took, but neither instructions nor a tool's arguments and results, prices or providers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from livekit import rtc
from livekit.protocol.agent_pb import agent_session as pb

from repartee.session.watching import AgentState, Watcher
from repartee.version import VERSION

TOPIC = "lk.agent.session"
QUEUE_SIZE = 128
ITEMS_KEPT = 200
MAX_ID = 128
ANSWER_S = 5.0
NOT_TOLD = "not told to a caller"
_AGENT = {
    "initializing": pb.AS_INITIALIZING,
    "idle": pb.AS_IDLE,
    "listening": pb.AS_LISTENING,
    "thinking": pb.AS_THINKING,
    "speaking": pb.AS_SPEAKING,
}
_STATS: dict[str, dict[str, tuple[str, ...]]] = {
    "candidatePair": {"candidatePair": ("state", "currentRoundTripTime")},
    "inboundRtp": {"stream": ("kind",), "inbound": ("jitterBufferDelay", "jitterBufferEmittedCount")},
}
"""What of WebRTC's statistics says how long sound is on its way, and nothing of the network inside."""

Event = pb.AgentSessionEvent
Response = pb.SessionResponse
Stats = Callable[[], Awaitable[rtc.RtcStats]]
Publish = Callable[[bytes], Awaitable[bool]]


@dataclass(slots=True)
class _Asked:
    """A `run_input` that waits for its answer."""

    request_id: str
    after_reply: int
    items: list[pb.ChatContext.ChatItem]


class DebugSession(Watcher):
    """Speaks LiveKit's session protocol for one call.

    Args:
        publish: Sends a message to the caller.
        say: Takes what was typed; returns whether it was taken.
        stats: Returns the agent's WebRTC statistics.
        agent: The agent's name.
        clock_ms: The call's clock.
    """

    def __init__(
        self,
        *,
        publish: Publish,
        say: Callable[[str], bool],
        stats: Stats,
        agent: str,
        clock_ms: Callable[[], float],
    ) -> None:
        self._publish = publish
        self._say = say
        self._stats = stats
        self._agent = agent
        self._clock_ms = clock_ms
        self._began = _now()
        self._out: asyncio.Queue[pb.AgentSessionMessage | str] = asyncio.Queue(QUEUE_SIZE)
        self._watched = False
        self._state: AgentState = "initializing"
        self._user = pb.US_LISTENING
        self._items: deque[pb.ChatContext.ChatItem] = deque(maxlen=ITEMS_KEPT)
        self._reply = 0
        self._interrupted = False
        self._tool = ""
        self._calls = 0
        self._voice_ended_ms: float | None = None
        self._waited_s: float | None = None
        self._asked: _Asked | None = None

    async def run(self) -> None:
        """Publish until cancelled, in order."""
        while True:
            item = await self._out.get()
            message = await self._tell_stats(item) if isinstance(item, str) else item
            await self._publish(message.SerializeToString())

    # --- questions --------------------------------------------------------------------------------------------

    def take(self, payload: bytes) -> None:
        """Take a message of the caller's; what is none is dropped."""
        try:
            message = pb.AgentSessionMessage.FromString(payload)
        except DecodeError:
            return
        request = message.request
        if not message.HasField("request") or not 0 < len(request.request_id) <= MAX_ID:
            return
        if not self._watched:
            self._watched = True
            self._tell(agent_state_changed=Event.AgentStateChanged(new_state=_AGENT[self._state]))
        match request.WhichOneof("request"):
            case "run_input":
                self._run_input(request.request_id, request.run_input.text)
            case "get_rtc_stats":
                self._put(request.request_id)
            case asked:
                self._respond(request.request_id, **self._answer(asked))

    def _answer(self, asked: str | None) -> dict[str, Any]:
        match asked:
            case "ping":
                return {"pong": Response.Pong()}
            case "get_chat_history":
                return {"get_chat_history": Response.GetChatHistoryResponse(items=self._items)}
            case "get_agent_info":
                info = Response.GetAgentInfoResponse(id=self._agent, chat_ctx=self._items)
                return {"get_agent_info": info}
            case "get_session_state":
                state = Response.GetSessionStateResponse(
                    agent_state=_AGENT[self._state],
                    user_state=self._user,
                    agent_id=self._agent,
                    created_at=self._began,
                )
                return {"get_session_state": state}
            case "get_framework_info":
                made_with = Response.GetFrameworkInfoResponse(sdk="repartee", sdk_version=VERSION)
                return {"get_framework_info": made_with}
            case _:
                return {"error": NOT_TOLD}

    def _run_input(self, request_id: str, text: str) -> None:
        if not text.strip():
            self._respond(request_id, error="nothing was typed")
        elif not self._say(text):
            self._respond(request_id, error="too much was typed")
        else:
            if self._asked is not None:
                self._respond(self._asked.request_id, error="something else was asked since")
            self._asked = _Asked(request_id, self._reply, [])

    async def _tell_stats(self, request_id: str) -> pb.AgentSessionMessage:
        try:
            async with asyncio.timeout(ANSWER_S):
                stats = await self._stats()
        except (RuntimeError, TimeoutError):  # not connected
            return _response(request_id, error="there are no statistics now")
        told = Response.GetRTCStatsResponse()
        for source, target in (
            (stats.publisher_stats, told.publisher_stats),
            (stats.subscriber_stats, told.subscriber_stats),
        ):
            for stat in source:
                if chosen := _chosen(MessageToDict(stat)):
                    target.add().update(chosen)
        return _response(request_id, get_rtc_stats=told)

    # --- what happens in the call -----------------------------------------------------------------------------

    def state(self, state: AgentState) -> None:
        """Tell what the agent is doing now."""
        before, self._state = self._state, state
        if state == "speaking" and self._voice_ended_ms is not None:
            self._waited_s = max(0.0, self._clock_ms() - self._voice_ended_ms) / 1000
            self._voice_ended_ms = None
        changed = Event.AgentStateChanged(old_state=_AGENT[before], new_state=_AGENT[state])
        self._tell(agent_state_changed=changed)

    def user_voice(self, at_ms: float, *, speaking: bool) -> None:
        """Tell whether the user speaks."""
        before, self._user = self._user, pb.US_SPEAKING if speaking else pb.US_LISTENING
        self._voice_ended_ms = None if speaking else at_ms
        if before != self._user:
            self._tell(user_state_changed=Event.UserStateChanged(old_state=before, new_state=self._user))

    def user_text(self, turn_id: int, text: str, *, final: bool, typed: bool = False) -> None:
        """Tell what the user said or typed."""
        if not typed:
            self._tell(user_input_transcribed=Event.UserInputTranscribed(transcript=text, is_final=final))
        if final:
            self._add(pb.ChatMessage(id=f"turn_{turn_id}", role=pb.USER, content=[_content(text)]))

    def interrupted(self, reply_id: int) -> None:
        """The reply's last words follow."""
        del reply_id
        self._interrupted = True

    def agent_text(self, reply_id: int, text: str, *, final: bool) -> None:
        """Tell a reply when it was heard to its end."""
        self._reply = reply_id
        if not final or not text:
            return
        message = pb.ChatMessage(
            id=f"reply_{reply_id}",
            role=pb.ASSISTANT,
            content=[_content(text)],
            interrupted=self._interrupted,
        )
        self._interrupted = False
        if self._waited_s is not None:
            message.metrics.e2e_latency, self._waited_s = self._waited_s, None
        self._add(message)
        if self._asked is not None and reply_id > self._asked.after_reply:
            asked, self._asked = self._asked, None
            self._respond(asked.request_id, run_input=Response.RunInputResponse(items=asked.items))

    def tool(self, name: str) -> None:
        """Tell which tool begins and ends to work, by name."""
        if name == self._tool:
            return
        call = pb.FunctionCall(name=self._tool, call_id=f"tool_{self._calls}")
        if self._tool:
            output = pb.FunctionCallOutput(name=call.name, call_id=call.call_id)
            self._tell(
                function_tools_executed=Event.FunctionToolsExecuted(
                    function_calls=[call], function_call_outputs=[output]
                )
            )
        self._tool = name
        if name:
            self._calls += 1
            begun = pb.FunctionCall(name=name, call_id=f"tool_{self._calls}")
            self._tell(function_tools_started=Event.FunctionToolsStarted(function_calls=[begun]))

    def failed(self) -> None:
        """Tell that something did not answer; what, is the operator's business."""
        self._tell(error=Event.Error(message="something the agent needs does not answer"))

    # --- sending ----------------------------------------------------------------------------------------------

    def _add(self, message: pb.ChatMessage) -> None:
        message.created_at.CopyFrom(_now())
        item = pb.ChatContext.ChatItem(message=message)
        self._items.append(item)
        if self._asked is not None:
            self._asked.items.append(item)
        self._tell(conversation_item_added=Event.ConversationItemAdded(item=item))

    def _tell(self, **event: Any) -> None:
        if self._watched:
            self._put(pb.AgentSessionMessage(event=Event(created_at=_now(), **event)))

    def _respond(self, request_id: str, **answer: Any) -> None:
        self._put(_response(request_id, **answer))

    def _put(self, message: pb.AgentSessionMessage | str) -> None:
        if not self._out.full():
            self._out.put_nowait(message)


def _response(request_id: str, **answer: Any) -> pb.AgentSessionMessage:
    return pb.AgentSessionMessage(response=Response(request_id=request_id, **answer))


def _content(text: str) -> pb.ChatMessage.ChatContent:
    return pb.ChatMessage.ChatContent(text=text)


def _chosen(stat: dict[str, Any]) -> dict[str, Any]:
    """Return what of a statistic is told, in its own shape."""
    told: dict[str, Any] = {}
    for name, groups in _STATS.items():
        for group, fields in groups.items():
            found = stat.get(name, {}).get(group, {})
            if kept := {field: found[field] for field in fields if field in found}:
                told.setdefault(name, {})[group] = kept
    return told


def _now() -> Timestamp:
    now = Timestamp()
    now.FromDatetime(datetime.now(UTC))
    return now
