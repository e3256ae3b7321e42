"""Addresses: vendors and LiveKit are given with http or ws and are asked over both."""

from __future__ import annotations

from urllib.parse import urlsplit


def http_url(url: str) -> str:
    """Return an address for HTTP requests, given with http, https, ws or wss; without a slash at its end."""
    return url.rstrip("/").replace("wss://", "https://", 1).replace("ws://", "http://", 1)


def socket_url(url: str, path: str = "") -> str:
    """Return the WebSocket address of a path below an address, given with http, https, ws or wss."""
    return url.rstrip("/").replace("https://", "wss://", 1).replace("http://", "ws://", 1) + path


def host_of(url: str) -> str:
    """Return the host that a URL names, in lower case; empty where it names none, as `sqlite:///file` does."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # brackets that enclose no address
        return ""
