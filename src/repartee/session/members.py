"""What changes in a call's pipeline when another agent of its team has it: model, voice, kept audio, known answers.

What does not change is the call's: models and keys, recording, memory, limits, budget, turn taking, waiting words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pipecat.services.llm_service import LLMService
from pipecat.services.tts_service import TTSService

from repartee.conversation.clauses import clauses_of
from repartee.providers.kit import ProviderKit
from repartee.providers.voice_cache import VoiceCache
from repartee.providers.voices import Speaker
from repartee.session.team import HandOver, Team
from repartee.session.tiering import tier_parts
from repartee.session.tiers import TierParts, Tiers


class Members:
    """The agents of a call as its pipeline knows them.

    Args:
        team: Who has the call.
        kit: The call's services, built for who takes it.
        data_dir: Where learned answers are kept.
        show: Shows clients who has the call.
        caches: Where the audio of each is kept.
    """

    def __init__(
        self,
        team: Team,
        kit: ProviderKit,
        data_dir: Path,
        show: Callable[[str, str], None],
        caches: Mapping[str, VoiceCache | None],
    ) -> None:
        self._team = team
        self._kit = kit
        self._data_dir = data_dir
        self._show = show
        self._tiers: Tiers | None = None
        self._caches = {**caches, kit.agent.name: kit.voice_cache}
        for name, agent in team.agents.items():
            if (cache := self._caches[name]) is not None:
                for function in team.functions(agent):
                    cache.keep(clauses_of(function.line))
        self.speakers: dict[str, Speaker] = (
            {}
            if team.alone
            else {name: kit.speaker(agent, self._caches[name]) for name, agent in team.agents.items()}
        )
        """How each of them sounds; empty where there is one."""

    def speaker(self) -> str:
        """Return who has the call; "" where there is only one who can."""
        return "" if self._team.alone else self._team.present.name

    def kept(self, text: str) -> bytes | None:
        """Return a text's audio in the voice of who has the call, where it was made before."""
        cache = self._caches[self._team.present.name]
        return cache.get(text) if cache is not None else None

    def has(self, text: str) -> bool:
        """Say whether there is such audio; its file is not read."""
        cache = self._caches[self._team.present.name]
        return cache is not None and cache.has_all([text])

    def connect(self, tiers: Tiers, llm: LLMService, voice: TTSService) -> None:
        """Take the parts of the pipeline; once, before it starts."""
        self._show("repartee.agent", self._team.present.name)
        if self._team.alone:
            return
        self._tiers = tiers

        def parts_of(name: str) -> TierParts:
            return tier_parts(
                self._kit, llm, voice, self._data_dir, (self._team.agents[name], self._caches[name])
            )

        tiers.join(self._kit.agent.name, parts_of)
        self._kit.instruct(self._team.present)

    def passed(self, done: HandOver) -> None:
        """Another agent has the call from the next request on."""
        self._kit.instruct(self._team.present)
        self._show("repartee.agent", done.taker)
        if self._tiers is not None:
            self._tiers.passed_on(done.reply_id)
