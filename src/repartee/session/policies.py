"""What the conversation core may be told about taste, by the agent file."""

from __future__ import annotations

import math
from dataclasses import replace

from repartee.agent import Agent
from repartee.conversation import Endpointing, Patience, Policies, Speculation, Waiting
from repartee.conversation.policies import SENSITIVITY


def policies_of(agent: Agent) -> Policies:
    """Return what the core may ask in a call of an agent."""
    taking, limits, waiting = agent.turn_taking, agent.limits, agent.waiting
    numbers = {
        name: value
        for name, value in (
            ("take_floor_ms", taking.take_floor_ms),
            ("backchannel_max_words", taking.backchannel_max_words),
        )
        if value is not None
    }
    return Policies(
        endpointing=Endpointing(
            float(taking.min_silence_ms),
            float(taking.max_silence_ms),
            digits_ms=float(taking.digits_silence_ms),
        ),
        interruption=replace(SENSITIVITY[taking.sensitivity], enabled=taking.barge_in, **numbers),
        # Intents are found in the words, before the model is asked.
        speculation=Speculation(
            taking.speculate, by_sound=agent.models.realtime is not None and not agent.intents
        ),
        patience=Patience(
            call_ms=limits.max_call_s * 1000.0,
            absent_ms=limits.reconnect_s * 1000.0,
            silence_ms=limits.silence_s * 1000.0 or math.inf,
            silence_asks=limits.silence_asks,
        ),
        waiting=Waiting(
            waiting.fillers, filler_ms=float(waiting.after_ms), apology_ms=float(waiting.apology_after_ms)
        ),
    )
