"""What the benchmark does before it measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from repartee.agent import load_agent
from repartee.cli.bench import AGENT, VARIANTS, _prepare_voice, _variables, write_agent
from repartee.errors import ConfigError
from repartee.providers import choose_ladder
from repartee.session.fixed_texts import fixed_texts, kept_voice
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.savings import simulated
from repartee.simulator.systems import Ground, knob_of


async def test_what_is_said_for_sure_is_made_before_the_first_call(
    plain_settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "bench.yaml"
    write_agent(file, AGENT)
    agent = load_agent(file)
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        settings = simulated(plain_settings, simulator)
        await _prepare_voice(settings, file)
        cache = kept_voice(settings.state_dir, agent, await choose_ladder(settings, agent))
        assert cache is not None
        assert cache.has_all(fixed_texts(agent))
        asked = len(simulator.desk.bill.entries)
        await _prepare_voice(settings, file)
        assert len(simulator.desk.bill.entries) == asked > 0, "what is there is not made again"
    assert not agent.answers, "a cached answer would be measured instead of a model's"


def test_a_call_to_one_of_ours_is_taken_by_no_other_of_ours() -> None:
    ground = Ground("ws://127.0.0.1:1", "key", "secret", {})
    names = [_variables(ground, name)["REPARTEE_AGENT_NAME"] for name in (*VARIANTS, "repartee@0.6")]
    assert len(set(names)) == len(VARIANTS) + 1, "the media server gives a call to any worker of the name"


@pytest.mark.parametrize(
    ("name", "wanted"), [("livekit-tuned@0.6", ("livekit-tuned", 0.6)), ("pipecat", ("pipecat", 0.0))]
)
def test_a_system_may_have_another_delay(name: str, wanted: tuple[str, float]) -> None:
    assert knob_of(name) == wanted


@pytest.mark.parametrize("name", ["repartee@soon", "repartee@-1", "repartee@60"])
def test_a_delay_that_is_none_is_told(name: str) -> None:
    with pytest.raises(ConfigError, match=r"give 0 to 10 seconds, as in repartee@0\.6"):
        knob_of(name)
