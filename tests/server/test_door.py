"""The doors: who may call, who may see calls, how often, and from where."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fastapi import APIRouter, Depends, FastAPI
from pydantic import SecretStr
from starlette.requests import Request

from repartee.errors import ConfigError
from repartee.server.addresses import Proxies, RateLimit, household
from repartee.server.app import Site, create_app
from repartee.server.door import FAILURES_PER_MINUTE, Door
from repartee.server.issuer import Issuer, JwksError, UntrustedError, read_jwks
from repartee.server.keys import Keys, digest_of, new_key
from repartee.session.callers import CALLER_ID
from repartee.settings import Settings
from tests.server.livekit import LiveKit
from tests.server.test_token import SECRET, claims

SHARED = "a secret of thirty-two bytes or more"
AUDIENCE = "repartee"


def settings_with(plain: Settings, **update: Any) -> Settings:
    return plain.model_copy(update=update)


def site(url: str) -> Site:
    return Site(url, "wss://rtc.example", "key", SECRET, "Desk", {"stt": "a", "llm": "b", "tts": "c"})


def client_of(app: FastAPI, *, base: str = "http://here", peer: str = "127.0.0.1") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(peer, 1)), base_url=base)


def client_for(settings: Settings, livekit: LiveKit, **how: Any) -> httpx.AsyncClient:
    return client_of(create_app(settings, site(livekit.url)), **how)


def bearer(given: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {given}"}


def basic(given: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'me:{given}'.encode()).decode()}"}


def token_of(
    user: Any = "ann", key: Any = SHARED, algorithm: str = "HS256", kid: str | None = None, **claims: Any
) -> str:
    now = int(time.time())
    payload = {"sub": user, "aud": AUDIENCE, "iat": now, "exp": now + 3600, **claims}
    payload = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid} if kid is not None else None)


def signed_by_hand(secret: bytes, kid: str) -> str:
    """A token that libraries refuse to make: signed with HS256 whatever the secret looks like."""
    parts = ({"alg": "HS256", "kid": kid}, {"sub": "ann", "aud": AUDIENCE, "exp": int(time.time()) + 3600})
    signed = ".".join(urlsafe(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{urlsafe(hmac.digest(secret, signed.encode(), 'sha256'))}"


def urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TestKeys:
    def test_a_key_is_known_by_its_digest_only(self) -> None:
        key = new_key()
        keys = Keys("X", f"shop={digest_of(key)}, crm={digest_of('other')}")
        assert (keys.name_of(key), keys.name_of("other"), keys.name_of(digest_of(key))) == (
            "shop",
            "crm",
            None,
        )
        assert key not in repr(vars(keys))
        assert len({new_key() for _ in range(100)}) == 100

    @pytest.mark.parametrize("listed", ["rpt_secret", "shop=rpt_secret", "=" + "0" * 64, "a b=" + "0" * 64])
    def test_a_key_in_the_place_of_its_digest_is_refused_and_not_repeated(self, listed: str) -> None:
        with pytest.raises(ConfigError, match="entry 1 is not NAME=SHA256") as refused:
            Keys("REPARTEE_API_KEYS", listed)
        assert "rpt_secret" not in str(refused.value)

    async def test_api_keys_open_the_endpoint_and_name_callers(
        self, plain_settings: Settings, livekit: LiveKit
    ) -> None:
        key, operator = new_key(), new_key()
        locked = settings_with(
            plain_settings, api_keys=f"shop={digest_of(key)}", operator_keys=f"me={digest_of(operator)}"
        )
        async with client_for(locked, livekit) as client:
            none = await client.post("/api/token")
            wrong = await client.post("/api/token", headers=bearer(new_key()))
            right = await client.post("/api/token", headers=bearer(key), json={"caller_id": "ann"})
            theirs = await client.post("/api/token", headers=bearer(operator))
        assert [answer.status_code for answer in (none, wrong, right, theirs)] == [401, 401, 200, 200]
        assert none.headers["www-authenticate"] == "Bearer"
        assert none.headers["cache-control"] == "no-store"
        assert claims(right.json()["participant_token"])["attributes"] == {CALLER_ID: "ann"}

    async def test_wrong_keys_are_few(self, plain_settings: Settings, livekit: LiveKit) -> None:
        locked = settings_with(plain_settings, api_token=SecretStr("open sesame"), token_rate=1000)
        async with client_for(locked, livekit) as client:
            answers = [
                await client.post("/api/token", headers=bearer(f"guess {n}"))
                for n in range(FAILURES_PER_MINUTE + 1)
            ]
            right = await client.post("/api/token", headers=bearer("open sesame"))
        assert [answer.status_code for answer in answers] == [401] * FAILURES_PER_MINUTE + [429]
        assert right.status_code == 429, "who tries keys learns nothing for a while"


class TestIssuer:
    async def test_a_token_s_subject_is_the_user(self, plain_settings: Settings, livekit: LiveKit) -> None:
        locked = settings_with(plain_settings, jwt_secret=SecretStr(SHARED), jwt_audience=AUDIENCE)
        async with client_for(locked, livekit) as client:
            none = await client.post("/api/token")
            right = await client.post("/api/token", headers=bearer(token_of("ann")))
            other = await client.post(
                "/api/token", headers=bearer(token_of("ann")), json={"caller_id": "bob"}
            )
        assert (none.status_code, right.status_code, other.status_code) == (401, 200, 403)
        granted = claims(right.json()["participant_token"])
        assert granted["attributes"] == {CALLER_ID: "ann"}
        assert not granted["video"].get("canUpdateOwnMetadata")
        assert "ann" not in right.json()["room_name"], "a list of rooms tells nobody who calls"

    @pytest.mark.parametrize(
        "given",
        [
            token_of(exp=int(time.time()) - 60),
            token_of(exp=None),
            token_of(aud="other"),
            token_of(aud=None),
            token_of(user=None),
            token_of(user="a b"),
            token_of(user="x" * 129),
            token_of(iss="other"),
            token_of(nbf=int(time.time()) + 600),
            token_of(key="another secret of thirty-two bytes or more"),
            token_of(key="", algorithm="none"),
            token_of()[:-3] + "abc",
            token_of() + "." + "a",
            "a.b.c",
            "..",
            "\x00.\x00.\x00",
            "." * 8000,
        ],
    )
    async def test_what_is_not_right_is_not_believed(self, given: str) -> None:
        issuer = Issuer(secret=SHARED, audience=AUDIENCE, issuer="us")
        with pytest.raises(UntrustedError):
            await issuer.user(given)
        assert await issuer.user(token_of(iss="us")) == "ann"

    async def test_public_keys_of_every_kind(self, tmp_path: Path) -> None:
        made = {
            "RS256": rsa.generate_private_key(65537, 2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
        file = tmp_path / "jwks.json"
        file.write_text(json.dumps({"keys": [public(key, name) for name, key in made.items()]}))
        issuer = Issuer(jwks=str(file), audience=AUDIENCE)
        for name, key in made.items():
            assert await issuer.user(token_of("ann", key, name, kid=name)) == "ann"
        with pytest.raises(UntrustedError, match="not known"):
            await issuer.user(token_of("ann", made["ES256"], "ES256", kid="unheard of"))
        with pytest.raises(UntrustedError, match="not known"):
            await issuer.user(token_of("ann", made["ES256"], "ES256"))  # three keys, and none is named

    async def test_a_public_key_is_no_secret_to_sign_with(self, tmp_path: Path) -> None:
        """Whoever knows the public key could make tokens if its bytes were taken for a shared secret."""
        key = ec.generate_private_key(ec.SECP256R1())
        listed = [public(key, "ES256"), {"kty": "oct", "k": "c2VjcmV0", "kid": "oct", "alg": "HS256"}]
        file = tmp_path / "jwks.json"
        file.write_text(json.dumps({"keys": listed}))
        issuer = Issuer(jwks=str(file), audience=AUDIENCE)
        forged = [
            signed_by_hand(json.dumps(listed[0]).encode(), "ES256"),
            signed_by_hand(b"secret", "oct"),
        ]
        for given in forged:
            with pytest.raises(UntrustedError):
                await issuer.user(given)

    async def test_keys_are_read_seldom_and_go_on_being_believed(self) -> None:
        now, reads = [0.0], list[str]()
        key = ec.generate_private_key(ec.SECP256R1())
        answers: list[Any] = [{"keys": [public(key, "one")]}]

        async def read(source: str) -> bytes:
            reads.append(source)
            if isinstance(answers[-1], Exception):
                raise answers[-1]
            return json.dumps(answers[-1]).encode()

        issuer = Issuer(
            jwks="https://issuer.example/jwks", audience=AUDIENCE, read=read, clock_s=lambda: now[0]
        )
        known = token_of("ann", key, "ES256", kid="one")
        assert [await issuer.user(known) for _ in range(10)] == ["ann"] * 10
        assert len(reads) == 1
        for _ in range(10):
            with pytest.raises(UntrustedError):
                await issuer.user(token_of("ann", key, "ES256", kid="two"))
        assert len(reads) == 1, "unknown keys make nobody fetch"
        now[0] += 31
        answers.append({"keys": [public(key, "one"), public(key, "two")]})
        assert await issuer.user(token_of("ann", key, "ES256", kid="two")) == "ann", "keys were rotated"
        now[0] += 1000
        answers.append(JwksError("down"))
        assert await issuer.user(known) == "ann"
        assert len(reads) == 3

    @pytest.mark.parametrize(
        "document", [b"", b"[]", b"{", b'{"keys": 1}', b'{"keys": [1, {}]}', b"[" * 1000, b" " * 70_000]
    )
    async def test_what_is_no_jwks_opens_nothing(self, document: bytes) -> None:
        async def read(_: str) -> bytes:
            return document

        issuer = Issuer(jwks="https://issuer.example/jwks", audience=AUDIENCE, read=read)
        with pytest.raises(UntrustedError):
            await issuer.user(token_of("ann", ec.generate_private_key(ec.SECP256R1()), "ES256"))

    async def test_a_file_that_is_gone_and_an_address_that_is_down_are_said(self, tmp_path: Path) -> None:
        for source in (str(tmp_path / "no.json"), "http://127.0.0.1:9/jwks"):
            with pytest.raises(JwksError):
                await read_jwks(source)

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"secret": SHARED}, "REPARTEE_JWT_AUDIENCE"),
            ({"secret": "short", "audience": "a"}, "shorter"),
            ({"secret": SHARED, "jwks": "https://x", "audience": "a"}, "not both"),
            ({"jwks": "http://issuer.example/jwks", "audience": "a"}, "over https"),
            ({"jwks": "no-such-file.json", "audience": "a"}, "no file"),
        ],
    )
    def test_settings_that_do_not_go_together(self, wrong: dict[str, str], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            Issuer(**wrong)  # type: ignore[arg-type]


def public(key: Any, kid: str) -> dict[str, Any]:
    algorithm: Any = jwt.algorithms.OKPAlgorithm
    if isinstance(key, rsa.RSAPrivateKey):
        algorithm = jwt.algorithms.RSAAlgorithm
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = jwt.algorithms.ECAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


class TestOneCallEach:
    @pytest.fixture
    def locked(self, plain_settings: Settings) -> Settings:
        return settings_with(plain_settings, jwt_secret=SecretStr(SHARED), jwt_audience=AUDIENCE)

    async def test_who_is_in_a_call_cannot_begin_another(self, locked: Settings, livekit: LiveKit) -> None:
        async with client_for(locked, livekit) as client:
            first = await client.post("/api/token", headers=bearer(token_of("ann")))
            livekit.enters(first.json()["room_name"])
            second = await client.post("/api/token", headers=bearer(token_of("ann")))
            other = await client.post("/api/token", headers=bearer(token_of("bob")))
            livekit.inside.pop(first.json()["room_name"])
            third = await client.post("/api/token", headers=bearer(token_of("ann")))
        assert [answer.status_code for answer in (first, second, other, third)] == [200, 409, 200, 200]
        assert second.json()["error"] == "call_live"
        assert livekit.deleted == []

    async def test_a_place_nobody_took_makes_way(self, locked: Settings, livekit: LiveKit) -> None:
        async with client_for(locked, livekit) as client:
            first = (await client.post("/api/token", headers=bearer(token_of("ann")))).json()["room_name"]
            second = await client.post("/api/token", headers=bearer(token_of("ann")))
        assert second.status_code == 200
        assert livekit.deleted == [first], "or its agent would wait, and could be talked to"

    async def test_many_at_once_leave_one(self, locked: Settings, livekit: LiveKit) -> None:
        async with client_for(locked, livekit) as client:
            given = bearer(token_of("ann"))
            await asyncio.gather(*(client.post("/api/token", headers=given) for _ in range(8)))
        assert len(livekit.inside) == 1

    async def test_more_where_the_operator_says_so(self, locked: Settings, livekit: LiveKit) -> None:
        two = settings_with(locked, calls_per_user=2)
        async with client_for(two, livekit) as client:
            answers = []
            for _ in range(3):
                answers.append(await client.post("/api/token", headers=bearer(token_of("ann"))))
                if answers[-1].status_code == 200:
                    livekit.enters(answers[-1].json()["room_name"])
        assert [answer.status_code for answer in answers] == [200, 200, 409]

    async def test_a_user_is_slowed_whatever_the_address(self, locked: Settings, livekit: LiveKit) -> None:
        app = create_app(settings_with(locked, token_rate=5, calls_per_user=0), site(livekit.url))
        codes = []
        for n in range(7):
            async with client_of(app, peer=f"192.0.2.{n}") as client:
                answer = await client.post("/api/token", headers=bearer(token_of("ann")))
                codes.append(answer.status_code)
        assert codes == [200] * 5 + [429] * 2
        assert int(answer.headers["retry-after"]) >= 1


class TestAddresses:
    def request(self, peer: str, forwarded: str | None = None, **more: str) -> Request:
        headers = {"x-forwarded-for": forwarded, **more} if forwarded is not None else more
        listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return Request(
            {"type": "http", "client": (peer, 1), "headers": listed, "scheme": "http", "path": "/",
             "server": ("here", 80), "query_string": b"", "method": "GET"}
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("trusted", "peer", "forwarded", "client"),
        [
            ("", "198.51.100.7", None, "198.51.100.7"),
            ("", "198.51.100.7", "203.0.113.9", "198.51.100.7"),
            ("127.0.0.1", "127.0.0.1", "203.0.113.9", "203.0.113.9"),
            ("127.0.0.1", "127.0.0.1", "203.0.113.1, 203.0.113.9", "203.0.113.9"),
            ("127.0.0.1,10.0.0.0/8", "127.0.0.1", "203.0.113.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
            ("127.0.0.1", "::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"),
            ("127.0.0.1", "127.0.0.1", "unknown", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.1", "", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.1", "1.2.3.4, evil", "127.0.0.1"),
            ("::/0,0.0.0.0/0", "127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ],
    )
    def test_only_named_proxies_are_believed(
        self, trusted: str, peer: str, forwarded: str | None, client: str
    ) -> None:
        assert Proxies(trusted).client(self.request(peer, forwarded)) == client

    def test_a_proxy_that_is_none_is_said(self) -> None:
        with pytest.raises(ConfigError, match=r"'proxy.example' is no address"):
            Proxies("127.0.0.1, proxy.example")

    def test_tls_is_what_a_believed_proxy_says(self) -> None:
        told = self.request("127.0.0.1", "203.0.113.9", x_forwarded_proto="https")
        assert Proxies("127.0.0.1").secure(told)
        assert not Proxies("").secure(told)

    async def test_who_invents_addresses_is_slowed_all_the_same(
        self, plain_settings: Settings, livekit: LiveKit
    ) -> None:
        async with client_for(settings_with(plain_settings, token_rate=3), livekit) as client:
            answers = [
                await client.post("/api/token", headers={"X-Forwarded-For": f"203.0.113.{n}"})
                for n in range(4)
            ]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]

    def test_a_house_has_one_bucket(self) -> None:
        assert household("2001:db8::1") == household("2001:db8::ffff:1") != household("2001:db8:0:1::1")
        assert household("192.0.2.1") != household("192.0.2.2")

    def test_buckets_are_bounded_and_looking_takes_nothing(self) -> None:
        limit = RateLimit(1)
        assert [limit.wait_s("a", 0, take=False) for _ in range(5)] == [0] * 5
        assert limit.wait_s("a", 0) == 0
        assert limit.wait_s("a", 30) == pytest.approx(30)
        assert limit.wait_s("a", 60) == 0
        for n in range(20_000):
            limit.wait_s(str(n), 0)
        assert len(limit._buckets) == 10_000


class TestOperators:
    def app(self, settings: Settings) -> FastAPI:
        door = Door(settings)
        router = APIRouter(dependencies=[Depends(door.operator)])

        @router.get("/api/calls")
        async def calls() -> list[str]:
            return ["what was said"]

        @router.delete("/api/calls")
        async def erase() -> str:
            return "gone"

        app = FastAPI()
        door.install(app)
        app.include_router(router)
        return app

    async def status(
        self, settings: Settings, *, method: str = "GET", headers: Any = None, **how: Any
    ) -> httpx.Response:
        async with client_of(self.app(settings), **how) as client:
            return await client.request(method, "/api/calls", headers=headers)

    async def test_the_person_at_the_machine_needs_no_key(self, plain_settings: Settings) -> None:
        for base in ("http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"):
            assert (await self.status(plain_settings, base=base)).json() == ["what was said"]

    @pytest.mark.parametrize(
        ("base", "peer", "headers"),
        [
            ("http://evil.example", "127.0.0.1", {}),  # a name that has come to point here
            ("http://localhost.evil.example", "127.0.0.1", {}),
            ("http://localhost", "192.0.2.7", {}),
            ("http://localhost", "127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}),
            ("http://localhost", "127.0.0.1", {"Forwarded": "for=192.0.2.7"}),
            ("http://localhost", "127.0.0.1", {"Via": "1.1 proxy"}),
        ],
    )
    async def test_nobody_else_comes_in_without_one(
        self, plain_settings: Settings, base: str, peer: str, headers: dict[str, str]
    ) -> None:
        answer = await self.status(plain_settings, base=base, peer=peer, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (403, "closed")
        assert "repartee key" in answer.json()["message"]

    @pytest.mark.parametrize(
        "update",
        [
            {"host": "0.0.0.0"},
            {"api_keys": f"shop={'0' * 64}"},
            {"jwt_secret": SecretStr(SHARED), "jwt_audience": AUDIENCE},
        ],
    )
    async def test_pages_are_closed_where_anything_is_set(
        self, plain_settings: Settings, update: dict[str, Any]
    ) -> None:
        answer = await self.status(settings_with(plain_settings, **update), base="http://localhost")
        assert answer.status_code == 403

    async def test_an_operator_s_key_opens_them(self, plain_settings: Settings) -> None:
        key, calling = new_key(), new_key()
        locked = settings_with(
            plain_settings, operator_keys=f"me={digest_of(key)}", api_keys=f"shop={digest_of(calling)}"
        )
        none = await self.status(locked, base="http://localhost")
        assert none.status_code == 401
        assert none.headers["www-authenticate"].startswith("Basic realm"), "a browser asks for the key"
        assert (await self.status(locked, headers=bearer(key))).status_code == 200
        assert (await self.status(locked, headers=basic(key))).status_code == 200
        assert (await self.status(locked, headers=bearer(new_key()))).status_code == 401
        assert (await self.status(locked, headers=bearer(calling))).status_code == 403
        assert (await self.status(locked, headers={"Authorization": "Basic !!"})).status_code == 401

    async def test_the_api_token_opens_them_until_there_are_operators_keys(
        self, plain_settings: Settings
    ) -> None:
        one = settings_with(plain_settings, api_token=SecretStr("open sesame"))
        assert (await self.status(one, base="http://localhost")).status_code == 401
        assert (await self.status(one, headers=bearer("open sesame"))).status_code == 200
        both = settings_with(one, operator_keys=f"me={digest_of(new_key())}")
        assert (await self.status(both, headers=bearer("open sesame"))).status_code == 403

    async def test_another_site_s_page_changes_nothing(self, plain_settings: Settings) -> None:
        """A browser sends the key along with whatever page asks for it."""
        key = new_key()
        locked = settings_with(plain_settings, operator_keys=f"me={digest_of(key)}")
        evil = await self.status(
            locked, method="DELETE", headers={**basic(key), "Origin": "https://evil.example"}
        )
        own = await self.status(locked, method="DELETE", headers={**basic(key), "Origin": "http://here"})
        assert (evil.status_code, own.status_code) == (403, 200)


async def test_every_answer_has_its_headers(plain_settings: Settings, livekit: LiveKit) -> None:
    proxied = settings_with(plain_settings, trusted_proxies="127.0.0.1")
    async with client_for(proxied, livekit) as client:
        plain = await client.get("/healthz")
        refused = await client.post("/api/token", content=b"{", headers={"Content-Type": "application/json"})
        missing = await client.get("/api/no-such")
        over_tls = await client.get("/healthz", headers={"X-Forwarded-Proto": "https"})
    for answer in (plain, refused, missing):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "wss://rtc.example" in policy
        assert "https://rtc.example" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "strict-transport-security" not in answer.headers
    assert over_tls.headers["strict-transport-security"]
