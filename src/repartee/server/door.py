"""Who may see calls: the one place where it is decided."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable

from fastapi import HTTPException, Request

from repartee.settings import Settings

_LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


def door(settings: Settings) -> Callable[[Request], None]:
    """Return what each request to see calls must pass: it raises `HTTPException` for those that may not.

    Whoever has the API token may, and whoever sits at this machine while no token is set.
    """

    def check(request: Request) -> None:
        if settings.api_token is not None:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            if not secrets.compare_digest(given.encode(), settings.api_token.get_secret_value().encode()):
                raise HTTPException(401, "calls are shown to 'Authorization: Bearer' with the API token only")
        elif not _at_this_machine(request):
            raise HTTPException(
                403, "calls are shown on the server's own machine only; set REPARTEE_API_TOKEN"
            )

    return check


def _at_this_machine(request: Request) -> bool:
    """A proxy on this machine speaks for others, and so does a page whose name was made to point here."""
    host = request.headers.get("host", "").rsplit(":", 1)[0].lower()
    if host not in _LOCAL_NAMES or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
