"""Keys of devices: made, used for calls and nothing else, revoked, run out."""

from __future__ import annotations

import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from repartee.errors import ConfigError
from repartee.server.devices import DeviceKeys, add_key, read_keys, revoke_key
from repartee.server.places import TOKEN_TTL
from repartee.session.callers import CALLER_ID
from repartee.settings import Settings
from tests.server.livekit import LiveKit
from tests.server.test_door import bearer, client_for, settings_with
from tests.server.test_token import claims

DAY = date(2026, 11, 27)
TODAY = datetime.now(UTC).date()
CALLER = {"roomJoin", "room", "canPublish", "canSubscribe", "canPublishData", "canPublishSources"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "devices"


def test_a_key_is_kept_as_a_digest_that_only_its_owner_may_read(file: Path) -> None:
    key, kept = add_key(file, "kitchen", 30, DAY)
    assert key.startswith("rptd_")
    assert len(key) > 45
    assert key not in file.read_text()
    assert read_keys(file) == (kept,)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert DeviceKeys(file, lambda: DAY).name_of(key) == "kitchen"


def test_a_change_is_seen_without_a_restart(file: Path) -> None:
    keys = DeviceKeys(file, lambda: DAY)
    assert keys.name_of("rptd_nothing") is None
    first, _ = add_key(file, "kitchen", 30, DAY)
    hall, _ = add_key(file, "hall", 30, DAY)
    assert (keys.name_of(first), keys.name_of(hall)) == ("kitchen", "hall")
    second, _ = add_key(file, "kitchen", 30, DAY)
    assert (keys.name_of(first), keys.name_of(second)) == (None, "kitchen"), (
        "the new one replaces the old one"
    )
    revoke_key(file, "kitchen")
    assert (keys.name_of(second), keys.name_of(hall)) == (None, "hall")
    file.unlink()
    assert keys.name_of(hall) is None


def test_a_key_runs_out_at_the_end_of_its_last_day(file: Path) -> None:
    key, kept = add_key(file, "kitchen", 30, DAY)
    assert kept.until == DAY + timedelta(days=30)
    assert DeviceKeys(file, lambda: kept.until).name_of(key) == "kitchen"
    assert DeviceKeys(file, lambda: kept.until + timedelta(days=1)).name_of(key) is None


@pytest.mark.parametrize(
    "line", ["kitchen", "kitchen abc 2027-01-01", f"kitchen {'a' * 64} 2027-02-30", "\x00"]
)
def test_a_line_that_is_none_lets_nobody_in(file: Path, line: str) -> None:
    key, _ = add_key(file, "hall", 30, DAY)
    keys = DeviceKeys(file, lambda: DAY)
    file.write_text(f"{file.read_text()}{line}\n")
    assert keys.name_of(key) is None, "who knows what was to be revoked"
    with pytest.raises(ConfigError, match="line 2 is not 'NAME SHA256"):
        DeviceKeys(file)


@pytest.mark.parametrize(
    ("name", "days"), [("", 1), ("a b", 1), ("x" * 65, 1), ("a\nb", 1), ("a", 0), ("a", 4000)]
)
def test_what_no_key_is_made_for(file: Path, name: str, days: int) -> None:
    with pytest.raises(ConfigError):
        add_key(file, name, days, DAY)
    assert not file.exists()


def test_the_nearest_device_is_told(file: Path) -> None:
    add_key(file, "kitchen", 30, DAY)
    with pytest.raises(ConfigError, match="did you mean 'kitchen'"):
        revoke_key(file, "kitchn")


def test_two_commands_at_once_lose_nothing(file: Path) -> None:
    add_key(file, "kitchen", 30, DAY)
    file.with_name("devices.new").touch()
    with pytest.raises(ConfigError, match="another command writes it"):
        add_key(file, "hall", 30, DAY)
    assert [key.name for key in read_keys(file)] == ["kitchen"]


async def test_a_device_gets_a_caller_s_place_and_no_more(plain_settings: Settings, livekit: LiveKit) -> None:
    settings = settings_with(plain_settings, api_token=SecretStr("secret"))
    key, _ = add_key(settings.devices_file, "kitchen", 30, TODAY)
    async with client_for(settings, livekit) as client:
        answer = await client.post("/api/token", headers=bearer(key))
        calls = await client.get("/api/calls", headers=bearer(key))
        named = await client.post("/api/token", json={"caller_id": "ann"}, headers=bearer(key))
    granted = claims(answer.json()["participant_token"])
    assert set(granted["video"]) == CALLER
    assert granted["video"]["canPublishSources"] == ["microphone"]
    assert granted["kind"] == "standard"
    assert granted["exp"] - granted["nbf"] == TOKEN_TTL.total_seconds()
    assert granted["attributes"] == {CALLER_ID: "device:kitchen"}
    assert calls.status_code in (403, 404)
    assert (named.status_code, named.json()["error"]) == (403, "caller_id")


async def test_a_device_is_in_one_call_at_a_time(plain_settings: Settings, livekit: LiveKit) -> None:
    key, _ = add_key(plain_settings.devices_file, "kitchen", 30, TODAY)
    other, _ = add_key(plain_settings.devices_file, "hall", 30, TODAY)
    async with client_for(plain_settings, livekit) as client:
        first = await client.post("/api/token", headers=bearer(key))
        livekit.enters(first.json()["room_name"])
        again = await client.post("/api/token", headers=bearer(key))
        elsewhere = await client.post("/api/token", headers=bearer(other))
    assert (again.status_code, again.json()["error"]) == (409, "call_live")
    assert elsewhere.status_code == 200


async def test_a_revoked_key_is_refused_also_where_everybody_may_call(
    plain_settings: Settings, livekit: LiveKit
) -> None:
    key, _ = add_key(plain_settings.devices_file, "kitchen", 30, TODAY)
    async with client_for(plain_settings, livekit) as client:
        assert (await client.post("/api/token", headers=bearer(key))).status_code == 200
        revoke_key(plain_settings.devices_file, "kitchen")
        answer = await client.post("/api/token", headers=bearer(key))
        anybody = await client.post("/api/token")
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert "revoked, or run out" in answer.json()["message"]
    assert anybody.status_code == 200
