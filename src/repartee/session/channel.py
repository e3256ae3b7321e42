"""What carries a call: where it takes place, what hears the caller, what speaks. Here a LiveKit room and vendors.

Calls in text and between agents are carried otherwise (`roomless.py`), and are calls for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipecat.processors.frame_processor import FrameProcessor

from repartee.agent import Agent
from repartee.conversation import Policies
from repartee.providers import Ladder, choose_ladder
from repartee.providers.kit import ProviderKit
from repartee.providers.voice_cache import VoiceCache
from repartee.session.call import Call
from repartee.session.ears import Ears
from repartee.session.fixed_texts import kept_voice
from repartee.session.gate import AudioSink
from repartee.session.policies import policies_of
from repartee.session.room import RoomHooks, RoomTransport
from repartee.session.voice_track import RoomSink


class Channel:
    """Carries one call through a LiveKit room, aloud."""

    async def ladder(self, call: Call) -> Ladder:
        """Choose the providers the call runs on.

        Raises:
            ConfigError: There is none for something that is needed.
        """
        return await choose_ladder(call.settings, call.agent)

    def policies(self, call: Call) -> Policies:
        """Return what the core may ask."""
        return policies_of(call.agent)

    def room(self, call: Call, hooks: RoomHooks) -> Any:
        """Return the transport; what happens there is told to the hooks."""
        spec = call.spec
        return RoomTransport(
            spec.url,
            spec.token,
            spec.room,
            hooks=hooks,
            caller_identity=spec.caller_identity,
            clock_ms=call.clock_ms,
            grace_s=float(call.agent.limits.reconnect_s),
        )

    def sink(self, call: Call, transport: Any) -> AudioSink:
        """Return where the agent's audio goes."""
        return RoomSink(transport.client, lambda: not call.fence.lost.is_set())

    def hearing(self, kit: ProviderKit, ears: Callable[[], Ears]) -> list[FrameProcessor]:
        """Return what hears the caller; `ears` makes their first part, which listens for a voice."""
        return [ears(), kit.stt()]

    def voice(self, kit: ProviderKit) -> Any:
        """Return what speaks."""
        return kit.tts()

    def kept_voice(self, call: Call, agent: Agent, ladder: Ladder) -> VoiceCache | None:
        """Return where an agent's audio is kept; None keeps none."""
        return kept_voice(call.spec.data_dir, agent, ladder)
