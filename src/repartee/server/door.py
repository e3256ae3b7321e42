"""Who may come in: callers, who get a place in a room, operators, who see what was said in calls, and Prometheus.

Use it as FastAPI dependencies::

    door = Door(settings)
    app = FastAPI()
    door.install(app)                               # refusals become JSON, pages get their headers

    router = APIRouter(dependencies=[Depends(door.operator)])
    app.mount("/calls", ...)                        # what is mounted asks `await door.operator(request)` itself

*Callers*: everybody, until a key or an issuer is set; then who has the API token, an API key, an operator's key, or a
token of the issuer. *Operators*: who has an operator's key, or the API token where there are none of those. Where
nothing at all is set, and the server listens on loopback only, the person at the machine is the operator.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import structlog
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request

from repartee.machine import asked_from_here, is_loopback
from repartee.server.addresses import Proxies, RateLimit, household
from repartee.server.issuer import Issuer, UntrustedError
from repartee.server.keys import Keys
from repartee.settings import Settings

log = structlog.get_logger()
FAILURES_PER_MINUTE = 10
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who has come in.

    Attributes:
        name: For the log: the key's name, "api-token", "issuer", "anybody", or "here" for who sits at the machine.
        user: Who the issuer says it is; None where nobody says.
        may_name: They may say on whose behalf they ask: a key is held by the operator's own programs.
        operator: They may see calls.
    """

    name: str
    user: str | None = None
    may_name: bool = False
    operator: bool = False


class ClosedError(Exception):
    """Somebody who may not come in.

    Args:
        status: Of HTTP.
        code: For programs.
        message: For people; safe to show.
        retry_after_s: When to come again.
        challenge: What to authenticate with.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after_s: int | None = None,
        challenge: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.retry_after_s, self.challenge = retry_after_s, challenge


class Door:
    """Lets people in.

    Args:
        settings: Keys, issuer, origins, proxies, and where the server listens.
        issuer: Instead of the one in the settings.
        clock_s: Monotonic.

    Raises:
        ConfigError: The settings do not go together.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        issuer: Issuer | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.proxies = Proxies(settings.trusted_proxies)
        self._metrics_token = settings.metrics_token
        self._token = settings.api_token.get_secret_value().encode() if settings.api_token else None
        self._api_keys = Keys("REPARTEE_API_KEYS", settings.api_keys)
        self._operator_keys = Keys("REPARTEE_OPERATOR_KEYS", settings.operator_keys)
        self._issuer = issuer or _issuer(settings)
        self._host = settings.host
        self._listens_here = is_loopback(settings.host)
        self.origins = tuple(
            origin.strip().rstrip("/") for origin in settings.allowed_origins.split(",") if origin.strip()
        )
        self._clock_s = clock_s
        self._requests = RateLimit(settings.token_rate)
        self._users = RateLimit(settings.token_rate)
        self._failures = RateLimit(FAILURES_PER_MINUTE)

    @property
    def open_to_callers(self) -> bool:
        """Whether everybody may call."""
        return self._token is None and not self._api_keys and self._issuer is None

    # --- the two doors ----------------------------------------------------------------------------------------

    async def caller(self, request: Request) -> Visitor:
        """Let a caller in; a FastAPI dependency.

        Raises:
            ClosedError: 403 from a page of another site, 401 without a key, 429 too often.
        """
        self._same_site(request)
        who = household(self.proxies.client(request))
        self._within(self._requests, who, "too many calls from this address")
        visitor = await self._known(request, who)
        if visitor is None and self.open_to_callers:
            return Visitor("anybody")
        if visitor is None:
            raise self._refused(request, who, "this server needs 'Authorization: Bearer' with its API token")
        if visitor.user is not None:
            self.per_user(visitor.user)
        return visitor

    async def operator(self, request: Request) -> Visitor:
        """Let an operator in; a FastAPI dependency for everything that shows or changes what was said.

        A browser asks for the key by itself (HTTP Basic: any name, the key as password).

        Raises:
            ClosedError: 401 without an operator's key, 403 for callers' keys, from pages of other sites, and where
                no key is set; 429 after too many wrong keys.
        """
        if request.method not in SAFE_METHODS:
            self._same_site(request)
        who = household(self.proxies.client(request))
        visitor = await self._known(request, who)
        if visitor is not None and visitor.operator:
            return visitor
        if visitor is not None:
            raise ClosedError(403, "forbidden", "this key is for calling; calls are shown to operators' keys")
        if self._operator_keys or self._token is not None:
            raise self._refused(
                request, who, "calls are shown to who has an operator's key or the API token", basic=True
            )
        if self.open_to_callers and self._at_the_machine(request):
            return Visitor("here", may_name=True, operator=True)
        raise ClosedError(
            403,
            "closed",
            "calls are shown on this machine only, until a key is set: `repartee key NAME` makes one for "
            "REPARTEE_OPERATOR_KEYS",
        )

    async def metrics(self, request: Request) -> Visitor:
        """Let in who has the token for metrics, or may see calls; without such a token also this machine.

        Raises:
            ClosedError: As for operators.
        """
        token, given = self._metrics_token, _credential(request)
        if token is None:
            if given is None and self._at_the_machine(request):
                return Visitor("here")
        elif given is not None:
            who = household(self.proxies.client(request))
            if wait_s := self._failures.wait_s(who, self._clock_s(), take=False):
                raise _too_often("too many wrong keys from this address", wait_s)
            if secrets.compare_digest(given.encode(), token.get_secret_value().encode()):
                return Visitor("metrics")
        return await self.operator(request)

    def per_user(self, user: str) -> None:
        """Take one request of a user's share.

        Raises:
            ClosedError: 429, too often.
        """
        self._within(self._users, user, "too many calls of this user")

    def install(self, app: FastAPI) -> None:
        """Have an application answer refusals in JSON; say so where anybody may call."""
        if not self._listens_here and self.open_to_callers:
            log.warning(
                "door.open",
                host=self._host,
                hint="anybody who reaches this server may call; set REPARTEE_API_KEYS or REPARTEE_JWT_JWKS",
            )

        @app.exception_handler(ClosedError)
        async def closed(_: Request, error: ClosedError) -> JSONResponse:
            return refusal(error.status, error.code, error.message, error.retry_after_s, error.challenge)

    # --- how ----------------------------------------------------------------------------------------------------

    async def _known(self, request: Request, who: str) -> Visitor | None:
        """Return who it is by what they have brought; None where it says nothing to us, as a proxy's own password."""
        given = _credential(request)
        if given is None:
            return None
        # Before looking: who tries keys gets no more tries, right or wrong.
        if wait_s := self._failures.wait_s(who, self._clock_s(), take=False):
            raise _too_often("too many wrong keys from this address", wait_s)
        if (name := self._operator_keys.name_of(given)) is not None:
            return Visitor(name, may_name=True, operator=True)
        if (name := self._api_keys.name_of(given)) is not None:
            return Visitor(name, may_name=True)
        if self._token is not None and secrets.compare_digest(given.encode(), self._token):
            return Visitor("api-token", may_name=True, operator=not self._operator_keys)
        if self._issuer is not None and given.count(".") == 2:
            try:
                return Visitor("issuer", user=await self._issuer.user(given))
            except UntrustedError as error:
                raise self._refused(request, who, str(error)) from error
        return None

    def _refused(self, request: Request, who: str, message: str, *, basic: bool = False) -> ClosedError:
        if _credential(request) is not None:
            self._failures.wait_s(who, self._clock_s())
            log.warning("door.wrong_key", path=request.url.path)
        challenge = 'Basic realm="repartee", charset="UTF-8"' if basic else "Bearer"
        return ClosedError(401, "unauthorized", message, challenge=challenge)

    def _same_site(self, request: Request) -> None:
        """A page of another site must not open calls on this one's account."""
        origin = request.headers.get("origin")
        if origin is None or origin.rstrip("/") in self.origins:
            return
        if _split(origin).netloc != request.headers.get("host"):
            # The origin is not repeated: it is what the other side wrote.
            raise ClosedError(
                403,
                "origin",
                "calls from pages of that site are not allowed; add it to REPARTEE_ALLOWED_ORIGINS",
            )

    def _at_the_machine(self, request: Request) -> bool:
        """Say whether it is somebody at this machine, and the server is for nobody else."""
        peer = request.client.host if request.client else ""
        return self._listens_here and asked_from_here(peer, request.headers.get("host", ""), request.headers)

    def _within(self, limit: RateLimit, who: str, message: str) -> None:
        if wait_s := limit.wait_s(who, self._clock_s()):
            raise _too_often(message, wait_s)


def refusal(
    status: int,
    code: str,
    message: str,
    retry_after_s: int | None = None,
    challenge: str | None = None,
    **more: str,
) -> JSONResponse:
    """Return an error as every endpoint tells it: `error`, `message`, `retry_after` in seconds where it helps, and
    what more there is to tell.
    """
    headers = {"Cache-Control": "no-store"}
    body: dict[str, Any] = {"error": code, "message": message, **more}
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
        body["retry_after"] = retry_after_s
    if challenge is not None:
        headers["WWW-Authenticate"] = challenge
    return JSONResponse(body, status_code=status, headers=headers)


def _too_often(message: str, wait_s: float) -> ClosedError:
    return ClosedError(429, "rate_limited", message, retry_after_s=int(wait_s) + 1)


def _split(url: str) -> SplitResult:
    """Return the parts of a URL, none of one that is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _credential(request: Request) -> str | None:
    """Return the key or token of a request; a password counts as a key, whatever the name before it."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    given = given.strip()
    if scheme.lower() == "bearer":
        return given or None
    if scheme.lower() == "basic":
        try:
            _, _, key = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        return key or None
    return None


def _issuer(settings: Settings) -> Issuer | None:
    if settings.jwt_secret is None and settings.jwt_jwks is None:
        return None
    return Issuer(
        secret=settings.jwt_secret.get_secret_value() if settings.jwt_secret else None,
        jwks=settings.jwt_jwks,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
    )
