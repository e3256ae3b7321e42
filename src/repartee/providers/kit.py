"""The services of one call, built on clients that are warm before the call needs them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import httpx
import structlog
from openai import AsyncOpenAI
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.services.llm_service import LLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transcriptions.language import Language

from repartee.agent import Agent, ToolContext
from repartee.errors import ConfigError
from repartee.providers import services, transcribers
from repartee.providers.answer_cache import AnswerCache, space_of
from repartee.providers.answering import ModelChain
from repartee.providers.answers import AnswersLLM, Meaning
from repartee.providers.brevity import Brevity
from repartee.providers.captions import Captioner
from repartee.providers.clients import Clients
from repartee.providers.embedding import Embedder
from repartee.providers.failover import Failover
from repartee.providers.hearing import Recogniser, Transcriber
from repartee.providers.intents import MeaningReader, ModelReader, TopicReader
from repartee.providers.ladder import Ladder, Rung, Stage, model_beside
from repartee.providers.learned import LearnedAnswers
from repartee.providers.metered_sockets import MeteredCartesia, MeteredElevenLabs, MeteredRealtimeSTT
from repartee.providers.metering import Meter
from repartee.providers.ondevice.registry import OWN_WHISPER
from repartee.providers.patience import SMALL_FIRST_S, Failsafe
from repartee.providers.realtime_model import RealtimeModel
from repartee.providers.routed import RoutedLLM
from repartee.providers.tool_calls import register, schema_of
from repartee.providers.vendor_voices import (
    VENDOR_VOICES,
    elevenlabs_language,
    elevenlabs_speed,
    secret,
    voice_for,
)
from repartee.providers.voice_cache import VOICE_RATE_HZ, VoiceCache
from repartee.providers.voices import Speaker, Voice, VoiceChain
from repartee.settings import Settings
from repartee.urls import socket_url

log = structlog.get_logger()
PREWARM_S = 3.0
ON_DEVICE_PAUSE_S = 0.1


class ProviderKit:
    """Builds the services a ladder names.

    Args:
        settings: Keys and base URLs.
        agent: Voice, persona, tools.
        ladder: What each stage runs on.
        speech_url: The speech host; needed when a stage runs on this machine.
        voice_cache: Audio of phrases that come again and again; None keeps none.
        acting: Names of the tools that change something, by default those of the agent's file; may grow, as servers
            bring theirs during the call.
        meter: Told of every request.
        shorter: Says whether answers must be short at present.
        failsafe: What keeps a provider's failure from being the call's; None is one of this kit's own.
    """

    def __init__(  # noqa: PLR0913 - what a call consists of
        self,
        settings: Settings,
        agent: Agent,
        ladder: Ladder,
        speech_url: str | None,
        *,
        voice_cache: VoiceCache | None = None,
        acting: Collection[str] | None = None,
        meter: Meter | None = None,
        shorter: Callable[[], bool] | None = None,
        failsafe: Failsafe | None = None,
    ) -> None:
        if ladder.needs_speech_host and speech_url is None:  # the cache can do without
            raise ConfigError("this agent runs on the machine's own models, but no speech host is there")
        self._settings = settings
        self._agent = agent
        self._ladder = ladder
        self._speech_url = speech_url or ""
        self._acting = acting if acting is not None else {t.name for t in agent.tools if t.side_effect}
        self.voice_cache = voice_cache
        self._meter = meter or Meter()
        self._shorter = shorter
        self._failsafe = failsafe or Failsafe()
        self._failsafe.health.limits.allow(ladder.ceilings)
        self._chat_models: list[services.SharedClientLLM] = []
        self._clients = Clients(settings, self._meter, self._speech_url)
        self._captioner: Captioner | None = None
        self._embedder: Embedder | None = None
        self._meaning: Meaning | None = None
        self._answers: AnswerCache | None = None

    def stt(self) -> STTService:
        """Speech to text."""
        rung = self._ladder.stt
        # Of an agent that speaks several, the recogniser is not told which one to hear.
        language = None if self._agent.languages else Language(self._agent.language)
        if rung.provider == "openai-realtime":
            realtime = MeteredRealtimeSTT(
                self._transcriber(),
                api_key=self._clients.openai_key,
                base_url=socket_url(self._settings.openai_base_url, "/realtime"),
                settings=MeteredRealtimeSTT.Settings(model=rung.model, language=language),
                audio_passthrough=False,
            )
            realtime.meter_with(self._meter, rung.provider, rung.model)
            return realtime
        return transcribers.PiecewiseSTT(
            self._clients.chat(rung.provider),
            self._transcriber(),
            after_pause_s=ON_DEVICE_PAUSE_S if rung.provider == "on-device" else 0.0,
            captioner=self._captions() if rung.provider == "on-device" else None,
            settings=transcribers.PiecewiseSTT.Settings(model=rung.model, language=language),
            audio_passthrough=False,  # nobody behind it listens, and each queue costs time 50 times a second
        )

    def tts(self) -> TTSService:
        """The voice."""
        rung, voice, settings = self._ladder.tts, self._agent.voice, self._settings
        if rung.provider == "elevenlabs":
            elevenlabs = MeteredElevenLabs(
                api_key=secret(settings.elevenlabs_api_key),
                url=socket_url(settings.elevenlabs_base_url),
                sample_rate=VOICE_RATE_HZ,
                settings=services.ElevenLabsTTSService.Settings(
                    model=rung.model,
                    voice=voice.elevenlabs,
                    speed=elevenlabs_speed(voice.speed),
                    language=elevenlabs_language(rung.model, self._agent.language),
                ),
            )
            elevenlabs.meter_with(self._meter, rung.provider, rung.model)
            return elevenlabs
        if rung.provider == "cartesia":
            cartesia = MeteredCartesia(
                api_key=secret(settings.cartesia_api_key),
                url=socket_url(settings.cartesia_base_url, "/tts/websocket"),
                sample_rate=VOICE_RATE_HZ,
                settings=services.CartesiaTTSService.Settings(
                    model=rung.model, voice=voice.cartesia, language=Language(self._agent.language)
                ),
            )
            cartesia.meter_with(self._meter, rung.provider, rung.model)
            return cartesia
        name = voice.on_device if rung.provider == "on-device" else voice.openai
        return services.SmallChunkTTS(
            self._clients.chat(rung.provider),
            self.voice_cache,
            self.voices(),
            sample_rate=VOICE_RATE_HZ,
            settings=services.SmallChunkTTS.Settings(model=rung.model, voice=name, speed=voice.speed),
        )

    @property
    def agent(self) -> Agent:
        """Who takes the call."""
        return self._agent

    @property
    def models(self) -> set[tuple[str, str]]:
        """Provider and model of everything this call may run on."""
        stages: tuple[Stage, ...] = ("stt", "llm", "tts")
        rungs = [rung for stage in stages for rung in self._ladder.rungs(stage)]
        more = [rung for rung in (self._ladder.small, self._ladder.realtime) if rung is not None]
        return {(rung.provider, rung.model) for rung in (*rungs, *more)}

    def voices(self, agent: Agent | None = None) -> VoiceChain:
        """Every voice of an agent by plain requests, first choice first."""
        failover, rungs = self._failover("tts")
        voices = [self._voice(rung, agent) for rung in rungs]
        return VoiceChain(failover, voices, self._failsafe.budget)

    def llm(self, context: ToolContext) -> tuple[LLMService, ToolsSchema | None]:
        """The model with the agent's tools registered, and their schema."""
        service: Any
        if self._ladder.llm.provider == "answers":
            embed = self.embedder()
            assert embed is not None  # noqa: S101 - the ladder needs the speech host
            self._meaning = Meaning(self._agent, embed)
            service = AnswersLLM(self._agent, self._meaning)
        else:
            service = self._models()
        for tool in self._agent.tools:
            register(service, tool, context)
        return service, schema_of(self._agent.tools)

    def realtime(self) -> RealtimeModel | None:
        """The model that hears and speaks itself; None where the agent file names none."""
        rung, voice = self._ladder.realtime, self._agent.voice
        if rung is None:
            return None
        return RealtimeModel(
            self._failsafe.failover("llm", [rung], [self._clients.key_id(rung)], alone=False),
            self._failsafe.budget,
            self._meter,
            instruction=self._agent.instruction,
            acting=self._acting,
            model=rung.model,
            voice=voice.openai,
            speed=voice.speed,
            shorter=self._shorter or (lambda: False),
            api_key=self._clients.openai_key,
            base_url=socket_url(self._settings.openai_base_url, "/realtime"),
        )

    def topic_reader(self, agent: Agent | None = None) -> TopicReader | None:
        """What finds the topic of a turn: this machine's sentence model, else a small language model."""
        agent = agent or self._agent
        if not agent.intents:
            return None
        if (embed := self.embedder()) is not None:
            return MeaningReader(embed, agent)
        if (small := model_beside(self._ladder)) is None:
            return None
        return ModelReader(self._clients.chat(small[0]), small[1], agent)

    def speaker(self, agent: Agent, cache: VoiceCache | None) -> Speaker:
        """How an agent of the team sounds in this call."""
        rung, voice = self._ladder.tts, agent.voice
        settings: Any
        match rung.provider:
            case "elevenlabs":
                settings = services.ElevenLabsTTSService.Settings(
                    voice=voice.elevenlabs,
                    speed=elevenlabs_speed(voice.speed),
                    language=elevenlabs_language(rung.model, agent.language),
                )
            case "cartesia":
                settings = services.CartesiaTTSService.Settings(
                    voice=voice.cartesia, language=Language(agent.language)
                )
            case provider:
                name = voice.on_device if provider == "on-device" else voice.openai
                settings = services.SmallChunkTTS.Settings(voice=name, speed=voice.speed)
        return Speaker(self.voices(agent), cache, settings)

    def instruct(self, agent: Agent) -> None:
        """Have every model of this call be another agent of the team from the next request on."""
        for model in self._chat_models:
            model.instruct(agent.instruction)

    def chat_client(self, provider: str) -> AsyncOpenAI:
        """The client of a chat provider, for requests beside the call's own."""
        return self._clients.chat(provider)

    def embedder(self) -> Embedder | None:
        """This machine's sentence model, one for the whole call; None where no speech host is there."""
        if self._embedder is None and self._speech_url:
            self._embedder = Embedder(self._clients.host())
        return self._embedder

    def _models(self) -> services.SharedClientLLM:
        """Return the large model, those that stand by behind it, and a small one in front where there is one."""
        failover, rungs = self._failover("llm")
        large, *then = rungs
        small = self._ladder.small
        model: services.SharedClientLLM
        if small is None:
            model = self._model(large)
        else:
            model = RoutedLLM(
                self._clients.chat(large.provider),
                self._brevity(large.provider),
                small=self._small(small),
                acting_tools=self._acting,
                settings=self._model_settings(large),
            )
            model.supports_developer_role = large.provider != "local"
            self._chat_models.append(model)
        asked = [model, *(self._model(rung) for rung in then)]
        failsafe = self._failsafe
        model.chain = ModelChain(failover, asked, failsafe.budget, cut_line=failsafe.cut_line)
        return model

    def _small(self, rung: Rung) -> services.SharedClientLLM:
        """Return the small model, which fails early enough for the large one to answer."""
        model = self._model(rung)
        failover = self._failsafe.failover("llm", [rung], [self._clients.key_id(rung)], alone=False)
        model.chain = ModelChain(failover, [model], self._failsafe.budget, limit_s=SMALL_FIRST_S)
        return model

    def _model(self, rung: Rung) -> services.SharedClientLLM:
        """Return a model alone."""
        model = services.SharedClientLLM(
            self._clients.chat(rung.provider),
            self._brevity(rung.provider),
            settings=self._model_settings(rung),
        )
        # Servers of open models know system, user, assistant and tool; theirs is a user's note then.
        model.supports_developer_role = rung.provider != "local"
        self._chat_models.append(model)
        return model

    def _model_settings(self, rung: Rung) -> Any:
        return services.SharedClientLLM.Settings(model=rung.model, system_instruction=self._agent.instruction)

    # --- what stands by -----------------------------------------------------------------------------------------

    def _failover(self, stage: Stage) -> tuple[Failover, tuple[Rung, ...]]:
        """Return the failover of a stage and the rungs it chooses from: those that can be asked from here."""
        rungs = tuple(
            rung for rung in self._ladder.rungs(stage) if rung.provider != "on-device" or self._speech_url
        )
        return self._failsafe.failover(stage, rungs, [self._clients.key_id(rung) for rung in rungs]), rungs

    def _transcriber(self) -> Transcriber:
        failover, rungs = self._failover("stt")
        recognisers = [
            None
            if rung.provider == "openai-realtime"
            else Recogniser(self._clients.chat(rung.provider), rung.model, self._to_tell_apart(rung))
            for rung in rungs
        ]
        language = None if self._agent.languages else self._agent.language.split("-", maxsplit=1)[0]
        return Transcriber(failover, recognisers, self._failsafe.budget, language)

    def _to_tell_apart(self, rung: Rung) -> tuple[str, ...]:
        """Return the languages of which this machine's recogniser is to find the one that is spoken."""
        if rung.provider != "on-device" or rung.model == OWN_WHISPER or not self._agent.languages:
            return ()
        return tuple(code[:2] for code in (self._agent.language, *self._agent.languages))

    def _voice(self, rung: Rung, agent: Agent | None = None) -> Voice:
        own_format = rung.provider in VENDOR_VOICES
        client = self._clients.voice(rung.provider) if own_format else self._clients.chat(rung.provider)
        of = agent or self._agent
        return voice_for(rung, of.voice, of.language, self._settings, client)

    def answer_cache(self, learned_file: Path, agent: Agent | None = None) -> AnswerCache | None:
        """The answers that need no model; None where the agent file has none and learns none.

        Args:
            learned_file: Where learned answers are kept, for all calls of the machine.
            agent: Of the team; None is the one that takes the call.
        """
        first, agent = agent is None, agent or self._agent
        cache = agent.cache
        if self._ladder.llm.provider == "answers" or not (cache.learn or (cache.answers and agent.answers)):
            return None
        embed = self.embedder() if self._ladder.meaning else None
        learned = LearnedAnswers(
            learned_file,
            space_of(agent, self._ladder.llm.model),
            ttl_s=cache.ttl_h * 3600,
            size=cache.size,
            now_s=time.time,
        )
        answers = AnswerCache(agent, embed, learned if cache.learn else None)
        if first:
            self._answers = answers  # warm before it is needed
        return answers

    @staticmethod
    def has_tools(agent: Agent) -> bool:
        """Whether an agent can do things."""
        return bool(agent.tools or agent.forms or agent.mcp or agent.team.agents or agent.team.ask)

    async def prewarm(self) -> None:
        """Open this call's connections while the greeting plays; failing to is no reason not to talk."""
        warming = self._clients.warming()
        if self._meaning is not None:
            warming.append(_learn(self._meaning))
        if self._answers is not None:
            warming.append(self._answers.warm())
        try:
            async with asyncio.timeout(PREWARM_S):
                await asyncio.gather(*warming)
        except TimeoutError:
            log.info("provider.prewarm_slow", after_s=PREWARM_S)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._clients.aclose()
        if self._captioner is not None:
            await self._captioner.aclose()
        self._meter.close()

    def _captions(self) -> Captioner | None:
        if self._captioner is None and self._speech_url is not None:
            self._captioner = Captioner(self._speech_url, self._agent.language.partition("-")[0])
        return self._captioner

    def _brevity(self, provider: str) -> Brevity | None:
        if self._shorter is None:
            return None
        return Brevity(self._shorter, "max_completion_tokens" if provider == "openai" else "max_tokens")


async def _learn(meaning: Meaning) -> None:
    try:
        await meaning.learn([])
    except httpx.HTTPError as error:
        log.info("provider.prewarm_failed", host="speech", error=type(error).__name__)
