"""Puts the tiers of a call together from what its services offer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.tts_service import TTSService

from repartee.providers.kit import ProviderKit
from repartee.providers.routed import RoutedLLM
from repartee.providers.services import SmallChunkTTS
from repartee.providers.socket_voice import SocketVoice
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


def tier_parts(kit: ProviderKit, llm: LLMService, voice: TTSService, data_dir: Path) -> TierParts:
    """Return what a call's tiers consist of."""
    return TierParts(
        cache=kit.answer_cache(data_dir / LEARNED_FILE),
        models=llm if isinstance(llm, RoutedLLM) else None,
        voice=kit.voice_cache,
        whole=not isinstance(voice, SmallChunkTTS),
        has_tools=kit.has_tools,
    )


def voice_parts(kit: ProviderKit, voice: TTSService) -> list[FrameProcessor]:
    """Return the voice; before one that streams the audio that is kept, behind it the voices that stand by."""
    if not isinstance(voice, SocketVoice):
        return [voice]
    kept = [KeptVoice(kit.voice_cache)] if kit.voice_cache is not None else []
    return [*kept, voice, StandbyVoice(kit.voices(), voice)]
