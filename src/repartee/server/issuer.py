"""Tokens (JWT) of the operator's own issuer: signature, audience and expiry are checked, the subject is the user.

Public keys come from a JWKS, a file or an address, kept for minutes and read anew when a key is not among them; or
one secret is shared. Which of the two it is decides the algorithm, never the token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import structlog

from repartee.bounded_json import loads
from repartee.errors import ConfigError
from repartee.machine import is_loopback
from repartee.session.callers import valid_id

log = structlog.get_logger()
PUBLIC_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
SHARED_ALGORITHM = "HS256"
SECRET_BYTES_MIN = 32
LEEWAY_S = 30.0
FRESH_S = 600.0
AGAIN_S = 30.0
"""A key that is not there is looked for again so often at most."""
FETCH_S = 3.0
MAX_TOKEN = 8 * 1024
MAX_JWKS_BYTES = 64 * 1024
MAX_JWKS_DEPTH = 8


class UntrustedError(Exception):
    """A token that is not believed; the text is safe for whoever sent it."""


class JwksError(Exception):
    """The keys could not be read."""


async def read_jwks(source: str) -> bytes:
    """Read a JWKS.

    Raises:
        JwksError: It is not there, too slow, or too large.
    """
    if not source.startswith(("https://", "http://")):
        try:
            return await asyncio.to_thread(_read_file, Path(source))
        except OSError as error:
            raise JwksError(error.strerror or "cannot be read") from error
    data = b""
    try:
        async with (
            asyncio.timeout(FETCH_S),
            httpx.AsyncClient(follow_redirects=False) as client,
            client.stream("GET", source) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise JwksError(f"status {response.status_code}")
            async for part in response.aiter_bytes():
                data += part
                if len(data) > MAX_JWKS_BYTES:
                    raise JwksError("too large")
    except (httpx.HTTPError, TimeoutError, OSError) as error:
        raise JwksError(type(error).__name__) from error
    return data


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_JWKS_BYTES + 1)


class Issuer:
    """Believes tokens of one issuer.

    Args:
        secret: Shared with it; or
        jwks: a file or an https address with its public keys.
        audience: What its tokens must be for.
        issuer: Who they must say they are from; None asks nothing of it.
        read: Reads a JWKS.
        clock_s: Monotonic.

    Raises:
        ConfigError: The settings do not go together.
    """

    def __init__(
        self,
        *,
        secret: str | None = None,
        jwks: str | None = None,
        audience: str | None = None,
        issuer: str | None = None,
        read: Callable[[str], Awaitable[bytes]] = read_jwks,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        _check(secret, jwks, audience)
        self._secret = secret
        self._jwks = jwks or ""
        self._audience = audience
        self._issuer = issuer
        self._read = read
        self._clock_s = clock_s
        self._keys: list[jwt.PyJWK] = []
        self._read_at_s = float("-inf")
        self._reading = asyncio.Lock()

    async def user(self, token: str) -> str:
        """Return whose token it is.

        Raises:
            UntrustedError: It is not believed.
        """
        try:
            key, algorithms = await self._key(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "sub", "aud"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise UntrustedError("the token has expired") from error
        except jwt.InvalidAudienceError as error:
            raise UntrustedError("the token is for another audience") from error
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            # The last three: what a claim of a wrong type or a deeply nested one makes of the library.
            raise UntrustedError("the token is not valid") from error
        user = claims["sub"]
        if not isinstance(user, str) or not valid_id(user):
            raise UntrustedError("the token's subject is not 1 to 128 letters, digits and . _ - @ + : = /")
        return user

    async def _key(self, token: str) -> tuple[Any, list[str]]:
        if len(token) > MAX_TOKEN:
            raise UntrustedError("the token is too long")
        if self._secret is not None:
            return self._secret, [SHARED_ALGORITHM]
        header = jwt.get_unverified_header(token)
        key = await self._public_key(header.get("kid"))
        return key, [key.algorithm_name]

    async def _public_key(self, kid: object) -> jwt.PyJWK:
        async with self._reading:
            since_s = self._clock_s() - self._read_at_s
            if since_s > FRESH_S or (self._find(kid) is None and since_s > AGAIN_S):
                await self._load()
        if (key := self._find(kid)) is None:
            raise UntrustedError("the token is signed with a key that is not known")
        return key

    def _find(self, kid: object) -> jwt.PyJWK | None:
        if kid is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == kid), None)

    async def _load(self) -> None:
        self._read_at_s = self._clock_s()
        try:
            data = await self._read(self._jwks)
            self._keys = _public_keys(data)
        except (JwksError, ValueError) as error:
            # The keys that were there go on being believed: an issuer that is down locks nobody out at once.
            log.warning("issuer.keys_not_read", why=str(error))


def _public_keys(data: bytes) -> list[jwt.PyJWK]:
    if len(data) > MAX_JWKS_BYTES:
        raise ValueError("too large")
    document = loads(data, MAX_JWKS_DEPTH)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no JWKS: it has no list of 'keys'")  # noqa: TRY004 - of a value, not of an argument
    keys = []
    for item in listed:
        # A secret has no place among public keys: with one, its reader could sign.
        if not isinstance(item, dict) or item.get("kty") == "oct" or item.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK.from_dict(item)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue  # of a kind this library does not know
        if key.algorithm_name in PUBLIC_ALGORITHMS:
            keys.append(key)
    return keys


def _check(secret: str | None, jwks: str | None, audience: str | None) -> None:
    if (secret is None) == (jwks is None):
        raise ConfigError("set one of REPARTEE_JWT_JWKS and REPARTEE_JWT_SECRET, not both")
    if audience is None:
        raise ConfigError("REPARTEE_JWT_AUDIENCE is missing: tokens of other services would open this one")
    if secret is not None and len(secret.encode()) < SECRET_BYTES_MIN:
        raise ConfigError(
            f"REPARTEE_JWT_SECRET is shorter than {SECRET_BYTES_MIN} bytes; it could be guessed"
        )
    if jwks is not None and jwks.startswith("http://"):
        host = jwks.removeprefix("http://").split("/", 1)[0].rsplit(":", 1)[0]
        if not is_loopback(host):
            raise ConfigError("REPARTEE_JWT_JWKS: keys are read from a file or over https")
    if jwks is not None and not jwks.startswith(("http://", "https://")) and not Path(jwks).is_file():
        raise ConfigError(f"REPARTEE_JWT_JWKS: there is no file '{jwks}'")
