"""The scaler's formula, on traces whose outcome can be told beforehand."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from repartee.simulator import scaler
from repartee.simulator.scaler import Scaling, Trace, simulate, traces

CHART = Path(__file__).resolve().parent.parent.parent / "deploy" / "chart"


def test_no_calls_need_the_least_pods() -> None:
    outcome = simulate(Trace("nothing", 3600, lambda _: 0.0), Scaling(min_replicas=3))
    assert (outcome.most_pods, outcome.arrived, round(outcome.pod_hours, 3)) == (3, 0, 3.0)


def test_a_steady_rate_is_served_with_the_pods_it_needs() -> None:
    # 0.25 calls a second of 180 s are 45 calls: nine pods of five.
    outcome = simulate(Trace("steady", 3 * 3600, lambda _: 0.25), Scaling())
    assert outcome.refused < outcome.arrived * 0.02, "only while the first pods start"
    assert 8 <= sorted(outcome.pods[60:])[60] <= 12


def test_too_few_pods_refuse() -> None:
    outcome = simulate(Trace("full", 3600, lambda _: 0.5), Scaling(max_replicas=4))
    assert outcome.most_pods == 4
    assert max(outcome.calls) == 32
    assert outcome.refused > outcome.arrived * 0.4


def test_a_drain_that_is_too_short_cuts_calls_and_a_long_one_does_not() -> None:
    wave = Trace("wave", 7200, lambda s: 0.5 if s < 1800 else 0.02, mean_call_s=400)
    short = simulate(wave, Scaling(drain_s=20, cooldown_s=60))
    long = simulate(wave, Scaling(drain_s=7200, cooldown_s=60))
    assert short.cut > 0
    assert long.cut == 0
    assert long.pod_hours > short.pod_hours


def test_pods_stay_for_the_cool_down() -> None:
    outcome = simulate(traces()[2], Scaling(cooldown_s=600))
    at_hang_up, later = outcome.pods[29], outcome.pods[36]
    assert later >= at_hang_up - 1
    assert outcome.pods[-1] < at_hang_up / 2


def test_the_same_seed_gives_the_same() -> None:
    assert simulate(traces()[1], Scaling(), seed=4) == simulate(traces()[1], Scaling(), seed=4)
    assert simulate(traces()[1], Scaling(), seed=4) != simulate(traces()[1], Scaling(), seed=5)


def test_it_models_the_chart() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    auto, worker = values["autoscaling"], values["worker"]
    assert Scaling() == Scaling(
        min_replicas=auto["minReplicas"],
        max_replicas=auto["maxReplicas"],
        target_calls=auto["targetCalls"],
        max_calls=worker["maxCalls"],
        cooldown_s=auto["cooldownSeconds"],
        drain_s=worker["drainSeconds"],
    )
    template = (CHART / "templates" / "scaling.yaml").read_text(encoding="utf-8")
    policies = re.findall(r"type: (Percent|Pods), value: (\d+), periodSeconds: (\d+)", template)
    assert policies == [
        ("Percent", str(int(scaler.UP_SHARE * 100)), str(scaler.SYNC_S)),
        ("Pods", str(scaler.UP_PODS), str(scaler.SYNC_S)),
        ("Percent", str(int(scaler.DOWN_SHARE * 100)), "60"),
    ]
