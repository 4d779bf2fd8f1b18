"""The Django middleware, under Django as it is, with and without async."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path

import headwater
from headwater.testing import MemoryTransport, RecordedEvents

if not settings.configured:
    settings.configure(
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["headwater.integrations.django.HeadwaterMiddleware"],
        ALLOWED_HOSTS=["testserver"],
        SECRET_KEY="test",
        LOGGING_CONFIG=None,
    )
    django.setup()


def page(request: HttpRequest) -> HttpResponse:
    headwater.capture("user-1", "seen")
    return HttpResponse("<p>hello")


async def awaited(request: HttpRequest) -> JsonResponse:
    headwater.capture("user-1", "awaited")
    return JsonResponse({})


def broken(request: HttpRequest) -> HttpResponse:
    raise LookupError("no such cart")


def forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


urlpatterns = [
    path("page", page),
    path("awaited", awaited),
    path("broken", broken),
    path("forbidden", forbidden),
]


def name_user(request: HttpRequest) -> str | None:
    # The database of Django may not be used on an event loop.
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    name: str | None = request.headers.get("X-User")
    return name


class Sync:
    def get(self, where: str, **headers: str) -> Any:
        return Client(raise_request_exception=False).get(where, headers=headers)


class Async:
    def get(self, where: str, **headers: str) -> Any:
        client = AsyncClient(raise_request_exception=False)
        return asyncio.run(client.get(where, headers=headers))


@pytest.fixture(params=[Sync, Async])
def client(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.fixture
def options() -> Iterator[dict[str, Any]]:
    chosen: dict[str, Any] = {}
    with override_settings(HEADWATER=chosen):
        yield chosen


@pytest.mark.parametrize("where, name", [("page", "seen"), ("awaited", "awaited")])
def test_event_has_the_context_of_its_request(
    events: RecordedEvents, client: Any, where: str, name: str
) -> None:
    client.get(f"/{where}?a=1", **{"X-Request-Id": "given-1", "Referer": "http://n/"})
    assert events.assert_captured(name).properties == {
        "$request_id": "given-1",
        "$request_method": "GET",
        "$current_url": f"http://testserver/{where}?a=1",
        "$referrer": "http://n/",
    }
    headwater.capture("user-1", "later")
    assert events.assert_captured("later").properties == {}


def test_options_are_those_of_the_settings(
    events: RecordedEvents, client: Any, options: dict[str, Any]
) -> None:
    options.update(
        ip=True,
        user_agent=True,
        pageviews=True,
        exceptions=True,
        distinct_id=name_user,
    )
    client.get("/page", **{"X-User": "anna", "User-Agent": "tester"})
    view = events.assert_captured("pageview", distinct_id="anna", times=1)
    assert view.properties["$ip"] == "127.0.0.1"
    assert view.properties["$user_agent"] == "tester"
    client.get("/page")
    events.assert_captured("pageview", times=1)
    client.get("/broken", **{"X-User": "anna"})
    client.get("/forbidden")
    event = events.assert_captured("$exception", distinct_id="anna", times=1)
    assert event.properties["$current_url"] == "http://testserver/broken"


def test_functions_and_clients_may_be_named_by_their_path(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = MemoryTransport()
    own = headwater.Client("key", "http://localhost", transport=transport)
    module = ModuleType("shop_users")
    vars(module).update(client=own, name=lambda _: "by path")
    monkeypatch.setitem(sys.modules, "shop_users", module)
    options.update(
        client="shop_users.client", distinct_id="shop_users.name", pageviews=True
    )
    Sync().get("/page")
    own.shutdown()
    assert [each.distinct_id for each in transport.events] == ["by path"]


def test_host_that_django_refuses_is_refused_by_django(events: RecordedEvents) -> None:
    assert Sync().get("/page", Host="evil.example").status_code == 200
    event = events.assert_captured("seen")
    assert event.properties["$current_url"] == "/page"
