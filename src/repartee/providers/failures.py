"""What an error of a provider means: for its breaker, and for what is tried next."""

from __future__ import annotations

from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any, Literal

import httpx
import httpx2
from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError
from websockets.exceptions import InvalidStatus, WebSocketException

from repartee.errors import ProviderError

Why = Literal["error", "timeout", "limited", "refused", "busy", "cut", "open"]
"""`error`: it answered that it cannot, or was not reached. `timeout`: it did not answer in time. `limited`: 429.
`refused`: the key, its quota or the model is no good. `busy`: no place was free; nothing was asked. `cut`: it ended
in the middle. `open`: it was not asked, as it had failed before."""

PROVIDER_ERRORS = (
    APIError,
    httpx.HTTPError,
    httpx2.HTTPError,
    WebSocketException,
    TimeoutError,
    OSError,
    JSONDecodeError,
)
"""What requests raise, an answer that is none included. A cancellation is none of them."""
_QUOTA = frozenset(
    {"insufficient_quota", "quota_exceeded", "billing_hard_limit_reached", "account_deactivated"}
)


@dataclass(frozen=True, slots=True)
class Failure:
    """One request that failed."""

    why: Why
    retry_after_s: float | None = None


def failure_of(error: BaseException) -> Failure:  # noqa: PLR0911 - one line for each kind of error
    """Say what an error means."""
    match error:
        case ProviderError(kind="rate_limited"):
            return Failure("busy")
        case ProviderError(kind="timeout"):
            return Failure("timeout")
        case ProviderError(kind="auth" | "refused"):
            return Failure("refused")
        case APITimeoutError() | TimeoutError() | httpx.TimeoutException() | httpx2.TimeoutException():
            return Failure("timeout")
        case APIStatusError():
            return status_failure(error.status_code, error.response.headers, str(error.code or ""))
        case httpx.HTTPStatusError() | httpx2.HTTPStatusError():
            return status_failure(
                error.response.status_code, error.response.headers, error.response.text[:2000]
            )
        case InvalidStatus():
            return status_failure(error.response.status_code, error.response.headers)
        case APIConnectionError() | httpx.TransportError() | httpx2.TransportError() | WebSocketException():
            return Failure("error")
        case _:
            return Failure("error")


def status_failure(status: int, headers: Any, code: str = "") -> Failure:
    """Say what an HTTP status means. A 404 is a model that this key does not have."""
    if any(word in code for word in _QUOTA):
        return Failure("refused")
    match status:
        case 429:
            return Failure("limited", _seconds(headers.get("retry-after")))
        case 401 | 402 | 403 | 404:
            return Failure("refused")
        case 408 | 504:
            return Failure("timeout")
        case _:
            return Failure("error")


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value) if value is not None else None
    except ValueError:
        return None  # a date: the vendors we know send seconds
    return seconds if seconds is not None and 0 <= seconds < 86_400 else None
