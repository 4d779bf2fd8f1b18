"""The ASGI middleware, under Starlette and FastAPI as they are."""

from __future__ import annotations

import asyncio
from typing import Any

import fastapi
import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

import headwater
from headwater import Client
from headwater.integrations.asgi import HeadwaterMiddleware
from headwater.testing import MemoryTransport, RecordedEvents


async def page(request: Request) -> HTMLResponse:
    headwater.capture("user-1", "seen", {"own": 1})
    return HTMLResponse("<p>hello")


def in_a_thread(request: Request) -> PlainTextResponse:
    headwater.capture("user-1", "seen")
    return PlainTextResponse(
        "done", background=BackgroundTask(headwater.capture, "user-1", "afterwards")
    )


async def streamed(request: Request) -> StreamingResponse:
    async def chunks() -> Any:
        yield b"one"
        headwater.capture("user-1", "streamed")

    return StreamingResponse(chunks())


async def broken(request: Request) -> None:
    raise LookupError("no such cart")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    headwater.capture("user-1", "connected")
    await websocket.close()


ROUTES = [
    Route("/page", page, methods=["GET", "POST"]),
    Route("/thread", in_a_thread),
    Route("/streamed", streamed),
    Route("/broken", broken),
    Mount("/mounted", routes=[Route("/page", page)]),
    WebSocketRoute("/socket", socket),
]


def get(app: Any, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(
            app, raise_app_exceptions=False, client=("192.0.2.7", 1)
        )
        async with httpx.AsyncClient(
            transport=transport, base_url="https://shop.example"
        ) as client:
            named = {name.replace("_", "-"): text for name, text in headers.items()}
            return await client.request(method, path, headers=named)

    return asyncio.run(ask())


def starlette(**options: Any) -> Starlette:
    app = Starlette(routes=ROUTES)
    app.add_middleware(HeadwaterMiddleware, **options)
    return app


def test_event_has_the_context_of_its_request(events: RecordedEvents) -> None:
    get(
        starlette(),
        "/page?a=1&b=%20",
        x_request_id="given-1",
        referer="https://news.example/",
        user_agent="tester",
    )
    assert events.assert_captured("seen").properties == {
        "own": 1,
        "$request_id": "given-1",
        "$request_method": "GET",
        "$current_url": "https://shop.example/page?a=1&b=%20",
        "$referrer": "https://news.example/",
    }


def test_address_and_agent_are_sent_when_allowed(events: RecordedEvents) -> None:
    get(starlette(ip=True, user_agent=True), "/page", user_agent="tester")
    events.assert_captured("seen", {"$ip": "192.0.2.7", "$user_agent": "tester"})


@pytest.mark.parametrize("given", ["", "two words", "x" * 201, "line\tbreak"])
def test_request_without_a_usable_id_gets_one(
    events: RecordedEvents, given: str
) -> None:
    app = starlette()
    get(app, "/page", x_request_id=given)
    get(app, "/page", x_request_id=given)
    first, second = (event.properties["$request_id"] for event in events)
    assert len(first) == len(second) == 32
    assert first != second


@pytest.mark.parametrize(
    "path, names",
    [
        ("/thread", ["seen", "afterwards"]),
        ("/streamed", ["streamed"]),
        ("/mounted/page", ["seen"]),
    ],
)
def test_context_reaches_wherever_the_request_is_answered(
    events: RecordedEvents, path: str, names: list[str]
) -> None:
    get(starlette(), path)
    assert events.names == names
    for event in events:
        assert event.properties["$current_url"] == f"https://shop.example{path}"


def test_requests_at_the_same_time_do_not_mix(events: RecordedEvents) -> None:
    barrier = asyncio.Barrier(5)

    async def meet(request: Request) -> PlainTextResponse:
        await barrier.wait()
        headwater.capture("user-1", "met", {"path": request.url.path})
        return PlainTextResponse("")

    app = Starlette(routes=[Route("/{name}", meet)])
    app.add_middleware(HeadwaterMiddleware)

    async def ask_all() -> None:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://a"
        ) as client:
            await asyncio.gather(*(client.get(f"/{n}") for n in range(5)))

    asyncio.run(ask_all())
    assert len(events) == 5
    for event in events:
        assert event.properties["$current_url"] == "http://a" + event.properties["path"]


def test_nothing_is_left_of_the_context_after_the_request(
    events: RecordedEvents,
) -> None:
    get(starlette(), "/page")
    headwater.capture("user-1", "later")
    assert events.assert_captured("later").properties == {}


def test_user_is_named_for_all_events(events: RecordedEvents) -> None:
    async def bought(request: Request) -> PlainTextResponse:
        headwater.capture("bought")
        return PlainTextResponse("")

    app = Starlette(routes=[Route("/", bought)])
    app.add_middleware(
        HeadwaterMiddleware, distinct_id=lambda scope: f"user at {scope['path']}"
    )
    get(app, "/")
    events.assert_captured("bought", distinct_id="user at /")


def test_name_that_cannot_be_had_costs_the_name_only(
    events: RecordedEvents, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(scope: Any) -> str:
        raise KeyError("session")

    app = starlette(distinct_id=fail, pageviews=True)
    assert get(app, "/page").status_code == 200
    assert get(app, "/page").status_code == 200
    assert events.names == ["seen", "seen"]
    assert caplog.text.count("nobody is named") == 1


def test_pageviews_are_pages_served_to_somebody(events: RecordedEvents) -> None:
    app = starlette(pageviews=True, distinct_id=lambda _: 17)
    get(app, "/page")
    get(app, "/page", "POST")
    get(app, "/thread")
    get(app, "/missing")
    view = events.assert_captured("pageview", distinct_id="17", times=1)
    assert view.properties["$current_url"] == "https://shop.example/page"
    get(starlette(pageviews=True), "/page")
    events.assert_captured("pageview", times=1)


def test_unhandled_exception_is_captured_in_its_context(
    events: RecordedEvents,
) -> None:
    assert get(starlette(exceptions=True), "/broken").status_code == 500
    event = events.assert_captured("$exception", {"$exception_type": "LookupError"})
    assert event.properties["$current_url"].endswith("/broken")
    assert event.properties["$exception_level"] == "fatal"
    get(starlette(), "/broken")
    events.assert_captured("$exception", times=1)


def test_websocket_and_lifespan_pass(events: RecordedEvents) -> None:
    async def run() -> list[str]:
        sent: list[str] = []
        incoming = iter([{"type": "websocket.connect"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Any:
            return next(incoming)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        app = starlette()
        scope = {"headers": [], "path": "/socket", "server": ("a", 80)}
        await app({"type": "websocket", "scheme": "ws", **scope}, receive, send)
        incoming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        await app({"type": "lifespan"}, receive, send)
        return sent

    assert asyncio.run(run()) == [
        "websocket.accept",
        "websocket.close",
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    events.assert_captured("connected", {"$current_url": "ws://a:80/socket"})


def test_fastapi_with_a_client_of_its_own() -> None:
    transport = MemoryTransport()
    client = Client("key", "http://localhost", transport=transport)
    app = fastapi.FastAPI()
    app.add_middleware(HeadwaterMiddleware, client=client, exceptions=True)

    @app.get("/items/{item}")
    def item(item: int) -> dict[str, int]:
        client.capture("user-1", "item_seen", {"item": item})
        return {"item": item}

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("out of order")

    assert get(app, "/items/7").json() == {"item": 7}
    assert get(app, "/items/x").status_code == 422
    assert get(app, "/broken").status_code == 500
    client.shutdown()
    assert [event.event for event in transport.events] == ["item_seen", "$exception"]
    assert transport.events[0].properties["$current_url"].endswith("/items/7")


def test_option_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="no such options: page_views"):
        HeadwaterMiddleware(starlette(), page_views=True)  # type: ignore[call-arg] # on purpose
