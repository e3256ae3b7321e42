"""What a worker is told when it is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from repartee.settings import Settings


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker needs."""

    settings: Settings
    agent_path: Path
    data_dir: Path
