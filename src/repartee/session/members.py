"""What changes in a call's pipeline when another agent of its team has it: model, voice, kept audio, known answers.

What does not change is the call's: models and keys, recording, memory, limits, budget, turn taking, waiting words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pipecat.services.llm_service import LLMService
from pipecat.services.tts_service import TTSService

from repartee.agent import Agent
from repartee.conversation.clauses import clauses_of
from repartee.providers.kit import ProviderKit
from repartee.providers.voice_cache import VoiceCache
from repartee.providers.voices import Speaker
from repartee.session.languages import CallLanguage
from repartee.session.team import HandOver, Team
from repartee.session.tiering import tier_parts
from repartee.session.tiers import TierParts, Tiers
from repartee.session.tone import ToneWatch
from repartee.session.voice_choice import Sounds, VoiceChoice, sounding


class Members:
    """The agents of a call as its pipeline knows them.

    Args:
        team: Who has the call.
        kit: The call's services, built for who takes it.
        data_dir: Where learned answers are kept.
        show: Shows clients who has the call.
        kept: Returns where the audio of an agent, as they sound, is kept.
        language: What it is spoken in.
        mark: Marks the timeline.
        tone: How the caller sounds; None does not listen for it.
    """

    def __init__(
        self,
        team: Team,
        kit: ProviderKit,
        data_dir: Path,
        show: Callable[[str, str], None],
        kept: Callable[[Agent], VoiceCache | None],
        language: CallLanguage,
        mark: Callable[..., None],
        tone: ToneWatch | None,
    ) -> None:
        self._team = team
        self._kit = kit
        self._data_dir = data_dir
        self._show = show
        self._tiers: Tiers | None = None
        self._kept = kept
        self._caches: dict[str, VoiceCache | None] = {}
        self.voice = VoiceChoice(
            lambda: team.present, lambda: language.shown, mark, tone.pace if tone is not None else lambda: 1.0
        )
        """Which of the voices of who has the call is heard."""
        one = team.present
        self._one_voice = team.alone and not one.voices and not one.languages and tone is None
        self.speakers: Mapping[str, Speaker] = {} if self._one_voice else Sounds(team.agents, self._sound)
        """How the call can sound; empty where there is one way."""

    def speaker(self) -> str:
        """Return the name of how a reply that begins sounds; "" where there is only one way."""
        return "" if self._one_voice else self.voice.begin()

    def kept(self, text: str) -> bytes | None:
        """Return a text's audio in the voice that is heard, where it was made before."""
        cache = self._cache(self.voice.key())
        return cache.get(text) if cache is not None else None

    def has(self, text: str) -> bool:
        """Say whether there is such audio; its file is not read."""
        cache = self._cache(self.voice.key())
        return cache is not None and cache.has_all([text])

    def _sound(self, key: str) -> Speaker:
        return self._kit.speaker(sounding(key, self._team.agents), self._cache(key))

    def _cache(self, key: str) -> VoiceCache | None:
        if key not in self._caches:
            agent = sounding(key, self._team.agents)
            first = agent.path == self._kit.agent.path and key == agent.name
            cache = self._kit.voice_cache if first else self._kept(agent)
            if cache is not None:
                for function in self._team.functions(self._team.agents[agent.name]):
                    cache.keep(clauses_of(function.line))
            self._caches[key] = cache
        return self._caches[key]

    def connect(self, tiers: Tiers, llm: LLMService, voice: TTSService) -> None:
        """Take the parts of the pipeline; once, before it starts."""
        self._show("repartee.agent", self._team.present.name)
        if self._one_voice:
            return
        self._tiers = tiers

        def parts_of(key: str) -> TierParts:
            agent = sounding(key, self._team.agents)
            return tier_parts(self._kit, llm, voice, self._data_dir, (agent, self._cache(key)))

        tiers.join(self._kit.agent.name, parts_of)
        self._kit.instruct(self._team.present)

    def passed(self, done: HandOver) -> None:
        """Another agent has the call from the next request on."""
        self._kit.instruct(self._team.present)
        self.voice.reset()
        self._show("repartee.agent", done.taker)
        if self._tiers is not None:
            self._tiers.passed_on(done.reply_id)
