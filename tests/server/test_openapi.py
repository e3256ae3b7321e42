"""The server's own OpenAPI document, and requests made up from it: what is answered is what the document says."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks

from tests.fuzz.server import LOCKED, OPEN

TOLD = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
CASES = 8
"""Of each way to ask."""


def document_of(app: Any) -> Any:
    schema = schemathesis.openapi.from_dict(app.openapi())
    schema.app = app
    return schema


OPENED, CLOSED = document_of(OPEN), document_of(LOCKED)
few = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)


@OPENED.parametrize()  # type: ignore[untyped-decorator]
@few
def test_requests_by_the_document_are_answered_by_it(case: Any) -> None:
    case.call_and_validate(checks=TOLD)


@CLOSED.parametrize()  # type: ignore[untyped-decorator]
@few
def test_a_locked_server_answers_by_it_too(case: Any) -> None:
    response = case.call_and_validate(checks=TOLD)
    if "token" in case.path or "connection" in case.path:
        assert response.status_code in (401, 405), "405 where a method was made up"


def test_the_document_tells_both_ways_of_asking_and_every_refusal() -> None:
    paths = OPEN.openapi()["paths"]
    for path in ("/api/token", "/api/connection-details", "/api/sandbox/connection-details"):
        assert paths[path].keys() == {"get", "post"}
        for way in paths[path].values():
            assert {"200", "401", "403", "409", "413", "415", "422", "429", "503"} <= way["responses"].keys()
    names = [way["operationId"] for path in paths.values() for way in path.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/redoc"])
async def test_the_document_is_not_given_out(path: str) -> None:
    import httpx

    async with httpx.AsyncClient(transport=httpx.ASGITransport(OPEN), base_url="http://here") as client:
        assert (await client.get(path)).status_code == 404
