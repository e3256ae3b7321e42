"""Who may read a worker's metrics. They name models, prices and how much is called: nothing for strangers."""

from __future__ import annotations

import secrets

from aiohttp import web

from repartee.machine import asked_from_here, is_loopback
from repartee.settings import Settings

CHALLENGE = {"WWW-Authenticate": "Bearer"}


class MetricsDoor:
    """Lets Prometheus in.

    Args:
        settings: The token, and where the worker listens.
    """

    def __init__(self, settings: Settings) -> None:
        token = settings.metrics_token
        self._token = token.get_secret_value().encode() if token is not None else None
        self._open = settings.metrics_open
        self._listens_here = is_loopback(settings.host)

    def refusal(self, request: web.Request) -> web.Response | None:
        """Return what somebody is told who may not come in; None for who may."""
        if self._token is not None:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            # A header may hold bytes that are no text.
            right = secrets.compare_digest(given.strip().encode(errors="surrogateescape"), self._token)
            if right and scheme.lower() == "bearer":
                return None
            return _refusal(
                401, "unauthorized", "metrics are shown to who sends REPARTEE_METRICS_TOKEN", CHALLENGE
            )
        here = asked_from_here(request.remote or "", request.host, request.headers)
        if self._open or (self._listens_here and here):
            return None
        return _refusal(
            403,
            "closed",
            "metrics are shown on this machine only, until REPARTEE_METRICS_TOKEN is set, or "
            "REPARTEE_METRICS_OPEN=true where the network keeps strangers out",
        )


def _refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": code, "message": message}, status=status, headers=headers)
