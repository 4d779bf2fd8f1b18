"""The WSGI middleware, in front of applications of PEP 3333, and under a server."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from contextvars import copy_context
from pathlib import Path
from typing import IO, Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest
from werkzeug.test import Client as WerkzeugClient

import headwater
from headwater.integrations.wsgi import HeadwaterMiddleware
from headwater.testing import RecordedEvents

HTML = [("Content-Type", "text/html")]


def page(environ: Any, start_response: Any) -> list[bytes]:
    headwater.capture("user-1", "seen")
    start_response("200 OK", HTML)
    return [b"<p>hello"]


class Streaming:
    """A body that captures while it is sent, and when it is closed."""

    def __init__(self, environ: Any, start_response: Any) -> None:
        start_response("200 OK", [("Content-Type", "text/plain")])

    def __iter__(self) -> Iterator[bytes]:
        yield b"one"
        headwater.capture("user-1", "streamed")

    def close(self) -> None:
        headwater.capture("user-1", "closed")


def broken(environ: Any, start_response: Any) -> list[bytes]:
    raise LookupError("no such cart")


def broken_later(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", HTML)
    yield b"one"
    raise LookupError("no such cart")


def get(app: Any, path: str = "/cart?a=1", **headers: str) -> Any:
    return WerkzeugClient(app).get(
        path,
        base_url="https://shop.example",
        headers={name.replace("_", "-"): text for name, text in headers.items()},
        environ_base={"REMOTE_ADDR": "192.0.2.7"},
    )


def test_event_has_the_context_of_its_request(events: RecordedEvents) -> None:
    app = HeadwaterMiddleware(page, ip=True, user_agent=True)
    get(app, X_Request_Id="given-1", Referer="https://n.example/", User_Agent="tester")
    assert events.assert_captured("seen").properties == {
        "$request_id": "given-1",
        "$request_method": "GET",
        "$current_url": "https://shop.example/cart?a=1",
        "$referrer": "https://n.example/",
        "$ip": "192.0.2.7",
        "$user_agent": "tester",
    }


def test_context_holds_until_the_body_is_closed_and_no_longer(
    events: RecordedEvents,
) -> None:
    with get(HeadwaterMiddleware(Streaming)) as response:
        assert response.get_data() == b"one"
    headwater.capture("user-1", "later")
    assert events.names == ["streamed", "closed", "later"]
    assert ["$current_url" in event.properties for event in events] == [
        True,
        True,
        False,
    ]


def test_body_that_is_closed_elsewhere_makes_no_trouble(
    events: RecordedEvents,
) -> None:
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    body = HeadwaterMiddleware(Streaming)(environ, lambda *_: lambda _: None)
    chunks = iter(body)
    assert copy_context().run(next, chunks) == b"one"
    copy_context().run(body.close)  # type: ignore[attr-defined] # of every body
    assert events.names == ["closed"]


def test_pageview_and_exceptions(events: RecordedEvents) -> None:
    options: Any = {
        "pageviews": True,
        "exceptions": True,
        "distinct_id": lambda environ: environ["PATH_INFO"],
    }
    get(HeadwaterMiddleware(page, **options))
    events.assert_captured("pageview", distinct_id="/cart", times=1)
    with pytest.raises(LookupError):
        get(HeadwaterMiddleware(broken, **options))
    events.assert_captured("$exception", distinct_id="/cart", times=1)
    with pytest.raises(LookupError):
        get(HeadwaterMiddleware(broken_later, **options)).get_data()
    events.assert_captured("$exception", distinct_id="/cart", times=2)


def test_file_goes_to_the_server_as_it_is(
    events: RecordedEvents, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"content")

    def send_file(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", HTML)
        return environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))

    environ: dict[str, Any] = {"wsgi.file_wrapper": FileWrapper}
    setup_testing_defaults(environ)
    body = HeadwaterMiddleware(send_file)(environ, lambda *_: lambda _: None)
    assert isinstance(body, FileWrapper)
    body.close()


def test_file_wrapper_that_is_a_function_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")

    def send_file(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", HTML)
        return environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))

    environ: dict[str, Any] = {"wsgi.file_wrapper": lambda file: file}
    setup_testing_defaults(environ)
    body = HeadwaterMiddleware(send_file)(environ, lambda *_: lambda _: None)
    with closing(cast("IO[bytes]", body)):
        assert b"".join(body) == b"data"


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[WSGIServer]:
    # The validator of the standard library stands on both sides.
    app = validator(HeadwaterMiddleware(validator(page)))
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_keeps_the_rules_of_pep_3333(
    events: RecordedEvents, server: WSGIServer
) -> None:
    url = f"http://127.0.0.1:{server.server_port}/page"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"<p>hello"
    events.assert_captured("seen", {"$current_url": url})
