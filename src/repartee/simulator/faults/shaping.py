"""What the verbs do to the pieces of a request or an answer on their way."""

from __future__ import annotations

import asyncio
import base64
import random
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from repartee.simulator.faults.arguments import (
    HANG_S,
    Arguments,
    Close,
    Corrupt,
    Duplicate,
    Jitter,
    Reorder,
    ResetAfter,
    Side,
    Silent,
    Slow,
    Stall,
    WrongRate,
    ZeroAudio,
)
from repartee.simulator.faults.plan import Fault

BLOCK_BYTES = 4096
MAX_HELD_BYTES = 32 * 2**20
_BASE64 = re.compile(rb'"([A-Za-z0-9+/]{64,}={0,2})"')
_WAV_HEAD = 44


@dataclass(frozen=True, slots=True)
class Piece:
    """A message, an event, a body or a block of one.

    Attributes:
        data: What is in it.
        kind: `audio` is raw; `text` may have audio in it, as base64.
        first: Whether it is the first of its stream.
    """

    data: bytes
    kind: str = "text"
    first: bool = False


class ResetError(Exception):
    """The connection is to be reset now."""


class CloseError(Exception):
    """The connection is to be closed now."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Fired:
    """A fault that hits a request.

    Attributes:
        fault: Which.
        rng: Its random numbers: the same in every run.
        strike: Called when it is first felt.
    """

    fault: Fault
    rng: random.Random
    strike: Callable[[], None]


Pieces = AsyncIterator[Piece]


def shaped(pieces: Pieces, fired: list[Fired], of: Side) -> Pieces:
    """Return the pieces of one side as they are to arrive, all faults of that side done to them, in their order."""
    for one in fired:
        if one.fault.arguments.of != of:
            continue
        if (shape := _SHAPES.get(type(one.fault.arguments))) is not None:
            pieces = shape(pieces, one.fault.arguments, one)
    return pieces


# --- time and ends --------------------------------------------------------------------------------------------


async def _reset(pieces: Pieces, told: ResetAfter, fired: Fired) -> Pieces:
    if told.share is not None:
        held, size = [], 0
        async for piece in pieces:
            held.append(piece)
            size += len(piece.data)
            if size > MAX_HELD_BYTES:
                break
        left = int(size * told.share)
        pieces = _all(held)
    else:
        left = told.bytes or 0
    if left <= 0:
        fired.strike()
        raise ResetError
    async for piece in pieces:
        if len(piece.data) >= left:
            if piece.kind == "audio":
                yield replace(piece, data=piece.data[:left])
            fired.strike()
            raise ResetError
        left -= len(piece.data)
        yield piece


async def _all(pieces: list[Piece]) -> Pieces:
    for piece in pieces:
        yield piece


async def _close(pieces: Pieces, told: Close, fired: Fired) -> Pieces:
    count = 0
    if told.after == 0:
        fired.strike()
        raise CloseError(told.code, told.reason)
    async for piece in pieces:
        yield piece
        count += 1
        if count == told.after:
            fired.strike()
            raise CloseError(told.code, told.reason)


async def _stall(pieces: Pieces, told: Stall, fired: Fired) -> Pieces:
    count = 0
    async for piece in pieces:
        if count == told.after:
            fired.strike()
            await asyncio.sleep(told.for_s)
        yield piece
        count += 1


async def _silent(pieces: Pieces, told: Silent, fired: Fired) -> Pieces:
    count = 0
    async for piece in pieces:
        if count >= told.after:
            fired.strike()
        else:
            yield piece
        count += 1
    fired.strike()
    await asyncio.sleep(HANG_S)  # the vendor has said all it had to; nobody hears of it


async def _slow(pieces: Pieces, told: Slow, fired: Fired) -> Pieces:
    loop = asyncio.get_running_loop()
    free_s = loop.time()
    async for piece in pieces:
        fired.strike()
        free_s = max(free_s, loop.time()) + len(piece.data) / told.bytes_per_s
        await asyncio.sleep(free_s - loop.time())
        yield piece


async def _jitter(pieces: Pieces, told: Jitter, fired: Fired) -> Pieces:
    async for piece in pieces:
        fired.strike()
        await asyncio.sleep(fired.rng.uniform(0, told.ms) / 1000)
        yield piece


# --- order ----------------------------------------------------------------------------------------------------


async def _duplicate(pieces: Pieces, told: Duplicate, fired: Fired) -> Pieces:
    count = 0
    async for piece in pieces:
        yield piece
        if told.after <= count < told.after + told.many:
            fired.strike()
            yield piece
        count += 1


async def _reorder(pieces: Pieces, told: Reorder, fired: Fired) -> Pieces:
    count, waiting = 0, None
    async for piece in pieces:
        if waiting is not None:
            yield piece
            yield waiting
            waiting = None
        elif told.after <= count < told.after + 2 * told.many:
            fired.strike()
            waiting = piece
        else:
            yield piece
        count += 1
    if waiting is not None:
        yield waiting


# --- content --------------------------------------------------------------------------------------------------


async def _corrupt(pieces: Pieces, told: Corrupt, fired: Fired) -> Pieces:
    count, damage = 0, _DAMAGES[told.what]
    async for piece in pieces:
        if told.after <= count < told.after + told.many:
            fired.strike()
            yield replace(piece, data=damage(piece.data))
        else:
            yield piece
        count += 1


def _no_json(data: bytes) -> bytes:
    at = data.rfind(b"}")
    return data + b"}" if at < 0 else data[:at] + data[at + 1 :]


def _no_base64(data: bytes) -> bytes:
    if (found := _BASE64.search(data)) is None:
        return data
    middle = (found.start(1) + found.end(1)) // 2
    return data[:middle] + b"*" + data[middle + 1 :]


def _no_utf8(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + b"\xff\xfe" + data[middle:]


_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "json": _no_json,
    "base64": _no_base64,
    "utf8": _no_utf8,
    "truncate": lambda data: data[: len(data) // 2],
}


async def _wrong_rate(pieces: Pieces, told: WrongRate, fired: Fired) -> Pieces:
    async for piece in pieces:
        if (changed := _with_audio(piece, lambda pcm: _faster(pcm, told.factor))) is not piece:
            fired.strike()
        yield changed


async def _zero_audio(pieces: Pieces, told: ZeroAudio, fired: Fired) -> Pieces:
    async for piece in pieces:
        if (changed := _with_audio(piece, _zeros)) is not piece:
            fired.strike()
        if changed is piece or told.what == "silence":
            yield changed


def _with_audio(piece: Piece, change: Callable[[bytes], bytes]) -> Piece:
    """Return a piece with its audio changed, raw or as base64 in JSON; the piece itself when it has none."""
    if piece.kind == "audio":
        head = _WAV_HEAD if piece.first and piece.data.startswith(b"RIFF") else 0
        return replace(piece, data=piece.data[:head] + change(piece.data[head:]))
    if (found := _BASE64.search(piece.data)) is None:
        return piece
    encoded = base64.b64encode(change(base64.b64decode(found.group(1))))
    return replace(piece, data=piece.data[: found.start(1)] + encoded + piece.data[found.end(1) :])


def _zeros(pcm: bytes) -> bytes:
    return bytes(len(pcm))


def _faster(pcm: bytes, factor: float) -> bytes:
    samples = np.frombuffer(pcm[: len(pcm) & ~1], dtype=np.int16)
    at = (np.arange(int(len(samples) / factor)) * factor).astype(np.int64)
    return samples[at].tobytes()


_SHAPES: dict[type[Arguments], Callable[[Pieces, Any, Fired], Pieces]] = {
    ResetAfter: _reset,
    Close: _close,
    Stall: _stall,
    Silent: _silent,
    Slow: _slow,
    Jitter: _jitter,
    Corrupt: _corrupt,
    WrongRate: _wrong_rate,
    ZeroAudio: _zero_audio,
    Duplicate: _duplicate,
    Reorder: _reorder,
}
