"""The LiveKit wire contract, agent side: what any LiveKit client shows without knowing repartee.

`lk.agent.state` as a participant attribute, and transcripts as text streams on `lk.transcription`: for the user
a new stream per update with the whole text of the turn, in the user's name; for the agent one stream per reply
with what was heard as it is heard, closed as final.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog
from livekit import rtc

AgentState = Literal["initializing", "idle", "listening", "thinking", "speaking"]
TOPIC = "lk.transcription"
QUEUE_SIZE = 256

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _State:
    state: AgentState


@dataclass(frozen=True, slots=True)
class _UserText:
    turn_id: int
    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class _AgentText:
    reply_id: int
    text: str
    final: bool


_Update = _State | _UserText | _AgentText


class Wire:
    """Publishes state and captions in order, one writer, never in the way of audio.

    Args:
        participant: Returns the agent's own participant, None while not connected.
        caller: Returns the caller's identity, None before they came.
        call_id: Makes segment ids unique between calls.
    """

    def __init__(
        self,
        participant: Callable[[], rtc.LocalParticipant | None],
        caller: Callable[[], str | None],
        call_id: str,
    ) -> None:
        self._participant = participant
        self._caller = caller
        self._prefix = call_id[:8]
        self._queue: asyncio.Queue[_Update] = asyncio.Queue(maxsize=QUEUE_SIZE)
        self._agent_writer: rtc.TextStreamWriter | None = None
        self._agent_reply: int | None = None
        self._agent_sent = ""
        self._state: AgentState = "initializing"

    def state(self, state: AgentState) -> None:
        """Show what the agent is doing."""
        if state != self._state:
            self._state = state
            self._put(_State(state))

    def user_text(self, turn_id: int, text: str, *, final: bool) -> None:
        """Show the user's turn so far."""
        if text:
            self._put(_UserText(turn_id, text, final))

    def agent_text(self, reply_id: int, text: str, *, final: bool) -> None:
        """Show what was heard of a reply so far."""
        if text or final:
            self._put(_AgentText(reply_id, text, final))

    def _put(self, update: _Update) -> None:
        # Captions are for showing: when a client cannot keep up, the newest is dropped, never audio delayed.
        if not self._queue.full():
            self._queue.put_nowait(update)

    async def run(self) -> None:
        """Publish updates until cancelled."""
        while True:
            update = await self._queue.get()
            participant = self._participant()
            if participant is None:
                continue
            try:
                async with asyncio.timeout(5.0):
                    await self._publish(participant, update)
            except (TimeoutError, rtc.StreamError, rtc.RpcError, rtc.participant.PublishDataError) as error:
                log.warning("caption.failed", error=type(error).__name__)
                self._agent_writer = None

    async def _publish(self, participant: rtc.LocalParticipant, update: _Update) -> None:
        match update:
            case _State(state):
                await participant.set_attributes({"lk.agent.state": state})
            case _UserText():
                await self._publish_user(participant, update)
            case _AgentText():
                await self._publish_agent(participant, update)

    async def _publish_user(self, participant: rtc.LocalParticipant, update: _UserText) -> None:
        caller = self._caller()
        if caller is None:
            return
        writer = await participant.stream_text(
            topic=TOPIC,
            sender_identity=caller,
            attributes={
                "lk.segment_id": f"SG_{self._prefix}_u{update.turn_id}",
                "lk.transcription_final": str(update.final).lower(),
            },
        )
        await writer.write(update.text)
        await writer.aclose()

    async def _publish_agent(self, participant: rtc.LocalParticipant, update: _AgentText) -> None:
        if self._agent_reply != update.reply_id:
            await self._close_agent()
            self._agent_reply, self._agent_sent = update.reply_id, ""
        delta = update.text[len(self._agent_sent) :] if update.text.startswith(self._agent_sent) else ""
        if delta:
            if self._agent_writer is None:
                self._agent_writer = await participant.stream_text(
                    topic=TOPIC, attributes=self._agent_attributes(participant, update.reply_id)
                )
            await self._agent_writer.write(delta)
            self._agent_sent += delta
        if update.final:
            await self._close_agent()

    def _agent_attributes(self, participant: rtc.LocalParticipant, reply_id: int) -> dict[str, str]:
        attributes = {
            "lk.segment_id": f"SG_{self._prefix}_a{reply_id}",
            "lk.transcription_final": "false",
        }
        if track_sid := next(iter(participant.track_publications), None):
            attributes["lk.transcribed_track_id"] = track_sid
        return attributes

    async def _close_agent(self) -> None:
        if self._agent_writer is not None:
            writer, self._agent_writer = self._agent_writer, None
            await writer.aclose(attributes={"lk.transcription_final": "true"})
