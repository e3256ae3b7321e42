"""The HTTP server: its endpoints, keys, tokens and addresses."""

from __future__ import annotations

import base64
import contextlib
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import httpx
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.requests import Request

from repartee.errors import ConfigError
from repartee.server.addresses import Proxies, household
from repartee.server.app import Site, create_app
from repartee.server.devices import PREFIX, DeviceKeys, add_key, revoke_key
from repartee.server.door import ClosedError, Door
from repartee.server.issuer import Issuer, UntrustedError, _public_keys
from repartee.server.keys import Keys
from repartee.server.places import Place
from repartee.server.rooms import Rooms
from repartee.settings import Settings
from tests.fuzz.made import as_json, changed, filled, lines, text, values, words
from tests.fuzz.target import LOOP, Target

SECRET = "s" * 40
TODAY = date(2026, 11, 27)
ASKED = {
    "room_name": "x",
    "participant_name": "Ann",
    "participant_identity": "i",
    "participant_metadata": "{}",
    "participant_attributes": {"a": "b"},
    "room_config": {"agents": [{"agent_name": "repartee", "metadata": "{}"}], "max_participants": 2},
    "caller_id": "ann",
}
SITE = Site("ws://127.0.0.1:9", "wss://rtc.example", "key", SECRET, "Desk", {"stt": "a"})
ANSWER = {"server_url", "participant_token", "room_name", "participant_name"}


class _Place(Rooms):
    """Rooms without a media server."""

    async def place(self, name: str, user: str | None, caller_id: str | None) -> dict[str, str]:
        assert name
        assert len(name) <= 64
        return self._answer(Place("call-x", "caller-x", name, {"id": caller_id} if caller_id else {}))


def app_for(**update: Any) -> Any:
    """The application, whose media server always has a place."""
    plain = Settings(_env_file=None)  # type: ignore[call-arg]
    settings = plain.model_copy(
        update={
            "token_rate": 1_000_000,
            "state_dir": Path(tempfile.gettempdir()),
            "api_token": None,
            **update,
        }
    )
    return create_app(settings, SITE, rooms=_Place(SITE, settings.agent_name, 1))


OPEN, LOCKED = app_for(), app_for(api_token=SecretStr("open sesame"))
CLIENTS = [
    httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") for app in (OPEN, LOCKED)
]


def token(case: tuple[int, str, str, bytes, str, dict[str, str]]) -> None:
    which, method, path, body, kind, headers = case

    async def ask() -> httpx.Response:
        named = {"Content-Type": kind, **headers}
        given = [(name.encode(), value.encode("latin-1", "replace")) for name, value in named.items()]
        sent = body if method == "POST" else None
        return await CLIENTS[which].request(method, path, content=sent, headers=given)

    response = LOOP.run(ask())
    assert response.status_code < 500, response.status_code
    assert response.headers["x-content-type-options"] == "nosniff"
    if path == "/api/token" and response.status_code == 200 and method != "HEAD":
        assert response.json().keys() >= ANSWER
    if response.status_code >= 400 and path.startswith("/api/token") and method in ("GET", "POST"):
        assert {"error", "message"} <= response.json().keys()


async def _nothing(_: str) -> bytes:
    return b'{"keys": []}'


ISSUERS = (
    Issuer(secret=SECRET, audience="repartee"),
    Issuer(jwks="https://x.example/jwks", audience="repartee", read=_nothing),
)


def believed(case: tuple[int, str]) -> None:
    with contextlib.suppress(UntrustedError):
        LOOP.run(ISSUERS[case[0]].user(case[1]))
        raise AssertionError("a made up token was believed")


def jwks(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        _public_keys(data)


def address(case: tuple[str, str, list[str]]) -> None:
    trusted, peer, forwarded = case
    try:
        proxies = Proxies(trusted)
    except ConfigError:
        return
    headers = [(b"x-forwarded-for", value.encode("latin-1", "replace")) for value in forwarded]
    client = (peer, 1) if peer else None
    request = Request(
        {
            "type": "http",
            "client": client,
            "headers": headers,
            "scheme": "http",
            "server": ("h", 80),
            "path": "/",
        }
    )
    household(proxies.client(request))
    proxies.secure(request)


DOORS = [
    Door(Settings(_env_file=None).model_copy(update=update))  # type: ignore[call-arg]
    for update in ({}, {"api_token": SecretStr("open sesame")}, {"operator_keys": f"me={'0' * 64}"})
]


def door(case: tuple[int, str, list[tuple[str, str]]]) -> None:
    which, method, given = case
    headers = [
        (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in given
    ]
    request = Request(
        {"type": "http", "method": method, "client": ("192.0.2.1", 1), "headers": headers, "scheme": "http",
         "server": ("here", 80), "path": "/", "query_string": b""}
    )  # fmt: skip
    with contextlib.suppress(ClosedError):
        LOOP.run(DOORS[which].operator(request))
        raise AssertionError("somebody came in")


def keys(listed: str) -> None:
    with contextlib.suppress(ConfigError):
        Keys("X", listed)


def device_keys(case: tuple[str, str]) -> None:
    written, given = case
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "devices"
        key, _ = add_key(file, "kitchen", 1, TODAY)
        known = DeviceKeys(file, lambda: TODAY)
        assert known.name_of(key) == "kitchen"
        file.write_bytes(written.encode(errors="surrogatepass"))
        assert known.name_of(key) is None, "its digest is not in what was made up"
        # As a header is read: each byte a character.
        assert known.name_of(PREFIX + given.encode("latin-1", "replace").decode("latin-1")) is None
        with contextlib.suppress(ConfigError):
            revoke_key(file, given)


NAMES = (
    "Origin",
    "Host",
    "Authorization",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "Content-Length",
    "Cookie",
    "X",
)
header = st.one_of(
    st.sampled_from(
        ("Bearer x", "Basic Og==", "Basic !", "http://[", "null", "-1", "9" * 30, "127.0.0.1", "localhost")
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40).map(
        str.strip
    ),
)


def urlsafe(made: str) -> str:
    return base64.urlsafe_b64encode(made.encode("utf-8", "surrogatepass")).decode().rstrip("=")


part = st.one_of(st.text(max_size=30), values.map(as_json)).map(urlsafe)
heads = filled({"alg": "HS256", "typ": "JWT", "kid": "a"}).map(as_json).map(urlsafe)
tokens = st.one_of(
    st.lists(part, min_size=0, max_size=4).map(".".join),
    st.tuples(heads, part, part).map(".".join),
    text,
)
JWKS = {
    "keys": [
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "a", "alg": "RS256"},
        {"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AQAB"},
    ]
}
TARGETS = [
    Target(
        "token endpoint",
        st.tuples(
            st.sampled_from((0, 0, 0, 1)),
            st.sampled_from(("POST", "POST", "POST", "GET", "PUT", "OPTIONS", "HEAD")),
            st.one_of(
                st.sampled_from(
                    ("/api/token", "/api/token", "/api/connection-details", "/api/config", "/healthz")
                ),
                st.text("abc/.%?=&0", max_size=20).map("/api/token?participant_name=".__add__),
            ),
            lines(ASKED),
            st.sampled_from(
                ("application/json", "application/json", "application/json; charset=x", "text/plain", "")
            ),
            st.dictionaries(st.sampled_from(NAMES[:5] + NAMES[6:]), header, max_size=3),
        ),
        token,
        20,
        vary=False,
    ),
    Target("tokens of an issuer", st.tuples(st.sampled_from((0, 1)), tokens), believed, 40),
    Target("keys of an issuer", lines(JWKS), jwks, 30),
    Target(
        "addresses and proxies",
        st.tuples(
            st.one_of(st.sampled_from(("", "127.0.0.1", "::/0,0.0.0.0/0", "10.0.0.0/8")), text),
            st.one_of(st.sampled_from(("127.0.0.1", "::1", "unknown", "", "fe80::1%eth0")), text),
            st.lists(
                st.one_of(words, st.sampled_from(("1.2.3.4", "[::1]:80", "::ffff:1.2.3.4", "unknown", ",,,")))
            ),
        ),
        address,
        60,
    ),
    Target(
        "the operators' door",
        st.tuples(
            st.sampled_from((0, 1, 2)),
            st.sampled_from(("GET", "POST")),
            st.lists(st.tuples(st.sampled_from(NAMES), header)),
        ),
        door,
        40,
    ),
    Target("entries of keys", st.one_of(text, changed([f"shop={'0' * 64},x={'a' * 64}"])), keys, 40),
    Target(
        "keys of devices",
        st.tuples(st.one_of(text, changed([f"kitchen {'0' * 64} 2030-01-01\n"])), text),
        device_keys,
        40,
    ),
]
