"""The worker's own HTTP port: is it alive, does it take calls, what has it counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from repartee.errors import ConfigError
from repartee.settings import Settings
from repartee.worker.door import MetricsDoor
from repartee.worker.worker import Worker


@asynccontextmanager
async def worker_health(worker: Worker, settings: Settings) -> AsyncIterator[None]:
    """Serve `/livez`, `/readyz` and `/metrics` while the context lasts.

    Args:
        worker: Whose.
        settings: Where to listen (port 0 serves nothing), and who may read the metrics.

    Raises:
        ConfigError: The port is taken.
    """
    host, port = settings.host, settings.worker_health_port
    if not port:
        yield
        return
    runner = web.AppRunner(worker_app(worker, MetricsDoor(settings)), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigError(
                f"port {port} for the worker's health is taken; stop what uses it, or set REPARTEE_WORKER_PORT "
                "to another port (0 for none)"
            ) from error
        yield
    finally:
        await runner.cleanup()


def worker_app(worker: Worker, door: MetricsDoor) -> web.Application:
    """Return the application: probes for everybody, metrics for whom the door lets in."""

    async def livez(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        # A full worker is ready: it is LiveKit that must not send it more, not the orchestrator that must act.
        ready = worker.registered.is_set() and not worker.draining
        body = {
            "status": "ok" if ready else "draining" if worker.draining else "not registered with LiveKit",
            "calls": worker.calls,
            "max_calls": worker.max_calls,
        }
        return web.json_response(body, status=200 if ready else 503)

    async def metrics(request: web.Request) -> web.Response:
        if (refusal := door.refusal(request)) is not None:
            return refusal
        return web.Response(body=worker.metrics.text(), headers={"Content-Type": worker.metrics.content_type})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app
