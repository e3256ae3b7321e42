"""`repartee client`: what to change in LiveKit's starter apps so that they call this server."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from repartee.agent.slots import nearest
from repartee.errors import ConfigError
from repartee.settings import Settings

GUIDES = Path(__file__).with_name("guides")
EMULATOR = "10.0.2.2"
"""This machine, to an Android emulator on it."""


def platforms() -> list[str]:
    """Return what there are changes for."""
    return sorted(file.stem for file in GUIDES.glob("*.txt"))


def guide(platform: str, settings: Settings, url: str | None) -> str:
    """Return what to change for a platform.

    Args:
        platform: One of `platforms`.
        settings: Of the server.
        url: Its address, where it is another than these tell.

    Raises:
        ConfigError: There is no such platform, or the address is none.
    """
    known = platforms()
    if platform not in known:
        raise ConfigError(f"there is no starter for '{platform[:64]}'{nearest(platform.lower(), known)}")
    address = url.rstrip("/") if url is not None else page_url(settings)
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"--url takes an address as https://voice.example, not '{address[:200]}'")
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    emulator = parts._replace(netloc=f"{EMULATOR}:{parts.port or 80}").geturl() if local else address
    text = (GUIDES / f"{platform}.txt").read_text(encoding="utf-8")
    return (
        text.replace("@url@", address).replace("@emulator@", emulator).replace("@agent@", settings.agent_name)
    )


def page_url(settings: Settings) -> str:
    """Return where the page is, as the settings tell: a server that listens everywhere is at least here."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
