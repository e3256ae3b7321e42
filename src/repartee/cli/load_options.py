"""What `repartee bench load` is to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from repartee.simulator.systems import OURS

Mode = Literal["steady", "churn", "overload", "kill", "kills"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What to load the machine with.

    Attributes:
        mode: `steady`: so many calls at once, a step for each number. `churn`: short calls, many one after another.
            `overload`: three times as many callers as there are places. `kill`: in the middle of a step the session
            process that does the most is killed. `kills`: callers come and go, and every eight seconds one is killed.
        calls: How many at once; for `churn` and `overload` the last number is the places there are.
        kills: So many, for `kills`.
        systems: Whom to call, repartee or peers; one after another, on the same ground.
        hold_s: How long a step is held after its ramp; longer where few calls make few turns.
        rate: Arrivals in a second, for `churn`.
        profile: The vendors' latency.
        seed: Of orders, latencies and arrivals.
        speech: Folder of the recordings.
        items: So many different recordings are said.
        settings: Variables of the server, as in REPARTEE_SESSION_PROCESSES=2.
        on_device: Its models are this machine's, instead of simulated vendors.
        spy: Profile the session processes with py-spy and write its samples to this folder.
    """

    mode: Mode = "steady"
    calls: tuple[int, ...] = (1, 8, 16)
    kills: int = 200
    systems: tuple[str, ...] = (OURS,)
    hold_s: float = 40.0
    rate: float = 2.0
    profile: str = "fixed:300/350/250"
    seed: int = 1
    speech: Path = Path("../shared/speech")
    items: int = 8
    settings: tuple[tuple[str, str], ...] = ()
    on_device: bool = False
    spy: Path | None = None
