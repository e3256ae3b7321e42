"""The services of one call, built on clients that are warm before the call needs them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import structlog
from openai import AsyncOpenAI, OpenAIError
from openai import Timeout as OpenAITimeout
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.services.llm_service import FunctionCallParams, LLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transcriptions.language import Language

from repartee.agent import Agent, Tool, ToolContext
from repartee.errors import ConfigError, ToolError
from repartee.providers import services, transcribers
from repartee.providers.answers import AnswersLLM, Meaning
from repartee.providers.brevity import Brevity
from repartee.providers.ladder import Ladder
from repartee.providers.metered_http import MeteredClient, MeteredHostClient
from repartee.providers.metered_sockets import MeteredRealtimeSTT
from repartee.providers.metering import Meter
from repartee.providers.voice_cache import VoiceCache
from repartee.settings import Settings
from repartee.urls import socket_url

log = structlog.get_logger()
CONNECT_S, READ_S = 2.0, 10.0
PREWARM_S = 3.0
OUT_SAMPLE_RATE_HZ = 24_000
ON_DEVICE_PAUSE_S = 0.1
TOOL_GRACE_S = 30.0
"""Beyond a tool's own limit: the time it may wait for its permit."""


class ProviderKit:
    """Builds the services a ladder names.

    Args:
        settings: Keys and base URLs.
        agent: Voice, persona, tools.
        ladder: What each stage runs on.
        speech_url: The speech host; needed when a stage runs on this machine.
        voice_cache: Folder for audio of phrases that come again and again; None keeps none.
        fixed_texts: Texts the agent is sure to say, whose audio is kept there.
        meter: Told of every request.
        shorter: Says whether answers must be short at present.
    """

    def __init__(
        self,
        settings: Settings,
        agent: Agent,
        ladder: Ladder,
        speech_url: str | None,
        *,
        voice_cache: Path | None = None,
        fixed_texts: Iterable[str] = (),
        meter: Meter | None = None,
        shorter: Callable[[], bool] | None = None,
    ) -> None:
        if ladder.needs_speech_host and speech_url is None:
            raise ConfigError("this agent runs on the machine's own models, but no speech host is there")
        self._settings = settings
        self._agent = agent
        self._ladder = ladder
        self._speech_url = speech_url or ""
        self._voice_cache = voice_cache
        self._fixed_texts = tuple(fixed_texts)
        self._meter = meter or Meter()
        self._shorter = shorter
        self._clients: dict[str, AsyncOpenAI] = {}
        self._host: httpx.AsyncClient | None = None
        self._meaning: Meaning | None = None

    def stt(self) -> STTService:
        """Speech to text."""
        rung = self._ladder.stt
        language = Language(self._agent.language)
        if rung.provider == "openai-realtime":
            realtime = MeteredRealtimeSTT(
                api_key=self._openai_key(),
                base_url=socket_url(self._settings.openai_base_url, "/realtime"),
                settings=MeteredRealtimeSTT.Settings(model=rung.model, language=language),
            )
            realtime.meter_with(self._meter, rung.provider, rung.model)
            return realtime
        return transcribers.PiecewiseSTT(
            self._client(rung.provider),
            after_pause_s=ON_DEVICE_PAUSE_S if rung.provider == "on-device" else 0.0,
            settings=transcribers.PiecewiseSTT.Settings(model=rung.model, language=language),
        )

    def tts(self) -> TTSService:
        """The voice."""
        rung, voice, settings = self._ladder.tts, self._agent.voice, self._settings
        if rung.provider == "elevenlabs":
            assert settings.elevenlabs_api_key is not None  # noqa: S101 - the ladder checked
            elevenlabs = services.elevenlabs(
                api_key=settings.elevenlabs_api_key.get_secret_value(),
                url=socket_url(settings.elevenlabs_base_url),
                sample_rate=OUT_SAMPLE_RATE_HZ,
                settings=services.ElevenLabsTTSService.Settings(
                    model=rung.model, voice=voice.elevenlabs, speed=min(1.2, max(0.7, voice.speed))
                ),
            )
            elevenlabs.meter_with(self._meter, rung.provider, rung.model)
            return elevenlabs
        if rung.provider == "cartesia":
            assert settings.cartesia_api_key is not None  # noqa: S101 - the ladder checked
            cartesia = services.cartesia(
                api_key=settings.cartesia_api_key.get_secret_value(),
                url=socket_url(settings.cartesia_base_url, "/tts/websocket"),
                sample_rate=OUT_SAMPLE_RATE_HZ,
                settings=services.CartesiaTTSService.Settings(model=rung.model, voice=voice.cartesia),
            )
            cartesia.meter_with(self._meter, rung.provider, rung.model)
            return cartesia
        name = voice.on_device if rung.provider == "on-device" else voice.openai
        kind = f"{rung.provider} {rung.model} {name} {voice.speed} {OUT_SAMPLE_RATE_HZ}"
        return services.SmallChunkTTS(
            self._client(rung.provider),
            VoiceCache(self._voice_cache, kind, self._fixed_texts) if self._voice_cache else None,
            sample_rate=OUT_SAMPLE_RATE_HZ,
            settings=services.SmallChunkTTS.Settings(model=rung.model, voice=name, speed=voice.speed),
        )

    def llm(self, context: ToolContext) -> tuple[LLMService, ToolsSchema | None]:
        """The model with the agent's tools registered, and their schema."""
        service: Any
        if self._ladder.llm.provider == "answers":
            self._meaning = Meaning(self._agent, self._host_client())
            service = AnswersLLM(self._agent, self._meaning)
        else:
            service = services.SharedClientLLM(
                self._client(self._ladder.llm.provider),
                self._brevity(self._ladder.llm.provider),
                settings=services.SharedClientLLM.Settings(
                    model=self._ladder.llm.model, system_instruction=self._agent.persona
                ),
            )
        for tool in self._agent.tools:
            # Interruption is the core's decision: a tool that has begun to act is never cut off half way.
            service.register_function(
                tool.name,
                _handler(tool, context),
                cancel_on_interruption=not tool.side_effect,
                timeout_secs=tool.timeout_s + TOOL_GRACE_S,
            )
        return service, _schema(self._agent.tools)

    async def prewarm(self) -> None:
        """Open this call's connections while the greeting plays; failing to is no reason not to talk."""
        warming = [_touch(client) for name, client in self._clients.items() if name != "on-device"]
        if self._meaning is not None:
            warming.append(_learn(self._meaning))
        try:
            async with asyncio.timeout(PREWARM_S):
                await asyncio.gather(*warming)
        except TimeoutError:
            log.info("provider.prewarm_slow", after_s=PREWARM_S)

    async def aclose(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(client.close() for client in self._clients.values()))
        if self._host is not None:
            await self._host.aclose()
        self._meter.close()

    def _client(self, provider: str) -> AsyncOpenAI:
        if provider not in self._clients:
            base_url, key = {
                "openai": (self._settings.openai_base_url, self._settings.openai_api_key),
                "local": (self._settings.llm_base_url, self._settings.llm_api_key),
                "on-device": (f"{self._speech_url}/v1", None),
            }[provider]
            self._clients[provider] = AsyncOpenAI(
                api_key=key.get_secret_value() if key else "none",
                base_url=base_url,
                # The SDK waits 600 s and retries twice with back-off; a caller hears that as a dead line.
                timeout=OpenAITimeout(READ_S, connect=CONNECT_S),
                max_retries=0,
                http_client=MeteredClient(self._meter, provider),
            )
        return self._clients[provider]

    def _host_client(self) -> httpx.AsyncClient:
        if self._host is None:
            self._host = MeteredHostClient(
                self._meter,
                "on-device",
                base_url=self._speech_url,
                timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
            )
        return self._host

    def _brevity(self, provider: str) -> Brevity | None:
        if self._shorter is None:
            return None
        return Brevity(self._shorter, "max_completion_tokens" if provider == "openai" else "max_tokens")

    def _openai_key(self) -> str:
        assert self._settings.openai_api_key is not None  # noqa: S101 - the ladder checked
        return self._settings.openai_api_key.get_secret_value()


def _handler(tool: Tool, context: ToolContext) -> Any:
    async def call(params: FunctionCallParams) -> None:
        try:
            result = await tool.call(dict(params.arguments), context)
        except ToolError as error:
            result = {"error": str(error)}
        await params.result_callback(
            result if isinstance(result, str) else json.loads(json.dumps(result, default=str))
        )

    return call


def _schema(tools: tuple[Tool, ...]) -> ToolsSchema | None:
    if not tools:
        return None
    return ToolsSchema(
        standard_tools=[
            FunctionSchema(
                name=tool.name,
                description=tool.description,
                properties=tool.parameters.get("properties", {}),
                required=tool.parameters.get("required", []),
            )
            for tool in tools
        ]
    )


async def _touch(client: AsyncOpenAI) -> None:
    try:
        await client.models.list()
    except OpenAIError as error:
        log.info("provider.prewarm_failed", host=client.base_url.host, error=type(error).__name__)


async def _learn(meaning: Meaning) -> None:
    try:
        await meaning.learn([])
    except httpx.HTTPError as error:
        log.info("provider.prewarm_failed", host="speech", error=type(error).__name__)
