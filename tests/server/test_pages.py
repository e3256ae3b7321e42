"""The pages as they are served: who may frame them, what browsers may keep, what makes them an app."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from repartee.server.headers import SecurityHeaders
from repartee.server.pages import ASK_FIRST, NEVER_CHANGES, manifest_of, mount_pages

SHOP = "https://shop.example"


@pytest.fixture
def static(tmp_path: Path) -> Path:
    for name in ("index.html", "calls.html", "embed.js", "sw.js", "assets/index-abc.js"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"// {name}")
    return tmp_path


@asynccontextmanager
async def served(static: Path, *origins: str) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.add_middleware(
        SecurityHeaders, livekit_url="wss://media.example", secure=lambda _: True, origins=origins
    )
    mount_pages(app, "Riverside Clinic", static)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://voice.example") as client:
        yield client


async def test_nobody_may_frame_anything_by_default(static: Path) -> None:
    async with served(static) as client:
        for path in ("/", "/embed", "/calls", "/calls/x"):
            answer = await client.get(path)
            assert answer.status_code == 200
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-frame-options"] == "DENY"
        assert (await client.get("/embed.js")).headers["cross-origin-resource-policy"] == "same-origin"


async def test_an_allowed_site_may_frame_the_page_made_for_it_and_no_other(static: Path) -> None:
    async with served(static, SHOP, "https://*.partner.example:8443") as client:
        framed = await client.get("/embed")
        assert framed.text == "// index.html"
        policy = framed.headers["content-security-policy"]
        assert f"frame-ancestors {SHOP} https://*.partner.example:8443" in policy
        assert "default-src 'self'" in policy
        assert "x-frame-options" not in framed.headers
        assert (await client.get("/embed.js")).headers["cross-origin-resource-policy"] == "cross-origin"
        for path in ("/", "/calls", "/calls/x", "/index.html", "/assets/index-abc.js"):
            answer = await client.get(path)
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "origin", ["*", "null", "https://a.example; script-src *", "https://a.example 'self'"]
)
async def test_what_is_no_site_does_not_come_into_the_policy(static: Path, origin: str) -> None:
    async with served(static, origin) as client:
        answer = await client.get("/embed")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"


async def test_what_names_its_content_may_be_kept_and_nothing_else(static: Path) -> None:
    async with served(static) as client:
        assert (await client.get("/assets/index-abc.js")).headers["cache-control"] == NEVER_CHANGES
        for path in ("/", "/sw.js", "/embed", "/embed.js", "/calls", "/manifest.webmanifest"):
            assert (await client.get(path)).headers["cache-control"] == ASK_FIRST


async def test_the_app_is_called_as_the_agent_is(static: Path) -> None:
    async with served(static) as client:
        answer = await client.get("/manifest.webmanifest")
    assert answer.headers["content-type"] == "application/manifest+json"
    manifest = answer.json()
    assert (manifest["name"], manifest["short_name"]) == ("Riverside Clinic", "Riverside")
    assert manifest["display"] == "standalone"
    assert {"192x192", "512x512"} <= {icon["sizes"] for icon in manifest["icons"]}
    assert manifest_of("")["name"] == "repartee"


async def test_without_a_build_there_are_no_pages(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        assert (await client.get("/")).status_code == 404
        assert (await client.get("/embed")).status_code == 404


async def test_the_build_is_sent_small_to_who_takes_it_so(static: Path) -> None:
    whole = "// the whole build\n" * 100
    (static / "assets" / "index-abc.js").write_text(whole)
    (static / "assets" / "index-abc.js.gz").write_bytes(gzip.compress(whole.encode()))
    async with served(static) as client:
        small = await client.get("/assets/index-abc.js", headers={"Accept-Encoding": "gzip, br"})
        plain = await client.get("/assets/index-abc.js", headers={"Accept-Encoding": "identity"})
        missing = await client.get("/assets/other.js", headers={"Accept-Encoding": "gzip"})
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < len(whole) / 10
    for answer in (small, plain):
        assert answer.text == whole
        assert "javascript" in answer.headers["content-type"]
        assert answer.headers["cache-control"] == NEVER_CHANGES
    assert small.headers["vary"] == "Accept-Encoding"
    assert missing.status_code == 404
