"""The simulator as one HTTP server on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from aiohttp import ClientConnectionResetError, web
from aiohttp.typedefs import Handler

from repartee.errors import ConfigError
from repartee.simulator.providers.bill import Bill
from repartee.simulator.providers.desk import FAULTS, Desk, Fault
from repartee.simulator.providers.library import Composed
from repartee.simulator.providers.openai_http import OpenAIHttp
from repartee.simulator.providers.openai_realtime import OpenAIRealtime
from repartee.simulator.providers.profiles import Draws, profile
from repartee.simulator.providers.recogniser import Recogniser
from repartee.simulator.providers.replies import Replies, Style
from repartee.simulator.providers.sockets import VoiceSockets

WRONG_KEY = "wrong"
"""A key that begins like this is refused; every other is taken."""
MAX_UPLOAD_BYTES = 25 * 1024 * 1024
STAGES = ("stt", "llm", "tts")


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """What to simulate.

    Attributes:
        port: On loopback; 0 takes a free one.
        profile: Name of a latency profile.
        seed: The same seed draws the same latencies.
        speech: Folder of the recordings that can be recognised.
        bill: File that every request is appended to.
        script: What the model answers.
        transcripts: Words of recordings that come without a transcript.
        composed: Sounds put together from recordings.
        style: How long the model's answers are where the script has none.
    """

    port: int = 0
    profile: str = "fast"
    seed: int = 1
    speech: Path | None = None
    bill: Path | None = None
    script: Path | None = None
    transcripts: Path | None = None
    composed: tuple[Composed, ...] = ()
    style: Style = "long"


def vendors_at(url: str) -> dict[str, str]:
    """Return the variables that send every vendor's requests to the simulator, or to what stands before it."""
    socket = url.replace("http://", "ws://")
    return {
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": "simulated",
        "ELEVENLABS_BASE_URL": socket,
        "CARTESIA_BASE_URL": socket,
    }


class Simulator:
    """A running simulator.

    Attributes:
        desk: Its state: the bill, and faults to come.
        url: Its base URL.
    """

    def __init__(self, desk: Desk, url: str) -> None:
        self.desk = desk
        self.url = url

    @property
    def environment(self) -> dict[str, str]:
        """The variables that send every vendor's requests here."""
        return vendors_at(self.url)

    @staticmethod
    @asynccontextmanager
    async def start(config: SimulatorConfig) -> AsyncIterator[Simulator]:
        """Start a simulator and stop it at the end.

        Raises:
            ConfigError: The profile, the recordings or the script cannot be used, or the port is taken.
        """
        latency, replies = profile(config.profile), Replies(config.script, config.style)
        recogniser = None
        if config.speech:
            recogniser = await Recogniser.start(config.speech, config.transcripts, config.composed)
        desk = Desk(latency, Draws(config.seed), Bill(config.bill), replies, recogniser)
        app = web.Application(client_max_size=MAX_UPLOAD_BYTES, middlewares=[_front_door])
        app.add_routes(OpenAIHttp(desk).routes())
        app.add_routes(OpenAIRealtime(desk).routes())
        app.add_routes(VoiceSockets(desk).routes())
        app.add_routes(_control(desk))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, "127.0.0.1", config.port).start()
            except OSError as error:
                raise ConfigError(f"port {config.port} is taken; choose another with --port") from error
            yield Simulator(desk, f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()
            await desk.aclose()


@web.middleware
async def _front_door(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not request.path.startswith("/_sim/"):
        key = (
            request.headers.get("Authorization", "").removeprefix("Bearer ")
            or request.headers.get("xi-api-key")
            or request.headers.get("X-API-Key")
            or request.query.get("api_key", "")
        )
        if not key or key.startswith(WRONG_KEY):
            error = {"message": "Incorrect API key provided.", "code": "invalid_api_key"}
            return web.json_response({"error": error}, status=401)
    try:
        return await handler(request)
    except ClientConnectionResetError:
        return web.Response(status=499)  # who asked has left: an interrupted reply, booked as cancelled


def _control(desk: Desk) -> list[web.RouteDef]:
    async def bill(_: web.Request) -> web.Response:
        return web.json_response(desk.bill.summary())

    async def requests(_: web.Request) -> web.Response:
        return web.json_response([asdict(entry) for entry in desk.bill.entries])

    async def reset(_: web.Request) -> web.Response:
        desk.bill.reset()
        desk.faults.clear()
        return web.json_response({})

    async def faults(request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("stage") not in STAGES or body.get("kind") not in FAULTS:
            message = f"'stage' is one of {', '.join(STAGES)} and 'kind' one of {', '.join(FAULTS)}"
            return web.json_response({"error": message}, status=400)
        desk.faults.append(Fault(body["stage"], body["kind"], int(body.get("count", 1))))
        return web.json_response({})

    return [
        web.get("/_sim/bill", bill),
        web.get("/_sim/requests", requests),
        web.post("/_sim/reset", reset),
        web.post("/_sim/faults", faults),
    ]
