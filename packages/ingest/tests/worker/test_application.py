"""A worker's application: events here, everything else at the owner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from tests.joined_worker import join, make_desk

from headwater_ingest.worker.application import WorkerApplication
from headwater_ingest.worker.forwarder import Forwarder
from headwater_schema.limits import MAX_BATCH_BYTES


async def _at_owner(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    told = f"owner: {request.method} {request.url.path} {await request.body()!r}"
    await Response(told, 201, headers={"x-owner": "1"})(scope, receive, send)


class _Here:
    """Stands for a route that takes events."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Response("worker")(scope, receive, send)


Ask = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


def answer(ask: Ask, *, is_owner_gone: bool = False) -> httpx.Response:
    async def run() -> httpx.Response:
        async with join(make_desk(app=_at_owner)) as (link, owner):
            routes = [Route(path, _Here()) for path in ("/ingest-events", "/api/event")]
            app = WorkerApplication(routes, elsewhere=Forwarder(link))
            if is_owner_gone:
                owner.close()
                await link.ended.wait()
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://worker"
            ) as client:
                return await ask(client)

    return asyncio.run(run())


@pytest.mark.parametrize(
    "method, path",
    [("POST", "/ingest-events"), ("POST", "/api/event"), ("OPTIONS", "/api/event")],
)
def test_events_are_taken_by_the_worker(method: str, path: str) -> None:
    assert answer(lambda client: client.request(method, path)).text == "worker"


@pytest.mark.parametrize(
    "method, path",
    [("GET", "/ingest-events"), ("GET", "/metrics"), ("POST", "/admin/sites")],
)
def test_everything_else_is_answered_by_the_owner(method: str, path: str) -> None:
    told = answer(lambda client: client.request(method, path, content=b"body"))

    assert told.text == f"owner: {method} {path} b'body'"
    assert (told.status_code, told.headers["x-owner"]) == (201, "1")


def test_a_body_that_is_too_large_does_not_reach_the_owner() -> None:
    body = bytes(MAX_BATCH_BYTES + 1)

    told = answer(lambda client: client.put("/admin/sites", content=body))

    assert (told.status_code, told.json()["code"]) == (413, "too_large")


def test_without_an_owner_the_client_is_told_to_come_back() -> None:
    told = answer(lambda client: client.get("/metrics"), is_owner_gone=True)

    assert (told.status_code, told.json()["code"]) == (503, "draining")
    assert told.headers["retry-after"] == "1"
