"""What a process of the pool does before its first call.

Importing this imports what a call needs, the pipeline too, which takes seconds.
"""

from __future__ import annotations

import gc
from pathlib import Path

import repartee.session.session  # noqa: F401 - what a call would wait for
from repartee.agent import team_of
from repartee.providers.connections import plain_tls, tls
from repartee.providers.privacy import allowed_hosts
from repartee.providers.seal import seal
from repartee.session.agents import agent_of
from repartee.session.keeping import keeping
from repartee.session.listening import voice_model
from repartee.session.prompt_budget import check_budget
from repartee.session.scoring import turn_scorer
from repartee.settings import Settings


def prewarm(settings: Settings, agent_path: Path) -> None:
    """Do what a call would otherwise wait for: imports (already done), models, the agent file.

    Raises:
        ConfigError: The agent file is not usable.
    """
    team = team_of(agent_of(agent_path), agent_of)
    if any(agent.private for agent in team):
        seal(allowed_hosts(settings))
    for agent in team:
        check_budget(agent)
    keeping(settings)
    turn_scorer()
    voice_model()
    tls()
    plain_tls()
    gc.freeze()  # as in worker/preloaded.py, where the most was done
