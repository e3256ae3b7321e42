"""What a minute of a call costs with one model that hears and speaks, beside a recogniser, a model and a voice.

Reckoned, not measured: from the price table and an even talk. Each answer reads the whole call; what the one before
it has read was kept by the vendor, from 1024 tokens on.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from repartee.providers.prices import Pricing
from repartee.simulator.providers.conversation_items import ASSISTANT_TOKENS_PER_S, USER_TOKENS_PER_S
from repartee.simulator.providers.prompt_cache import CHARACTERS_PER_TOKEN, LEAST_TOKENS, STEP_TOKENS
from repartee.telemetry.usage import Stage, Unit, Usage

TURNS, CALLER_S, AGENT_S = 6, 4, 6
INSTRUCTION_TOKENS = 500
CHARACTERS_PER_S = 15
ASSUMED = (
    f"{TURNS} turns a minute, {CALLER_S} s of the caller and {AGENT_S} s of the agent each, an instruction of "
    f"{INSTRUCTION_TOKENS} tokens,\nnothing thrown away; `gpt-4o-mini-transcribe` writes down the words for all, "
    "`gpt-4.1-mini` and `gpt-4o-mini-tts` answer in the\nfirst line. Every answer reads the whole call again."
)
_SAID, _ANSWERED = (seconds * CHARACTERS_PER_S // CHARACTERS_PER_TOKEN for seconds in (CALLER_S, AGENT_S))


def cascade_usd(prices: Pricing, minute: int) -> Decimal:
    """Return USD of a minute of a call, the first is 1, with three models."""
    voice = _usd(prices, "tts", "gpt-4o-mini-tts", {"characters": AGENT_S * CHARACTERS_PER_S * TURNS})

    def read(turn: int) -> int:
        return INSTRUCTION_TOKENS + _SAID * turn + _ANSWERED * (turn - 1)

    total = _hearing(prices) + voice
    for turn in _turns(minute):
        used: dict[Unit, int] = {"tokens_in": read(turn), "tokens_out": _ANSWERED}
        used["tokens_cached"] = _kept(read, turn)
        total += _usd(prices, "llm", "gpt-4.1-mini", used)
    return total


def realtime_usd(prices: Pricing, model: str, minute: int) -> Decimal:
    """Return USD of a minute of a call, the first is 1, with one model that hears and speaks."""
    spoken = AGENT_S * ASSISTANT_TOKENS_PER_S

    def heard(turn: int) -> int:
        return CALLER_S * USER_TOKENS_PER_S * turn + spoken * (turn - 1)

    def read(turn: int) -> int:
        return heard(turn) + INSTRUCTION_TOKENS + _ANSWERED * (turn - 1)

    total = _hearing(prices)
    for turn in _turns(minute):
        kept = _kept(read, turn)
        used: dict[Unit, int] = {
            "tokens_in": read(turn),
            "audio_tokens_in": heard(turn),
            "tokens_cached": kept,
        }
        used["audio_tokens_cached"] = min(kept, heard(turn - 1)) if kept else 0
        used |= {"tokens_out": spoken + _ANSWERED, "audio_tokens_out": spoken}
        total += _usd(prices, "llm", model, used)
    return total


def _turns(minute: int) -> range:
    return range((minute - 1) * TURNS + 1, minute * TURNS + 1)


def _kept(read: Callable[[int], int], turn: int) -> int:
    """Return how many of a turn's tokens the vendor had kept of the one before."""
    before = read(turn - 1) if turn > 1 else 0
    return before // STEP_TOKENS * STEP_TOKENS if before >= LEAST_TOKENS else 0


def _hearing(prices: Pricing) -> Decimal:
    return _usd(prices, "stt", "gpt-4o-mini-transcribe", {"audio_s": CALLER_S * TURNS})


def _usd(prices: Pricing, stage: Stage, model: str, used: dict[Unit, int]) -> Decimal:
    quantities = {unit: Decimal(number) for unit, number in used.items()}
    cost = prices.cost(Usage("reckoned", stage, "openai", model, quantities))
    if cost is None:
        raise ValueError(f"the price table has no price of {model}")
    return cost
