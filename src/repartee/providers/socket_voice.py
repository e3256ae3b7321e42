"""A voice that is spoken to over a socket, and can be relieved in the middle of a reply.

Whoever guards it is asked before each text, told of each that was sent and of what goes wrong, and may relieve it:
from then on its texts are announced and not spoken, until the next reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from pipecat.frames.frames import AggregatedTextFrame, CancelFrame, EndFrame, Frame, InterruptionFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.tts_service import WebsocketTTSService

from repartee.providers.failures import Failure
from repartee.providers.frames import ReplyFrame, SpeakerFrame
from repartee.providers.reconnecting import Reconnecting
from repartee.providers.voices import Speaker

RELIEVE_S = 0.2
"""For telling the vendor that nobody listens; it may not be able to hear it."""


class Guard(Protocol):
    """Watches over a voice."""

    async def may_speak(self, reply_id: int | None) -> bool:
        """Say whether the voice shall speak the next text of a reply."""

    def sent(self, frame: AggregatedTextFrame) -> None:
        """A text is given to the vendor."""

    async def failed(self, failure: Failure) -> None:
        """Something went wrong."""

    async def interrupted(self) -> None:
        """What is being said is cut off."""


class ForReplies(FrameProcessor):
    """Mixed into a service: knows which reply the frames that come now belong to."""

    reply_id: int | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take note of a reply's beginning; everything goes on as it was."""
        if isinstance(frame, ReplyFrame):
            self.reply_id = frame.reply_id
        await super().process_frame(frame, direction)


class SocketVoice(ForReplies, Reconnecting, WebsocketTTSService):
    """Mixed in before a voice of Pipecat's that streams over a socket."""

    guard: Guard | None = None
    speakers: Mapping[str, Speaker] = MappingProxyType({})
    """The agents that this call may be passed to, by name."""
    _relieved: frozenset[str] = frozenset()
    """Contexts that ended before they had been spoken."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Besides speaking: an interruption is told before anything of the next reply comes."""
        if isinstance(frame, (InterruptionFrame, EndFrame, CancelFrame)) and self.guard is not None:
            await self.guard.interrupted()
        if isinstance(frame, SpeakerFrame) and (speaker := self.speakers.get(frame.agent)) is not None:
            # Comes after all the other one was given has been spoken; does nothing where the voice is the same.
            await self._update_settings(speaker.settings)
        await super().process_frame(frame, direction)

    async def dropped(self, failure: Failure) -> None:
        """Tell the guard."""
        if self.guard is not None:
            await self.guard.failed(failure)

    async def relieve(self, then: Frame) -> None:
        """Let go of everything that is being spoken; what has come of it is passed on, then a frame.

        Args:
            then: Comes after the last of it.
        """
        contexts = self.get_audio_contexts()
        self._relieved = frozenset(contexts)
        # Ends them where they are: what has come still plays, and the frames behind keep their places.
        await self._close_connection_contexts()
        await self._audio_context_manager.put_frame(then)
        if not self.is_open:
            return
        try:
            async with asyncio.timeout(RELIEVE_S):
                for context_id in contexts:
                    await self.on_audio_context_interrupted(context_id)
        except TimeoutError:
            return

    async def _apply_force_complete(self, context_id: str) -> None:
        if context_id not in self._relieved:
            await super()._apply_force_complete(context_id)
            return
        # Pipecat tells the words a vendor has not told as if they had been spoken; these were not.
        self._aggregated_frame_sequencer.force_complete(context_id, self._word_timestamp_tracker.last_pts)

    async def _speak_text(self, src_frame: AggregatedTextFrame, text: str, context_id: str) -> None:
        if self.guard is None:
            await super()._speak_text(src_frame, text, context_id)
        elif await self.guard.may_speak(self.reply_id):
            self.guard.sent(src_frame)
            await super()._speak_text(src_frame, text, context_id)
        else:
            await self._announce_text(src_frame, context_id)
