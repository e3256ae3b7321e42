"""`repartee client` and `device-token`: what they print, and what they say of wrong names."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from repartee.cli import app
from repartee.cli.client import guide, page_url, platforms
from repartee.errors import ConfigError
from repartee.server.devices import DeviceKeys, add_key
from repartee.settings import Settings

LAN = "https://192.168.1.20:8080"


def test_every_platform_has_its_guide() -> None:
    assert platforms() == ["android", "esp32", "flutter", "react-native", "swift", "web"]


@pytest.mark.parametrize("platform", platforms())
def test_a_guide_has_this_server_s_address_and_nothing_left_to_fill_in(
    platform: str, plain_settings: Settings
) -> None:
    text = guide(platform, plain_settings, LAN)
    assert f"{LAN}/api/token" in text
    assert "git clone https://github.com/livekit" in text
    assert "'repartee'" in text, "whom the server sends for"
    assert not re.search(r"@\w+@", text)
    assert "10.0.2.2:" not in text
    assert max(map(len, text.splitlines())) < 170


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("client fl", ["flutter"]),
        ("models pull whisper-s", ["whisper-small"]),
        ("models remove whisper-t", []),  # it comes with the program
        ("device-token k", ["kitchen"]),
        ("dev", ["device-token"]),
    ],
)
def test_a_shell_is_told_how_what_was_typed_may_go_on(
    typed: str, offered: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPARTEE_STATE_DIR", str(tmp_path))
    add_key(Settings().devices_file, "kitchen", 1, datetime.now(UTC).date())
    words = f"repartee {typed}"
    completing = {
        "_REPARTEE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    said = CliRunner().invoke(app, env=completing, prog_name="repartee")
    assert said.output.split() == offered


def test_an_emulator_is_told_how_it_reaches_this_machine(plain_settings: Settings) -> None:
    assert "http://10.0.2.2:8080/api/token" in guide("android", plain_settings, None)
    assert "http://127.0.0.1:8080/api/token" in guide("swift", plain_settings, None)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:8080"),
    ],
)
def test_the_address_is_the_settings(plain_settings: Settings, host: str, url: str) -> None:
    assert page_url(plain_settings.model_copy(update={"host": host})) == url


@pytest.mark.parametrize(
    ("platform", "said"),
    [("swfit", "did you mean 'swift'"), ("Flutter", "'flutter'"), ("rust", "choose one of")],
)
def test_a_wrong_platform_gets_the_nearest(plain_settings: Settings, platform: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        guide(platform, plain_settings, None)


@pytest.mark.parametrize("url", ["voice.example", "ftp://voice.example", "https://"])
def test_a_wrong_address_is_refused(plain_settings: Settings, url: str) -> None:
    with pytest.raises(ConfigError, match="--url takes an address"):
        guide("web", plain_settings, url)


def test_a_device_s_key_is_made_listed_and_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "devices"
    monkeypatch.setenv("REPARTEE_DEVICES", str(file))
    run = CliRunner()
    made = run.invoke(app, ["device-token", "kitchen", "--days", "10"])
    assert made.exit_code == 0
    (key,) = re.findall(r"rptd_[\w-]+", made.output)
    assert DeviceKeys(file).name_of(key) == "kitchen"
    listed = run.invoke(app, ["device-token"]).output
    assert "kitchen  until" in listed
    assert key not in listed
    assert run.invoke(app, ["device-token", "kitchen", "--revoke"]).exit_code == 0
    assert DeviceKeys(file).name_of(key) is None
    assert "no device has a key" in run.invoke(app, ["device-token"]).output
    assert isinstance(run.invoke(app, ["device-token", "--revoke"]).exception, ConfigError)
