"""How long each provider is waited for, and how a call keeps its failures from its caller: one place for numbers.

Each time is what a caller can bear to wait where another rung stands by; the last rung of a stage may use all that
the turn has left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from repartee.providers.deadline import TurnBudget
from repartee.providers.failover import Choice, Failover, StageName, Watch
from repartee.providers.health import Health
from repartee.providers.ladder import Rung
from repartee.providers.shared import BreakerKey

OPERATIONS: dict[StageName, str] = {"stt": "transcribe", "llm": "chat", "tts": "speak"}
BEFORE_GIVING_UP_S = 1.0
"""So long before the conversation gives up a reply by itself, everything that makes it has given up."""
REPLY_S = 8.0 - BEFORE_GIVING_UP_S
"""From the question to the first audio of its answer, retries and other vendors included."""
VOICE_KEEP_S = 1.0
"""Of that, kept for the voice."""
TRANSCRIPT_S = 8.0
"""For the words of a pause. The turn goes on without them after four seconds, and takes late ones all the same."""
SMALL_FIRST_S = 1.3
"""For the small model's first token: less than its answer is waited for, so that its failure is known as one."""
GO_ON_S = 5.0
"""For going on with an answer that was cut: what was said before it is still being heard."""


@dataclass(frozen=True, slots=True)
class _Times:
    first_s: float
    idle_s: float
    least_s: float = 0.3


_TIMES: dict[StageName, dict[str, _Times]] = {
    "stt": {"on-device": _Times(3.0, 3.0, 0.5), "": _Times(1.8, 1.8)},
    "llm": {"local": _Times(5.0, 4.0, 0.5), "": _Times(2.5, 2.0)},
    "tts": {"on-device": _Times(3.0, 2.0), "openai": _Times(2.0, 2.0), "": _Times(1.5, 1.8)},
}


def choices(stage: StageName, rungs: Sequence[Rung], key_ids: Sequence[str]) -> tuple[Choice, ...]:
    """Return the rungs of a stage as its requests see them."""
    times = _TIMES[stage]
    found = []
    for number, (rung, key) in enumerate(zip(rungs, key_ids, strict=True), 1):
        time = times.get(rung.provider, times[""])
        own = rung.provider == "on-device" and number == len(rungs)
        breaker = BreakerKey(rung.provider, rung.model, key, OPERATIONS[stage])
        found.append(Choice(breaker, time.first_s, time.idle_s, time.least_s, last_resort=own))
    return tuple(found)


@dataclass
class Failsafe:
    """What a call's services share so that one provider's failure is not the call's.

    Attributes:
        health: Breakers and limits of the process.
        budget: The deadline of the turn.
        watch: Who is told.
        cut_line: Said where an answer was cut and nobody can go on with it.
    """

    health: Health = field(default_factory=Health)
    budget: TurnBudget = field(default_factory=TurnBudget)
    watch: Watch = field(default_factory=Watch)
    cut_line: str = ""

    def failover(
        self, stage: StageName, rungs: Sequence[Rung], key_ids: Sequence[str], *, alone: bool = True
    ) -> Failover:
        """Return the failover of a stage; one that is not alone has others behind it when nothing is left in it."""
        health = self.health
        watch = self.watch if alone else Watch(self.watch.switched, self.watch.failed)
        return Failover(
            stage,
            choices(stage, rungs, key_ids),
            health.breakers,
            health.limits,
            watch=watch,
            clock_s=health.clock_s,
        )
