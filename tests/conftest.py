"""What every layer of tests shares: the recordings, and a loud word when they are missing."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Read by numpy when it loads: two threads on the sentence model's small vectors only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

from repartee.providers.embedding import Embed, Vectors
from repartee.providers.ondevice import registry
from repartee.providers.ondevice.sentences import SentenceModel
from repartee.settings import Settings
from tests import postgres, redis_server

ROOT = Path(__file__).parent.parent
SPEECH = Path(os.environ.get("REPARTEE_SPEECH", ROOT.parent / "shared" / "speech"))
FRONT_DESK = ROOT / "agents" / "front-desk.yaml"


@pytest.fixture(scope="session")
def speech() -> Path:
    """The folder of recordings."""
    if not (SPEECH / "index.json").is_file():
        pytest.skip(f"no recordings in {SPEECH}: set REPARTEE_SPEECH to a folder with index.json")
    return SPEECH


@pytest.fixture(scope="session")
def transcribed(speech: Path) -> list[dict[str, Any]]:
    """The recordings of whole sentences whose words are known."""
    index: list[dict[str, Any]] = json.loads((speech / "index.json").read_text(encoding="utf-8"))
    return [entry for entry in index if entry["transcript"] and not entry["file"].startswith("fsdd/")]


@pytest.fixture(scope="session")
def embed() -> Embed:
    """The on-device sentence model, called directly."""
    model = SentenceModel(*registry.minilm_files())
    known: dict[str, Vectors] = {}

    async def make(texts: Sequence[str]) -> Vectors:
        for text in texts:
            if text not in known:
                known[text] = model.embed([text])[0]
        return np.stack([known[text] for text in texts])

    return make


@pytest.fixture
def plain_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that know nothing of this machine's environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return Settings(_env_file=None).model_copy(update={"state_dir": tmp_path})  # type: ignore[call-arg]


LOUD = {
    "REPARTEE_SPEECH": f"no recordings in {SPEECH} (REPARTEE_SPEECH)",
    postgres.MISSING: postgres.MISSING,
    redis_server.MISSING: redis_server.MISSING,
}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for mark, why in LOUD.items():
        if missing := sum(mark in reason for reason in skipped):
            terminalreporter.write_line(f"!!! {missing} tests did not run: {why}", red=True, bold=True)
