"""Which call, and which turn of it, a line of the log is about; every task of a call inherits it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class _Call:
    """Shared by a call's tasks and threads: the turn that one of them opens is everybody's."""

    call_id: str
    turn_id: int | None = None


_CALL: ContextVar[_Call | None] = ContextVar("call", default=None)


@contextmanager
def calling(call_id: str) -> Iterator[None]:
    """Have all that is logged meanwhile, here and in what is started here, be about a call."""
    token = _CALL.set(_Call(call_id))
    try:
        yield
    finally:
        _CALL.reset(token)


def turn_opened(turn_id: int) -> None:
    """What is logged from now on is about this turn of the call."""
    if (call := _CALL.get()) is not None:
        call.turn_id = turn_id


def about_call(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the call and the turn to a line; a processor of structlog. What a line says itself goes first."""
    call = _CALL.get()
    if call is None or event.setdefault("call_id", call.call_id) != call.call_id:
        return event
    if call.turn_id is not None:
        event.setdefault("turn_id", call.turn_id)
    return event
