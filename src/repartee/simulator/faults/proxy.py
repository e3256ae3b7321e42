"""The proxy: passes HTTP and WebSockets on to a vendor, and breaks what the plan says."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

from repartee.errors import ConfigError
from repartee.simulator.faults import endings, reading
from repartee.simulator.faults.arguments import AcceptHang, Blackhole, ClockSkew, Refuse, Status, TlsFail
from repartee.simulator.faults.endings import MAX_MESSAGE_BYTES
from repartee.simulator.faults.plan import Match, Plan
from repartee.simulator.faults.shaping import (
    CloseError,
    Fired,
    Pieces,
    ResetError,
    shaped,
)

MAX_UPLOAD_BYTES = 25 * 2**20
KEPT_STRIKES = 10_000
_HOP = frozenset(
    {
        *("connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"),
        *("proxy-connection", "accept-encoding", "content-length"),
    }
)
_SOCKET_HEADERS = tuple(f"sec-websocket-{name}" for name in ("key", "version", "extensions", "protocol"))


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that was felt.

    Attributes:
        at_s: When, on the monotonic clock.
        verb: Which.
        path: Of the request.
        ordinal: The request's number among those the fault is for.
    """

    at_s: float
    verb: str
    path: str
    ordinal: int


@dataclass(eq=False)
class _Open:
    """A request that is being passed on."""

    request: web.Request
    held_until_s: float = 0.0

    async def passes(self) -> None:
        """Wait while it is held."""
        loop = asyncio.get_running_loop()
        if (wait_s := self.held_until_s - loop.time()) > 0:
            await asyncio.sleep(wait_s)


@dataclass
class FaultProxy:
    """A running proxy.

    Attributes:
        url: Where it listens.
        vendor: Where it passes requests on to.
        strikes: What was done, the newest last.
        on_strike: Called with each.
    """

    url: str
    vendor: str
    _plan: Plan
    _session: aiohttp.ClientSession
    strikes: deque[Strike] = field(default_factory=lambda: deque(maxlen=KEPT_STRIKES))
    on_strike: Callable[[Strike], None] = lambda _: None
    _seen: Counter[int] = field(default_factory=Counter)
    _open: set[_Open] = field(default_factory=set)

    @property
    def plan(self) -> Plan:
        """What goes wrong. Set anew, requests are counted from 1 again."""
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._plan = plan
        self._seen.clear()

    @staticmethod
    @contextlib.asynccontextmanager
    async def start(vendor: str, plan: Plan | None = None, port: int = 0) -> AsyncIterator[FaultProxy]:
        """Start a proxy on loopback and stop it at the end.

        Args:
            vendor: Base URL that requests are passed on to, `http://` or `https://`.
            plan: What goes wrong; nothing when left out.
            port: 0 takes a free one.

        Raises:
            ConfigError: The port is taken, or the vendor is no URL.
        """
        if not vendor.startswith(("http://", "https://")):
            raise ConfigError(
                f"'{vendor}' is no address to pass requests on to; write it like https://api.openai.com"
            )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with aiohttp.ClientSession(
            timeout=timeout, auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)
        ) as session:
            proxy = FaultProxy("", vendor.rstrip("/"), plan or Plan(), session)
            app = web.Application(client_max_size=MAX_UPLOAD_BYTES)
            app.router.add_route("*", "/{path:.*}", proxy._handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True)
            await runner.setup()
            try:
                try:
                    await web.TCPSite(runner, "127.0.0.1", port).start()
                except OSError as error:
                    raise ConfigError(f"port {port} is taken; choose another with --port") from error
                proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                yield proxy
            finally:
                await runner.cleanup()

    def cut(self, match: Match) -> int:
        """Reset every connection that is in use for such a request now; return how many."""
        found = [one for one in self._open if match.fits(one.request.path_qs)]
        for one in found:
            self._note("cut", one.request.path, 0)
            endings.cut(one.request)
        return len(found)

    def hold(self, match: Match, for_s: float) -> int:
        """Let nothing pass either way on the connections that are in use for such a request now; return how many."""
        found = [one for one in self._open if match.fits(one.request.path_qs)]
        for one in found:
            self._note("hold", one.request.path, 0)
            one.held_until_s = asyncio.get_running_loop().time() + for_s
        return len(found)

    def _note(self, verb: str, path: str, ordinal: int) -> None:
        strike = Strike(asyncio.get_running_loop().time(), verb, path, ordinal)
        self.strikes.append(strike)
        self.on_strike(strike)

    # --- a request --------------------------------------------------------------------------------------------

    def _fire(self, request: web.Request) -> list[Fired]:
        fired = []
        for number, fault in enumerate(self._plan.faults):
            if not fault.match.fits(request.path_qs):
                continue
            self._seen[number] += 1
            ordinal = self._seen[number]
            if fault.hits(ordinal, self._plan.chance(number, ordinal)):
                rng = random.Random(f"{self._plan.seed}/{number}/{ordinal}")  # noqa: S311 - the same in every run
                fired.append(Fired(fault, rng, self._striker(fault.verb, request.path, ordinal)))
        return fired

    def _striker(self, verb: str, path: str, ordinal: int) -> Callable[[], None]:
        told = False

        def strike() -> None:
            nonlocal told
            if not told:
                told = True
                self._note(verb, path, ordinal)

        return strike

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        is_socket = request.headers.get("Upgrade", "").lower() == "websocket"
        fired = self._fire(request)
        for one in fired:
            match one.fault.arguments:
                case Refuse():
                    one.strike()
                    return endings.cut(request)
                case TlsFail():
                    one.strike()
                    return await endings.alert(request)
                case AcceptHang(for_s=for_s):
                    one.strike()
                    await asyncio.sleep(for_s)
                    return endings.cut(request)
                case Blackhole(for_s=for_s):
                    one.strike()
                    return await (
                        endings.swallow(request, for_s) if is_socket else endings.ignore(request, for_s)
                    )
                case Status(code=code, retry_after_s=retry_after_s):
                    one.strike()
                    return endings.refusal(code, retry_after_s)
        passing = _Open(request)
        self._open.add(passing)
        try:
            return await (self._socket(passing, fired) if is_socket else self._http(passing, fired))
        except aiohttp.ClientConnectorError:
            return web.json_response({"error": {"message": f"no answer from {self.vendor}"}}, status=502)
        except aiohttp.ClientConnectionResetError:
            return web.Response(status=499)  # who asked has left
        finally:
            self._open.discard(passing)

    # --- HTTP -------------------------------------------------------------------------------------------------

    async def _http(self, passing: _Open, fired: list[Fired]) -> web.StreamResponse:
        request = passing.request
        response: web.StreamResponse | None = None
        try:
            async with self._session.request(
                request.method,
                self.vendor + request.path_qs,
                data=await self._upload(request, fired),
                headers=_passed_on(request.headers) | {"Accept-Encoding": "identity"},
                allow_redirects=False,
            ) as answer:
                response = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
                _skew(response, fired)
                if not fired and answer.content_length is not None:
                    response.content_length = answer.content_length
                await response.prepare(request)
                async for piece in shaped(reading.answer(answer, whole=bool(fired)), fired, "answer"):
                    await passing.passes()
                    await response.write(piece.data)
        except ResetError:
            return endings.cut(request, response)
        except CloseError as close:
            if close.code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE or response is None:
                return endings.cut(request, response)
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError):
            return endings.cut(request, response)  # the vendor itself broke off
        assert response is not None  # noqa: S101 - what has not raised has answered
        await response.write_eof()
        return response

    async def _upload(self, request: web.Request, fired: list[Fired]) -> Any:
        """Return the body to pass on; it is read whole first, unless something happens to it on the way."""
        if not request.body_exists:
            return None
        if not any(one.fault.arguments.of == "request" for one in fired):
            return await request.read()
        body = bytearray()
        async for piece in shaped(reading.blocks(request.content), fired, "request"):
            body += piece.data
        return bytes(body)

    # --- WebSockets -------------------------------------------------------------------------------------------

    async def _socket(self, passing: _Open, fired: list[Fired]) -> web.StreamResponse:
        request = passing.request
        offered = [
            name.strip()
            for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")
            if name.strip()
        ]
        headers = {n: v for n, v in _passed_on(request.headers).items() if n.lower() not in _SOCKET_HEADERS}
        try:
            vendor = await self._session.ws_connect(
                self.vendor + request.path_qs,
                headers=headers,
                protocols=offered,
                max_msg_size=MAX_MESSAGE_BYTES,
            )
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status)
        async with vendor:
            ours = web.WebSocketResponse(
                max_msg_size=MAX_MESSAGE_BYTES, protocols=[vendor.protocol] if vendor.protocol else ()
            )
            _skew(ours, fired)
            await ours.prepare(request)
            await _bridge(passing, ours, vendor, fired)
        return ours


def _passed_on(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP}


def _skew(response: web.StreamResponse, fired: list[Fired]) -> None:
    for one in fired:
        if isinstance(told := one.fault.arguments, ClockSkew):
            one.strike()
            response.headers["Date"] = format_datetime(
                datetime.now(UTC) + timedelta(seconds=told.seconds), usegmt=True
            )


async def _bridge(
    passing: _Open,
    ours: web.WebSocketResponse,
    vendor: aiohttp.ClientWebSocketResponse,
    fired: list[Fired],
) -> None:
    ways = {
        asyncio.create_task(
            _pump(shaped(reading.messages(ours), fired, "request"), vendor, passing), name="request"
        ),
        asyncio.create_task(
            _pump(shaped(reading.messages(vendor), fired, "answer"), ours, passing), name="answer"
        ),
    }
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        ends = await asyncio.gather(*ways, return_exceptions=True)
    failures = [end for end in ends if isinstance(end, Exception)]
    failure = next((end for end in failures if isinstance(end, ResetError | CloseError)), None)
    for end in failures:
        if not isinstance(end, ResetError | CloseError | ConnectionError):
            raise end
    if isinstance(failure, CloseError) and failure.code != aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
        await ours.close(code=failure.code, message=str(failure).encode())
    elif failure is not None or vendor.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
        endings.cut(passing.request)
    elif not ours.closed:
        await ours.close(code=vendor.close_code or aiohttp.WSCloseCode.OK)


async def _pump(
    pieces: Pieces, to: web.WebSocketResponse | aiohttp.ClientWebSocketResponse, passing: _Open
) -> None:
    async for piece in pieces:
        await passing.passes()
        # As a frame, not as a text: what was damaged need not be one.
        kind = WSMsgType.BINARY if piece.kind == "audio" else WSMsgType.TEXT
        await to.send_frame(piece.data, kind)
