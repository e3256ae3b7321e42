"""The LiveKit wire contract, agent side: what any LiveKit client shows without knowing repartee.

`lk.agent.state` as a participant attribute, and transcripts as text streams on `lk.transcription`: for the user
a new stream per update with the whole text of the turn, in the user's name; for the agent one stream per reply
with what was heard as it is heard, closed as final.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from livekit import rtc

AgentState = Literal["initializing", "idle", "listening", "thinking", "speaking"]
TOPIC = "lk.transcription"
QUEUE_SIZE = 256
PUBLISH_S = 5.0

log = structlog.get_logger()


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


_Caption = _UserText | _AgentText


class Wire:
    """Publishes state and captions, never in the way of audio.

    Captions are written in order by one task. The state has a task of its own, where only the newest counts: the
    server may take seconds to confirm an attribute, and no caption shall wait for that.

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
        self._captions: asyncio.Queue[_Caption] = asyncio.Queue(maxsize=QUEUE_SIZE)
        self._agent_writer: rtc.TextStreamWriter | None = None
        self._agent_reply: int | None = None
        self._agent_sent = ""
        self._agent_anew = False
        self._state: AgentState = "initializing"
        self._shown: AgentState = "initializing"
        self._state_changed = asyncio.Event()
        self._attributes: dict[str, str] = {"repartee.call": call_id}
        """Others that changed since they were last shown."""
        self._known: dict[str, str] = {}
        """What is shown."""

    def state(self, state: AgentState) -> None:
        """Show what the agent is doing."""
        self._state = state
        self._state_changed.set()

    def goals(self, goals: str) -> None:
        """Show what the call is about, as JSON."""
        self._attributes["repartee.goals"] = goals
        self._state_changed.set()

    def tool(self, name: str) -> None:
        """Show which tool is waited for, never its arguments; "" for none."""
        self.show("repartee.tool", name)

    def show(self, attribute: str, value: str) -> None:
        """Show something else about the call, as an attribute of the agent's."""
        self._attributes[attribute] = value
        self._state_changed.set()

    def again(self) -> None:
        """Show everything anew: a server that was started again has forgotten it, and who comes back does not have
        the beginning of the caption that is being written.
        """
        self._agent_anew = True
        self._attributes = {**self._known, **self._attributes}
        self._state_changed.set()

    def user_text(self, turn_id: int, text: str, *, final: bool) -> None:
        """Show the user's turn so far."""
        if text:
            self._put(_UserText(turn_id, text, final))

    def agent_text(self, reply_id: int, text: str, *, final: bool) -> None:
        """Show what was heard of a reply so far."""
        if text or final:
            self._put(_AgentText(reply_id, text, final))

    def _put(self, caption: _Caption) -> None:
        # Captions are for showing: when a client cannot keep up, the newest is dropped, never audio delayed.
        if not self._captions.full():
            self._captions.put_nowait(caption)

    async def run(self) -> None:
        """Publish until cancelled."""
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._run_state(), name="state")
            lanes.create_task(self._run_captions(), name="captions")

    async def _run_state(self) -> None:
        while True:
            await self._state_changed.wait()
            self._state_changed.clear()
            participant, state = self._participant(), self._state
            if participant is not None and state != self._shown:
                self._shown = state
                self._attributes["lk.agent.state"] = state
            if participant is not None and self._attributes:
                shown, self._attributes = self._attributes, {}
                self._known.update(shown)
                await _within_limit("state", participant.set_attributes(shown))

    async def _run_captions(self) -> None:
        while True:
            caption = await self._captions.get()
            participant = self._participant()
            if participant is None:
                continue
            match caption:
                case _UserText():
                    await _within_limit("user", self._publish_user(participant, caption))
                case _AgentText():
                    if not await _within_limit("agent", self._publish_agent(participant, caption)):
                        self._agent_writer = None

    async def _publish_user(self, participant: rtc.LocalParticipant, caption: _UserText) -> None:
        caller = self._caller()
        if caller is None:
            return
        writer = await participant.stream_text(
            topic=TOPIC,
            sender_identity=caller,
            attributes={
                "lk.segment_id": f"SG_{self._prefix}_u{caption.turn_id}",
                "lk.transcription_final": str(caption.final).lower(),
            },
        )
        await writer.write(caption.text)
        await writer.aclose()

    async def _publish_agent(self, participant: rtc.LocalParticipant, caption: _AgentText) -> None:
        if self._agent_reply != caption.reply_id:
            await self._close_agent()
            self._agent_reply, self._agent_sent, self._agent_anew = caption.reply_id, "", False
        if self._agent_anew:
            await self._close_agent()
            self._agent_sent, self._agent_anew = "", False
        delta = caption.text[len(self._agent_sent) :] if caption.text.startswith(self._agent_sent) else ""
        if delta:
            if self._agent_writer is None:
                self._agent_writer = await participant.stream_text(
                    topic=TOPIC, attributes=self._agent_attributes(participant, caption.reply_id)
                )
            await self._agent_writer.write(delta)
            self._agent_sent += delta
        if caption.final:
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


async def _within_limit(what: str, work: Coroutine[Any, Any, None]) -> bool:
    """Do it; return whether it worked. A caption that cannot be shown is no reason to stop talking."""
    try:
        async with asyncio.timeout(PUBLISH_S):
            await work
    except (TimeoutError, rtc.StreamError, rtc.RpcError, rtc.participant.PublishDataError) as error:
        log.warning("wire.failed", what=what, error=type(error).__name__)
        return False
    return True
