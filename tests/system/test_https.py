"""`HTTPS=1` as a phone sees it: the address of the QR code, in Chromium, over this machine's network address."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from repartee.cli.https import lan_address
from repartee.cli.instance import own_environment, spawn
from repartee.errors import ConfigError
from tests.conftest import FRONT_DESK
from tests.system.helpers import eventually
from tests.system.test_browser import FIRST_MS, page_at

KEY = "a-key-that-stays-the-same"

pytestmark = [pytest.mark.long, pytest.mark.browser, pytest.mark.livekit]


async def test_a_phone_opens_the_address_and_hears_the_agent(tmp_path: Path) -> None:
    try:
        host = lan_address()
    except ConfigError as error:
        pytest.skip(str(error))
    more = {"REPARTEE_VISIT_KEY": KEY, "REPARTEE_HTTPS": "true"}
    environment = own_environment(FRONT_DESK, tmp_path / "state", more)
    url, output = f"https://{host}:{environment['REPARTEE_PORT']}", tmp_path / "output.log"
    process = await spawn(["up"], environment, output)
    try:
        await eventually(lambda: "is on the line" in output.read_text(), 60)
        said = output.read_text()
        async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - the certificate is unit-tested
            assert (await client.get(f"{url}/healthz")).status_code == 200
            assert (await client.post(f"{url}/api/token")).status_code == 401
            authority = await client.get(f"{url}/authority.pem")
        flags = (
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            "--ignore-certificate-errors",
        )
        async with page_at(f"{url}/?key={KEY}", *flags, phone=True) as page:
            assert page.url == f"{url}/", "the key is not left in the address"
            await page.get_by_test_id("start").click()
            agent = page.get_by_test_id("caption-agent").first
            await expect(agent).to_contain_text("Riverside Clinic, good day", timeout=FIRST_MS)
            await page.get_by_test_id("end").click()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
    assert f"{url}/?key={KEY}" in said
    assert "█" in said, "the QR code"
    assert authority.content.startswith(b"-----BEGIN CERTIFICATE-----")
    logs = "".join(file.read_text() for file in (tmp_path / "state").rglob("*.log"))
    assert KEY not in logs
