"""What the chart's autoscaling does with a day of calls: the scaler's own formula, against arrivals.

A model of KEDA's ScaledObject over a HorizontalPodAutoscaler, second by second: recommendations every 15 s, the
policies of `deploy/chart/templates/scaling.yaml`, pods that need time to start, and pods that drain before they go.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

SYNC_S = 15
TOLERANCE = 0.1
"""A HorizontalPodAutoscaler lets ten percent pass."""
UP_SHARE, UP_PODS = 1.0, 4
"""In 15 s, whichever is more."""
DOWN_SHARE = 0.1
"""In 60 s."""
LENGTH_SPREAD = 0.9
"""Of the logarithm of a call's length."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """The values of the chart that matter here, and how long a pod takes to be ready."""

    min_replicas: int = 2
    max_replicas: int = 20
    target_calls: int = 5
    max_calls: int = 8
    cooldown_s: int = 600
    drain_s: int = 600
    start_s: int = 45


@dataclass(frozen=True, slots=True)
class Trace:
    """Calls over time.

    Attributes:
        name: What happens.
        seconds: How long it is looked at.
        rate: Calls per second that begin, by the second.
        mean_call_s: How long calls are, in the mean.
        hang_up_at_s: When all calls end at once; None for never.
    """

    name: str
    seconds: int
    rate: Callable[[int], float]
    mean_call_s: float = 180.0
    hang_up_at_s: int | None = None


@dataclass(slots=True)
class Outcome:
    """What came of it. `pods` and `calls` are samples, one a minute."""

    arrived: int = 0
    refused: int = 0
    cut: int = 0
    pod_hours: float = 0.0
    most_pods: int = 0
    calls: list[int] = field(default_factory=list)
    pods: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Pod:
    ready_at: int
    leaving_at: int | None = None
    ends: list[int] = field(default_factory=list)


def simulate(trace: Trace, scaling: Scaling, seed: int = 1) -> Outcome:
    """Run a trace; the same seed gives the same calls."""
    rng = random.Random(f"{seed}/{trace.name}")  # noqa: S311 - not for secrets
    mu = math.log(trace.mean_call_s) - LENGTH_SPREAD**2 / 2
    pods = [_Pod(0) for _ in range(scaling.min_replicas)]
    wanted: deque[tuple[int, int]] = deque()
    sizes: deque[tuple[int, int]] = deque()
    outcome = Outcome()
    for now in range(trace.seconds):
        for pod in pods:
            _end_calls(pod, now, everything=now == trace.hang_up_at_s)
        pods = _without_gone(pods, now, scaling, outcome)
        for _ in range(_poisson(rng, trace.rate(now))):
            _arrive(pods, now + max(5, round(rng.lognormvariate(mu, LENGTH_SPREAD))), now, scaling, outcome)
        if now % SYNC_S == 0:
            _scale(pods, now, scaling, wanted, sizes)
        outcome.pod_hours += len(pods) / 3600
        outcome.most_pods = max(outcome.most_pods, len(pods))
        if now % 60 == 0:
            outcome.calls.append(sum(len(pod.ends) for pod in pods))
            outcome.pods.append(len(pods))
    return outcome


def _end_calls(pod: _Pod, now: int, *, everything: bool) -> None:
    if everything:
        pod.ends.clear()
    while pod.ends and pod.ends[0] <= now:
        heapq.heappop(pod.ends)


def _without_gone(pods: list[_Pod], now: int, scaling: Scaling, outcome: Outcome) -> list[_Pod]:
    """Drop the pods that are drained, or whose grace period is over with calls still in them."""
    stay = []
    for pod in pods:
        if pod.leaving_at is None or (pod.ends and now < pod.leaving_at + scaling.drain_s):
            stay.append(pod)
        else:
            outcome.cut += len(pod.ends)
    return stay


def _arrive(pods: list[_Pod], end: int, now: int, scaling: Scaling, outcome: Outcome) -> None:
    outcome.arrived += 1
    free = [p for p in pods if p.leaving_at is None and p.ready_at <= now and len(p.ends) < scaling.max_calls]
    if not free:
        outcome.refused += 1
        return
    # LiveKit gives a call to a worker with little load.
    heapq.heappush(min(free, key=lambda pod: len(pod.ends)).ends, end)


def _scale(
    pods: list[_Pod],
    now: int,
    scaling: Scaling,
    wanted: deque[tuple[int, int]],
    sizes: deque[tuple[int, int]],
) -> None:
    staying = [pod for pod in pods if pod.leaving_at is None]
    size = len(staying)
    # A draining pod's calls are counted as well: their metrics are scraped until it is gone.
    ratio = sum(len(pod.ends) for pod in pods) / scaling.target_calls / size
    desired = size if abs(ratio - 1) <= TOLERANCE else math.ceil(ratio * size)
    desired = min(scaling.max_replicas, max(scaling.min_replicas, desired))
    wanted.append((now, desired))
    sizes.append((now, size))
    while wanted[0][0] < now - scaling.cooldown_s:
        wanted.popleft()
    while sizes[0][0] < now - 60:
        sizes.popleft()
    if desired > size:
        before = max(number for at, number in sizes if at > now - SYNC_S)
        most = max(math.ceil(before * (1 + UP_SHARE)), before + UP_PODS)
        pods.extend(_Pod(now + scaling.start_s) for _ in range(min(desired, most) - size))
        return
    lowest = max(number for _, number in wanted)
    if lowest < size:
        before = max(number for _, number in sizes)
        floor = max(lowest, math.floor(before * (1 - DOWN_SHARE)))
        # Of pods that are ready, a ReplicaSet takes the youngest; it does not know which have calls.
        for pod in sorted(staying, key=lambda pod: -pod.ready_at)[: max(0, size - floor)]:
            pod.leaving_at = now


def _poisson(rng: random.Random, mean: float) -> int:
    limit, product, number = math.exp(-mean), rng.random(), 0
    while product > limit:
        number += 1
        product *= rng.random()
    return number


def traces() -> tuple[Trace, ...]:
    """Return a day, a rush and a mass hang-up, all at about a hundred calls at most."""
    day = 86_400
    return (
        Trace("a day", day, lambda s: 0.02 + 0.53 * max(0.0, math.sin((s - day / 4) / day * 2 * math.pi))),
        Trace("a rush of ten times as many", 5400, lambda s: 0.5 if 1800 <= s < 2700 else 0.05),
        Trace("all hang up at once", 5400, lambda s: 0.5 if s < 1800 else 0.1, hang_up_at_s=1800),
    )
