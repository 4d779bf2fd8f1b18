"""The Flask extension, under Flask as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import pytest

import headwater
from headwater.integrations.flask import Headwater
from headwater.testing import RecordedEvents


def make(**options: Any) -> flask.Flask:
    app = flask.Flask(__name__)
    app.secret_key = "test"
    Headwater(app, **options)

    @app.get("/page")
    def page() -> str:
        headwater.capture("user-1", "seen")
        return "<p>hello"

    @app.get("/json")
    async def json() -> dict[str, int]:
        headwater.capture("user-1", "asked")
        return {"a": 1}

    @app.get("/streamed")
    def streamed() -> flask.Response:
        def chunks() -> Iterator[str]:
            yield "one"
            headwater.capture("user-1", "streamed")

        return flask.Response(flask.stream_with_context(chunks()))

    @app.get("/login/<name>")
    def login(name: str) -> str:
        flask.session["user"] = name
        return ""

    @app.get("/broken")
    def broken() -> str:
        raise LookupError("no such cart")

    @app.get("/missing")
    def missing() -> str:
        flask.abort(404)

    return app


def test_event_has_the_context_of_its_request(events: RecordedEvents) -> None:
    make(ip=True, user_agent=True).test_client().get(
        "/page?a=1", headers={"X-Request-Id": "given-1", "User-Agent": "tester"}
    )
    assert events.assert_captured("seen").properties == {
        "$request_id": "given-1",
        "$request_method": "GET",
        "$current_url": "http://localhost/page?a=1",
        "$ip": "127.0.0.1",
        "$user_agent": "tester",
    }


@pytest.mark.parametrize("path, name", [("/json", "asked"), ("/streamed", "streamed")])
def test_context_reaches_async_views_and_streams(
    events: RecordedEvents, path: str, name: str
) -> None:
    make().test_client().get(path).get_data()
    events.assert_captured(name, {"$current_url": f"http://localhost{path}"})
    headwater.capture("user-1", "later")
    assert events.assert_captured("later").properties == {}


def test_user_of_the_session_is_named(events: RecordedEvents) -> None:
    app = make(distinct_id=lambda _: flask.session.get("user"), pageviews=True)
    client = app.test_client()
    client.get("/page")
    events.assert_not_captured("pageview")
    client.get("/login/anna")
    client.get("/page")
    view = events.assert_captured("pageview", distinct_id="anna", times=1)
    assert view.properties["$current_url"] == "http://localhost/page"


def test_exceptions_are_captured_once_and_refusals_are_none(
    events: RecordedEvents,
) -> None:
    client = make(exceptions=True).test_client()
    assert client.get("/broken").status_code == 500
    assert client.get("/missing").status_code == 404
    event = events.assert_captured("$exception", times=1)
    assert event.properties["$current_url"] == "http://localhost/broken"
    make().test_client().get("/broken")
    events.assert_captured("$exception", times=1)


def test_each_application_tells_of_its_own_exceptions(events: RecordedEvents) -> None:
    extension = Headwater(exceptions=True)
    app, other = flask.Flask("one"), flask.Flask("other")
    extension.init_app(app)
    other.add_url_rule("/", view_func=lambda: str(1 / 0))
    other.test_client().get("/")
    events.assert_not_captured()


def test_request_that_a_test_has_made_up_makes_no_trouble(
    events: RecordedEvents,
) -> None:
    app = make()
    with app.test_request_context("/page"):
        assert app.full_dispatch_request().status_code == 200
    events.assert_captured("seen")
