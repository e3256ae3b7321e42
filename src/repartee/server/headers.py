"""What every answer tells a browser not to do: run foreign code, be framed, guess types, tell where it came from."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from repartee.urls import http_url, socket_url

HSTS = "max-age=31536000"


def policy(livekit_url: str) -> str:
    """Return the content security policy of the pages: this server, and the media server, and nothing else."""
    media = {f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in _both(livekit_url)}
    return "; ".join(
        (
            "default-src 'self'",
            f"connect-src 'self' {' '.join(sorted(media))}",
            "img-src 'self' data:",
            "media-src 'self' blob:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def _both(url: str) -> tuple[str, str]:
    return http_url(url), socket_url(url)


class SecurityHeaders:
    """Puts them on every answer.

    Args:
        app: What answers.
        livekit_url: As clients know it.
        secure: Says whether a client itself came over TLS.
        sees: Callers may share camera and screen.
    """

    def __init__(
        self, app: ASGIApp, livekit_url: str, secure: Callable[[Request], bool], *, sees: bool = False
    ) -> None:
        self._app = app
        self._secure = secure
        self._headers = {
            "Content-Security-Policy": policy(livekit_url),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Permissions-Policy": _permissions(sees=sees),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        secure = self._secure(Request(scope))

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if "access-control-allow-origin" in headers:
                    headers["Cross-Origin-Resource-Policy"] = "cross-origin"
                if secure:
                    headers.setdefault("Strict-Transport-Security", HSTS)
            await send(message)

        await self._app(scope, receive, with_headers)


def _permissions(*, sees: bool) -> str:
    """Return what the page may ask of its browser."""
    shown = "(self)" if sees else "()"
    return f"microphone=(self), camera={shown}, display-capture={shown}, geolocation=(), payment=(), usb=()"
