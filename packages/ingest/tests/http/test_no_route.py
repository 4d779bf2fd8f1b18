"""What whoever has a path or a method wrong is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.responses import Response
from starlette.routing import Route

from headwater_ingest.http.routes import Application

if TYPE_CHECKING:
    from starlette.requests import Request


async def serve(_request: Request) -> Response:
    return Response()


def ask(method: str, path: str) -> httpx.Response:
    routes = [Route("/taken", serve, methods=[each]) for each in ("POST", "PUT")]
    transport = httpx.ASGITransport(Application(routes=routes))

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.request(method, f"http://node{path}")

    return asyncio.run(send())


@pytest.mark.parametrize("path", ["/", "/ingest-event", "/admin/nope"])
def test_an_unknown_route_is_told_the_right_ones(path: str) -> None:
    answer = ask("POST", path)

    told = answer.json()
    assert (answer.status_code, told["error"]["code"]) == (404, "unknown_route")
    assert told["message"].startswith(f"there is no route {path}: ")
    assert "/ingest-events, /user-properties or /api/event" in told["message"]


def test_a_wrong_method_is_told_all_right_ones() -> None:
    answer = ask("PATCH", "/taken")

    told = answer.json()
    assert (answer.status_code, told["error"]["code"]) == (405, "wrong_method")
    assert told["detail"] == "/taken does not take PATCH: send it with POST, PUT"
    assert answer.headers["allow"] == "POST, PUT"
