"""What every answer tells a browser not to do: run foreign code, be framed, guess types, tell where it came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from repartee.urls import http_url, socket_url

HSTS = "max-age=31536000"
FRAME_PATH, WIDGET_PATH = "/embed", "/embed.js"
"""The page that may be framed by allowed sites, and the script that frames it."""


_SITE = re.compile(r"https?://[A-Za-z0-9.\-\[\]:*]+")
"""An origin as a policy may name it; anything else in the settings must not become a part of the policy."""


def policy(livekit_url: str, framed_by: Sequence[str] = ()) -> str:
    """Return the content security policy of the pages: this server, and the media server, and nothing else.

    Args:
        livekit_url: As clients know it.
        framed_by: The origins whose pages may show this one in a frame.
    """
    media = {f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in _both(livekit_url)}
    sites = " ".join(framed_by) or "'none'"
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
            f"frame-ancestors {sites}",
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
        origins: The sites that may have the page in a frame, by the widget; none by default.
    """

    def __init__(
        self,
        app: ASGIApp,
        livekit_url: str,
        secure: Callable[[Request], bool],
        origins: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._secure = secure
        sites = [origin for origin in origins if _SITE.fullmatch(origin)]
        self._framed_policy = policy(livekit_url, sites) if sites else None
        self._headers = {
            "Content-Security-Policy": policy(livekit_url),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
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
                if self._framed_policy is not None and scope["path"] == FRAME_PATH:
                    headers["Content-Security-Policy"] = self._framed_policy
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if self._framed_policy is not None:
                    _open_to_allowed(scope["path"], headers)
                if "access-control-allow-origin" in headers:
                    headers["Cross-Origin-Resource-Policy"] = "cross-origin"
                if secure:
                    headers.setdefault("Strict-Transport-Security", HSTS)
            await send(message)

        await self._app(scope, receive, with_headers)


def _open_to_allowed(path: str, headers: MutableHeaders) -> None:
    if path == FRAME_PATH:
        del headers["X-Frame-Options"]  # knows no list of sites; `frame-ancestors` has it
    elif path == WIDGET_PATH:
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
