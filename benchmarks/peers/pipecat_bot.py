"""Pipecat 1.14 as its documentation shows it, and tuned by its documentation. Joins one room and talks.

Run by `repartee bench --peers` in an environment of its own: python pipecat_bot.py URL TOKEN ROOM stock|tuned KNOB
"""

import asyncio
import os
import sys

from loguru import logger

logger.remove()
from pipecat.audio.turn.smart_turn.base_smart_turn import SmartTurnParams  # noqa: E402
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3  # noqa: E402
from pipecat.audio.vad.silero import SileroVADAnalyzer  # noqa: E402
from pipecat.audio.vad.vad_analyzer import VADParams  # noqa: E402
from pipecat.frames.frames import TTSSpeakFrame  # noqa: E402
from pipecat.pipeline.pipeline import Pipeline  # noqa: E402
from pipecat.pipeline.worker import PipelineParams, PipelineWorker  # noqa: E402
from pipecat.processors.aggregators.llm_context import LLMContext  # noqa: E402
from pipecat.processors.aggregators.llm_response_universal import (  # noqa: E402
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.services.openai.llm import OpenAILLMService  # noqa: E402
from pipecat.services.openai.stt import OpenAISTTService  # noqa: E402
from pipecat.services.openai.tts import OpenAITTSService  # noqa: E402
from pipecat.transports.livekit.transport import LiveKitParams, LiveKitTransport  # noqa: E402
from pipecat.turns.user_stop import TurnAnalyzerUserTurnStopStrategy  # noqa: E402
from pipecat.turns.user_turn_strategies import UserTurnStrategies  # noqa: E402
from pipecat.workers.runner import WorkerRunner  # noqa: E402

GREETING = "Hello, this is the bench."
PERSONA = "You answer in one sentence."


def user_params(tuned: bool, knob: float) -> LLMUserAggregatorParams:
    """Voice activity and the end of turns."""
    if not tuned:
        return LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    smart = LocalSmartTurnAnalyzerV3(params=SmartTurnParams(stop_secs=knob or 1.0))
    return LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(params=VADParams(start_secs=0.1, stop_secs=0.2, min_volume=0.0)),
        user_turn_strategies=UserTurnStrategies(stop=[TurnAnalyzerUserTurnStopStrategy(turn_analyzer=smart)]),
    )


async def main() -> None:
    """Talk until the caller leaves."""
    url, token, room, kind, knob = sys.argv[1:6]
    tuned = kind == "tuned"
    params = LiveKitParams(audio_in_enabled=True, audio_out_enabled=True)
    if tuned:
        params.audio_out_queue_size_ms = 200
    transport = LiveKitTransport(url, token, room, params=params)
    key, base = os.environ["OPENAI_API_KEY"], os.environ["OPENAI_BASE_URL"]
    stt_options = {"ttfs_p99_latency": 0.5} if tuned else {}
    stt = OpenAISTTService(
        api_key=key,
        base_url=base,
        settings=OpenAISTTService.Settings(model="gpt-4o-mini-transcribe"),
        **stt_options,
    )
    llm = OpenAILLMService(
        api_key=key,
        base_url=base,
        settings=OpenAILLMService.Settings(model="gpt-4.1-mini", system_instruction=PERSONA),
    )
    tts = OpenAITTSService(
        api_key=key, base_url=base, settings=OpenAITTSService.Settings(model="gpt-4o-mini-tts", voice="alloy")
    )
    pair = LLMContextAggregatorPair(LLMContext(), user_params=user_params(tuned, float(knob)))
    pipeline = Pipeline([transport.input(), stt, pair.user(), llm, tts, transport.output(), pair.assistant()])
    worker = PipelineWorker(pipeline, params=PipelineParams(), idle_timeout_secs=None)

    @transport.event_handler("on_connected")
    async def connected(*_: object) -> None:
        print("ready", flush=True)  # noqa: T201

    @transport.event_handler("on_first_participant_joined")
    async def joined(*_: object) -> None:
        await worker.queue_frame(TTSSpeakFrame(GREETING))

    @transport.event_handler("on_participant_left")
    async def left(*_: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


asyncio.run(main())
