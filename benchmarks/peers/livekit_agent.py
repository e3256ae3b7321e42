"""LiveKit Agents 1.8.9 with its defaults, and tuned by its documentation. A worker that takes dispatched calls.

Run by `repartee bench --peers` in an environment of its own: python livekit_agent.py start, with PEER_KIND
(default or tuned), PEER_KNOB, PEER_NAME and PEER_READY
(processes kept ready, where it is not to be the default) in the environment.
"""

import os

from livekit.agents import Agent, AgentSession, JobContext, WorkerOptions, cli
from livekit.plugins import openai

GREETING = "Hello, this is the bench."
PERSONA = "You answer in one sentence."


async def entrypoint(ctx: JobContext) -> None:
    """Take one call."""
    knob = float(os.environ.get("PEER_KNOB") or 0)
    handling = {}
    if os.environ.get("PEER_KIND") == "tuned":
        handling = {
            "endpointing": {"min_delay": knob or 0.3, "max_delay": 1.5},
            "preemptive_generation": {"enabled": True, "preemptive_tts": True},
            "interruption": {"min_duration": 0.3},
        }
    elif knob:
        handling = {"endpointing": {"min_delay": knob}}
    session = AgentSession(
        stt=openai.STT(model="gpt-4o-mini-transcribe", use_realtime=False),
        llm=openai.LLM(model="gpt-4.1-mini"),
        tts=openai.TTS(model="gpt-4o-mini-tts", voice="alloy", response_format="pcm"),
        **({"turn_handling": handling} if handling else {}),
    )
    await session.start(agent=Agent(instructions=PERSONA), room=ctx.room)
    await session.say(GREETING)


if __name__ == "__main__":
    cli.run_app(
        WorkerOptions(
            entrypoint_fnc=entrypoint,
            agent_name=os.environ["PEER_NAME"],
            port=0,
            load_threshold=float("inf"),
            **({"num_idle_processes": int(ready)} if (ready := os.environ.get("PEER_READY")) else {}),
        )
    )
