"""The built web client: the page one talks on, alone, as an app or in a frame; the pages of calls; the widget."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Scope

from repartee.server.headers import FRAME_PATH

STATIC = Path(__file__).with_name("static")
CALLS_PATHS = ("/calls", "/calls/{call_id}")
NEVER_CHANGES = "public, max-age=31536000, immutable"
ASK_FIRST = "no-cache"
"""It may be kept, and is asked for each time whether it has changed."""
SHORT_NAME = 12
"""So many letters fit under an icon."""


class Pages(StaticFiles):
    """Files of the build; those that carry their content's hash in their name may be kept for good, and are there
    compressed as well.
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer a request."""
        if not scope["path"].startswith("/assets/") or "gzip" not in Headers(scope=scope).get(
            "accept-encoding", ""
        ):
            return await super().get_response(path, scope)
        try:
            response = await super().get_response(f"{path}.gz", scope)
        except HTTPException:
            return await super().get_response(path, scope)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Type"] = mimetypes.guess_type(path)[0] or "application/octet-stream"
        response.headers["Vary"] = "Accept-Encoding"
        return response

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Answer with a file."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        kept = scope["path"].startswith("/assets/")
        response.headers["Cache-Control"] = NEVER_CHANGES if kept else ASK_FIRST
        return response


def mount_pages(app: FastAPI, agent_title: str, static: Path = STATIC) -> None:
    """Serve the pages, if they have been built.

    Args:
        app: Whose routes come first.
        agent_title: What the app is called on a phone.
        static: Where they are.
    """
    if not (static / "index.html").is_file():
        return

    def page(name: str) -> FileResponse:
        return FileResponse(static / name, headers={"Cache-Control": ASK_FIRST})

    async def calls_page() -> FileResponse:
        return page("calls.html")

    async def framed_page() -> FileResponse:
        return page("index.html")

    async def manifest() -> JSONResponse:
        return JSONResponse(
            manifest_of(agent_title),
            media_type="application/manifest+json",
            headers={"Cache-Control": ASK_FIRST},
        )

    for path in CALLS_PATHS:
        app.add_api_route(path, calls_page, include_in_schema=False)
    app.add_api_route(FRAME_PATH, framed_page, include_in_schema=False)
    app.add_api_route("/manifest.webmanifest", manifest, include_in_schema=False)
    app.mount("/", Pages(directory=static, html=True), name="page")


def manifest_of(agent_title: str) -> dict[str, object]:
    """Return what makes the page an app (W3C Web Application Manifest)."""
    name = agent_title or "repartee"
    icons = [
        {"src": f"/icon-{size}.png", "sizes": f"{size}x{size}", "type": "image/png", "purpose": "any"}
        for size in (192, 512)
    ]
    whole = {"src": "/icon-maskable-512.png", "sizes": "512x512", "type": "image/png", "purpose": "maskable"}
    return {
        "id": "/",
        "name": name,
        "short_name": name if len(name) <= SHORT_NAME else name.split()[0][:SHORT_NAME],
        "description": f"Talk to {name}.",
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "background_color": "#f6f5f1",
        "theme_color": "#0f766e",
        "icons": [*icons, whole],
    }
