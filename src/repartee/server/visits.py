"""The key in an address: who opens the page with it may call, by a cookie that no script and no other site sees."""

from __future__ import annotations

import secrets

from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "repartee_visit"
KEPT_S = 30 * 86_400


def visits(connection: HTTPConnection, key: str) -> bool:
    """Say whether somebody has the key."""
    return secrets.compare_digest(connection.cookies.get(COOKIE, "").encode(), key.encode())


class VisitKey:
    """Turns the key in the page's address into a cookie, and the address into one without it.

    Args:
        app: What answers.
        key: The key.
    """

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app, self._key = app, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/":
            given = Request(scope).query_params.get("key", "")
            if given and secrets.compare_digest(given.encode(), self._key.encode()):
                answer = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
                answer.set_cookie(
                    COOKIE, self._key, max_age=KEPT_S, secure=True, httponly=True, samesite="strict"
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
