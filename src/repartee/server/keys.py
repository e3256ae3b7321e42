"""API keys: made with 256 random bits, kept as SHA-256 only, looked up without telling by time which was near."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping

from repartee.errors import ConfigError

PREFIX = "rpt_"
"""What a key begins with, so that scanners of repositories find one that was committed."""
_ENTRY = re.compile(r"^(?P<name>[\w.@-]{1,64})=(?P<digest>[0-9a-f]{64})$")


def new_key() -> str:
    """Return a new key."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """Return what of a key is kept."""
    # Not a slow hash: there is nothing to guess in 256 random bits.
    return hashlib.sha256(key.encode()).hexdigest()


def entry_of(name: str, key: str) -> str:
    """Return a key's entry in a setting.

    Raises:
        ConfigError: The name is none.
    """
    if _ENTRY.match(entry := f"{name}={digest_of(key)}") is None:
        raise ConfigError(f"a key's name is 1 to 64 letters, digits and . _ - @, not '{name[:64]}'")
    return entry


class Keys:
    """The keys of a setting.

    Args:
        variable: The setting's name, for the error.
        listed: `NAME=SHA256` entries, separated by commas.

    Raises:
        ConfigError: An entry is wrong; it is not repeated, as it might be a key.
    """

    def __init__(self, variable: str, listed: str = "") -> None:
        self._names: dict[str, str] = {}
        for number, entry in enumerate(filter(None, (part.strip() for part in listed.split(","))), 1):
            match = _ENTRY.match(entry)
            if match is None:
                raise ConfigError(
                    f"{variable}: entry {number} is not NAME=SHA256; `repartee key NAME` prints one"
                )
            self._names[match["digest"]] = match["name"]

    def __bool__(self) -> bool:
        return bool(self._names)

    @property
    def names(self) -> Mapping[str, str]:
        """Names by digest."""
        return self._names

    def name_of(self, key: str) -> str | None:
        """Return whose key it is."""
        given, found = digest_of(key), None
        for digest, name in self._names.items():
            if secrets.compare_digest(given, digest):
                found = name
        return found
