"""What one request to a provider used: the raw material of the bill.

Whoever makes a request reports one `Usage` when it ends, however it ends. Whether what came back was heard is not
known then; the ledger decides it when the reply is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

Stage = Literal["stt", "llm", "tts", "embedding"]
Unit = Literal[
    "audio_s",
    "tokens_in",
    "tokens_cached",
    "tokens_out",
    "audio_tokens_in",
    "audio_tokens_cached",
    "audio_tokens_out",
    "characters",
]
"""`audio_s`: seconds of audio sent. `tokens_in`: all tokens of the prompt, the cached ones included. `tokens_cached`:
those of them that the provider had kept. `tokens_out`: tokens made until the stream ended. `audio_tokens_...`: those
of each that are sound, of a model that hears and speaks. `characters`: sent to a voice."""

Outcome = Literal["done", "cancelled", "failed"]
Purpose = Literal["turn", "greeting", "line", "summary", "classification", "warm_up"]


@dataclass(frozen=True, slots=True)
class Usage:
    """One request, ended.

    Attributes:
        request_id: Unique; reported twice, it counts once.
        stage: What it was for.
        provider: As in `provider:model`.
        model: As the provider calls it.
        quantities: What was used, by unit.
        outcome: How it ended.
        estimated: The provider did not say what it used (a stream that was cut), so it was reckoned here.
        attempt: 1 for the first try, 2 for the second.
        purpose: Why it was made.
        reply_id: The reply it was made for, None where there is none yet (transcription).
        turn_id: The user's turn it belongs to, None where it belongs to none.
        piece_id: The piece of speech it transcribes; a later request of the same piece replaces its words.
        billed: The provider charges for it. It does not for a request that it refused, that failed before anything
            was made, or that never left.
        started_at_ms: When it was sent, on the call's clock.
        ended_at_ms: When it ended.
    """

    request_id: str
    stage: Stage
    provider: str
    model: str
    quantities: Mapping[Unit, Decimal] = field(default_factory=dict)
    outcome: Outcome = "done"
    estimated: bool = False
    attempt: int = 1
    purpose: Purpose = "turn"
    reply_id: int | None = None
    turn_id: int | None = None
    piece_id: int | None = None
    billed: bool = True
    started_at_ms: float = 0.0
    ended_at_ms: float = 0.0


ReportUsage: TypeAlias = Callable[[Usage], None]
"""Takes one usage; never waits and never raises."""


def ignore_usage(usage: Usage) -> None:
    """Report to nobody: for parts that are used without a bill."""
    del usage
