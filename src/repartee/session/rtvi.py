"""RTVI, Pipecat's protocol for clients, spoken over LiveKit's data channel: JSON, reliable, without a topic.

Pipecat's own processor would take every message of anybody, and its observer tells what is made: replies that are
thrown away, and words that nobody has heard. This one says what is heard, to the caller alone, and nothing before
their client says `client-ready`. The messages are Pipecat's own models.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from pipecat.pipeline.capabilities import BotCapabilities
from pipecat.processors.frameworks.rtvi import models as rtvi
from pydantic import BaseModel, Field

from repartee.errors import ReparteeError
from repartee.session.inlet import Body, Take
from repartee.session.watching import AgentState, Watcher
from repartee.version import VERSION

log = structlog.get_logger()
QUEUE_SIZE = 256
ANSWER_S = 5.0
MAJOR = int(rtvi.PROTOCOL_VERSION.split(".", maxsplit=1)[0])
FAILED = "something the agent needs does not answer"

Answer = Callable[[str], Awaitable[str]]
Publish = Callable[[bytes], Awaitable[bool]]


class ClientReady(Body):
    """The client can hear and be told."""

    version: Annotated[str, Field(max_length=16)] = ""
    about: dict[str, Any] | None = None


class SendTextOptions(Body):
    """How typed words are taken. Answers are always spoken: who wants none does not play them."""

    run_immediately: bool = True
    audio_response: bool = True


class SendText(Body):
    """The user typed something."""

    content: str
    options: SendTextOptions | None = None


class ClientMessage(Body):
    """A question to the server: one of what may be asked by RPC."""

    t: Annotated[str, Field(min_length=1, max_length=64)]
    d: Any = None


class DisconnectBot(Body):
    """The agent shall leave."""


class Rtvi(Watcher):
    """Shows one call to an RTVI client.

    Args:
        publish: Sends a message to the caller.
        caller: Returns the caller's identity.
        say: Takes what was typed; returns whether it was taken.
        hang_up: Ends the call.
        answers: What may be asked, by the `t` of a client's message.
    """

    def __init__(
        self,
        *,
        publish: Publish,
        caller: Callable[[], str | None],
        say: Callable[[str], bool],
        hang_up: Callable[[], None],
        answers: Mapping[str, Answer],
    ) -> None:
        self._publish = publish
        self._caller = caller
        self._say = say
        self._hang_up = hang_up
        self._answers = dict(answers)
        self._out: asyncio.Queue[BaseModel | tuple[str, ClientMessage]] = asyncio.Queue(QUEUE_SIZE)
        self._ready = False
        self._legacy = False
        self._state: AgentState = "initializing"
        self._reply = 0
        self._told = ""
        """What the client knows of the reply; while none is ready, nothing."""
        self._heard = ""
        self._segment = 0
        self._tool: tuple[str, str] | None = None
        self._tools = 0

    @property
    def messages(self) -> dict[str, tuple[type[Body], Take]]:
        """What is taken of the caller, by type."""
        return {
            "client-ready": (ClientReady, self._on_ready),
            "send-text": (SendText, self._on_text),
            "client-message": (ClientMessage, self._on_message),
            "disconnect-bot": (DisconnectBot, lambda *_: self._hang_up()),
        }

    async def run(self) -> None:
        """Publish until cancelled, in order."""
        while True:
            item = await self._out.get()
            message = await self._answer(*item) if isinstance(item, tuple) else item
            await self._publish(message.model_dump_json(exclude_none=True).encode())

    # --- what the client says ---------------------------------------------------------------------------------

    def _on_ready(self, body: ClientReady, message_id: str) -> None:
        major = body.version.split(".", maxsplit=1)[0]
        self._legacy = major == str(rtvi.LEGACY_SUPPORTED_MAJOR)
        self._ready = True
        if not self._legacy and major != str(MAJOR):
            spoken = body.version or "of an unknown version"
            self._refuse(message_id, f"RTVI {spoken} is not what is spoken here: {rtvi.PROTOCOL_VERSION}")
        ready = rtvi.BotReadyData(
            version=body.version if self._legacy else rtvi.PROTOCOL_VERSION,
            about={"library": "repartee", "library_version": VERSION},
            capabilities=BotCapabilities(
                audio_in=True, audio_out=True, video_in=False, video_out=False, screen_in=False, metrics=False
            ),
        )
        self._put(rtvi.BotReady(id=message_id, data=ready))
        # The greeting may have begun while the client made itself ready.
        self._told = ""
        if self._state == "speaking":
            self._put(rtvi.BotStartedSpeakingMessage(), rtvi.BotTTSStartedMessage())
        self._tell_heard()

    def _on_text(self, body: SendText, message_id: str) -> None:
        if body.options is not None and not body.options.run_immediately:
            self._refuse(message_id, "typed words are answered at once here: leave out run_immediately")
        elif not self._say(body.content):
            self._refuse(message_id, "too much was typed")

    def _on_message(self, body: ClientMessage, message_id: str) -> None:
        if body.t not in self._answers:
            known = ", ".join(sorted(self._answers))
            self._refuse(
                message_id, f"nothing is known by that name; there is {known or 'nothing to ask for'}"
            )
        elif not self._out.full():
            self._out.put_nowait((message_id, body))

    async def _answer(self, message_id: str, asked: ClientMessage) -> BaseModel:
        payload = asked.d if isinstance(asked.d, str) else "" if asked.d is None else json.dumps(asked.d)
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._answers[asked.t](payload)
        except (ReparteeError, TimeoutError) as error:
            log.warning("rtvi.unanswered", error=type(error).__name__)
            return _error_response(message_id, "it could not be answered")
        return rtvi.ServerResponse(id=message_id, data=rtvi.RawServerResponseData(t=asked.t, d=answer))

    def _refuse(self, message_id: str, why: str) -> None:
        self._put(_error_response(message_id, why))

    # --- what happens in the call -----------------------------------------------------------------------------

    def state(self, state: AgentState) -> None:
        """Say when the agent begins and ends to think and to speak."""
        before, self._state = self._state, state
        if before == "thinking":
            self._put(rtvi.BotLLMStoppedMessage())
        elif before == "speaking":
            self._put(rtvi.BotTTSStoppedMessage(), rtvi.BotStoppedSpeakingMessage())
        if state == "thinking":
            self._put(rtvi.BotLLMStartedMessage())
        elif state == "speaking":
            self._put(rtvi.BotStartedSpeakingMessage(), rtvi.BotTTSStartedMessage())

    def user_turn(self, *, is_open: bool) -> None:
        """Say who has the floor."""
        self._put(rtvi.UserStartedSpeakingMessage() if is_open else rtvi.UserStoppedSpeakingMessage())

    def user_text(self, turn_id: int, text: str, *, final: bool, typed: bool = False) -> None:
        """Say what the user said; what they typed their client shows itself."""
        del turn_id
        if not typed:
            data = rtvi.UserTranscriptionMessageData(
                text=text,
                user_id=self._caller() or "",
                timestamp=datetime.now(UTC).isoformat(timespec="milliseconds"),
                final=final,
            )
            self._put(rtvi.UserTranscriptionMessage(data=data))
        if final:
            self._put(rtvi.UserLLMTextMessage(data=rtvi.TextMessageData(text=text)))

    def agent_text(self, reply_id: int, text: str, *, final: bool) -> None:
        """Say which words of a reply were heard."""
        del final
        if reply_id != self._reply:
            self._reply, self._told = reply_id, ""
        self._heard = text
        self._tell_heard()

    def interrupted(self, reply_id: int) -> None:
        """Say that it was cut off."""
        del reply_id
        self._put(rtvi.BotInterruptedMessage())

    def tool(self, name: str) -> None:
        """Say which tool works, and nothing of what it was asked and answered."""
        before, self._tool = self._tool, None
        if before is not None:
            call_id, old = before
            if old == name:
                self._tool = before
                return
            stopped = rtvi.LLMFunctionCallStoppedMessageData(
                tool_call_id=call_id, function_name=old, cancelled=False
            )
            self._put(rtvi.LLMFunctionCallStoppedMessage(data=stopped))
        if name:
            self._tools += 1
            self._tool = (f"tool_{self._tools}", name)
            begun = rtvi.LLMFunctionCallInProgressMessageData(tool_call_id=self._tool[0], function_name=name)
            self._put(
                rtvi.LLMFunctionCallStartMessage(
                    data=rtvi.LLMFunctionCallStartMessageData(function_name=name)
                ),
                rtvi.LLMFunctionCallInProgressMessage(data=begun),
            )

    def failed(self) -> None:
        """Say that something did not answer; what, is the operator's business."""
        self._put(rtvi.Error(data=rtvi.ErrorData(error=FAILED, fatal=False)))

    # --- sending ----------------------------------------------------------------------------------------------

    def _tell_heard(self) -> None:
        """Tell what is new; each piece is a segment that has been spoken already."""
        if not self._ready or not self._heard.startswith(self._told):
            return
        piece = self._heard[len(self._told) :].strip()
        self._told = self._heard
        if not piece:
            return
        self._segment += 1
        self._put(rtvi.BotTTSTextMessage(data=rtvi.TextMessageData(text=piece)))
        if self._legacy:
            data = rtvi.BotOutputMessageData(text=piece, output_type="word", spoken=True)
            self._put(rtvi.BotOutputMessage(data=data))
            return
        for status in ("new", "completed"):
            data = rtvi.BotOutputMessageData(
                text=piece,
                output_type="sentence",
                segment_id=self._segment,
                will_be_spoken=True,
                spoken_status=status,
                spoken_progress=rtvi.SpokenProgressData(
                    accumulated_text=piece if status == "completed" else "",
                    remaining_text="" if status == "completed" else piece,
                ),
            )
            self._put(rtvi.BotOutputMessage(data=data))

    def _put(self, *messages: BaseModel) -> None:
        # For showing: when the client cannot keep up, the newest is dropped, never audio delayed.
        for message in messages:
            if self._ready and not self._out.full():
                self._out.put_nowait(message)


def _error_response(message_id: str, why: str) -> rtvi.ErrorResponse:
    return rtvi.ErrorResponse(id=message_id, data=rtvi.ErrorResponseData(error=why))
