"""The errors a person sees, split by who must act.

ReparteeError
├── ConfigError      the operator: a file, a key, a port, a missing tool
├── ProviderError    a vendor or an on-device model (`kind` says which way it failed)
├── MediaError       LiveKit or the audio itself
├── CapacityError    too many calls; the caller may retry after `retry_after_s`
├── ToolError        an agent's own tool function
└── StoreError       the database of calls: it does not answer, or refuses

Each carries one sentence that says what happened, where, and what to do next.
"""

from __future__ import annotations

from typing import Literal

ProviderErrorKind = Literal["auth", "rate_limited", "unavailable", "timeout", "refused"]


class ReparteeError(Exception):
    """Root of everything repartee raises on purpose."""

    exit_code = 1


class ConfigError(ReparteeError):
    """The operator must change something before this can work."""

    exit_code = 2


class ProviderError(ReparteeError):
    """A speech or language service failed; `kind` decides what is tried next."""

    exit_code = 3

    def __init__(self, message: str, *, kind: ProviderErrorKind, provider: str) -> None:
        super().__init__(message)
        self.kind: ProviderErrorKind = kind
        self.provider = provider


class MediaError(ReparteeError):
    """The LiveKit server or the audio path failed."""

    exit_code = 4


class CapacityError(ReparteeError):
    """No room for another call right now."""

    exit_code = 5

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ToolError(ReparteeError):
    """A tool failed; the message is safe to be told to the model."""

    exit_code = 6


class StoreError(ReparteeError):
    """The database of calls does not answer, or refuses; a call goes on without it."""

    exit_code = 7
