"""Puts the tiers of a call together from what its services offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.tts_service import TTSService

from repartee.agent import Agent
from repartee.providers.kit import ProviderKit
from repartee.providers.routed import RoutedLLM
from repartee.providers.services import SmallChunkTTS
from repartee.providers.socket_voice import SocketVoice
from repartee.providers.voice_cache import VoiceCache
from repartee.providers.voices import Speaker
from repartee.session.kept import KeptVoice
from repartee.session.standby_voice import StandbyVoice
from repartee.session.tiers import Standing, TierParts, Tiers
from repartee.telemetry.timeline import Timeline

LEARNED_FILE = "answers.db"


def tiers_for(
    kit: ProviderKit,
    llm: LLMService,
    voice: TTSService,
    timeline: Timeline,
    data_dir: Path,
    standing: Callable[[], Standing],
) -> Tiers:
    """Return the tiers of one call."""
    return Tiers(tier_parts(kit, llm, voice, data_dir), timeline.mark, standing)


def tier_parts(
    kit: ProviderKit,
    llm: LLMService,
    voice: TTSService,
    data_dir: Path,
    member: tuple[Agent, VoiceCache | None] | None = None,
) -> TierParts:
    """Return what a call's tiers consist of.

    Args:
        kit: The call's services.
        llm: Its model.
        voice: Its voice.
        data_dir: Where learned answers are kept.
        member: An agent of the team and the audio of theirs that is kept; None is the one that takes the call.
    """
    agent, kept = (kit.agent, kit.voice_cache) if member is None else member
    return TierParts(
        cache=kit.answer_cache(data_dir / LEARNED_FILE, member[0] if member is not None else None),
        models=llm if isinstance(llm, RoutedLLM) else None,
        voice=kept,
        whole=not isinstance(voice, SmallChunkTTS),
        has_tools=kit.has_tools(agent),
    )


def voice_parts(
    kit: ProviderKit, voice: TTSService, speakers: Mapping[str, Speaker] = MappingProxyType({})
) -> list[FrameProcessor]:
    """Return the voice; before one that streams the audio that is kept, behind it the voices that stand by.

    Args:
        kit: The call's services.
        voice: Its voice.
        speakers: The agents of the team, by name; empty where there is no team.
    """
    parts: list[FrameProcessor] = [voice]
    if isinstance(voice, SocketVoice):
        kept = [KeptVoice(kit.voice_cache)] if kit.voice_cache is not None else []
        parts = [*kept, voice, StandbyVoice(kit.voices(), voice)]
    for part in parts:
        if isinstance(part, (SmallChunkTTS, SocketVoice, KeptVoice, StandbyVoice)):
            part.speakers = speakers
    return parts
