"""Methods, content types, limits, statuses and headers of `/api/event`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from headwater_ingest.errors import (
    JournalClosedError,
    JournalFullError,
    JournalUnwritableError,
)

if TYPE_CHECKING:
    from packages.ingest.tests.http.plausible.conftest import WebEdge

BODY = b'{"n":"pageview","u":"https://example.com/a","d":"example.com"}'
MULTIPART = (
    b'----x\r\nContent-Disposition: form-data; name="n"\r\n\r\npageview\r\n'
    b'----x\r\nContent-Disposition: form-data; name="u"\r\n\r\n'
    b"https://example.com/a\r\n"
    b'----x\r\ncontent-disposition: form-data; name="d"\r\n'
    b"Content-Type: text/plain\r\n\r\nexample.com\r\n----x--\r\n"
)
UNREADABLE = {"errors": {"request": ["Unable to parse request body as json"]}}
CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-credentials": "true",
    "access-control-expose-headers": "",
}


def test_an_event_is_taken_with_the_answer_that_trackers_expect(web: WebEdge) -> None:
    answer = web.send(BODY)

    assert (answer.status_code, answer.text) == (202, "ok")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-length"] == "2"
    assert not [name for name in answer.headers if name.endswith("-dropped")]
    (row,) = web.rows()
    assert (row["name"], row["site_id"]) == ("pageview", 7)
    assert row["timestamp"] == 1_750_003_245_000
    assert row["received_at"] == 1_750_003_245_678
    assert web.counted("headwater_events_total", outcome="accepted") == 1


@pytest.mark.parametrize(
    "kind,body",
    [
        ("text/plain", BODY),
        ("text/plain;charset=UTF-8", BODY),
        ("", BODY),
        ("application/octet-stream", BODY),
        ("application/json", BODY),
        ("application/json; charset=utf-8", BODY),
        (
            "application/x-www-form-urlencoded",
            b"n=pageview&u=https%3A%2F%2Fexample.com%2Fa&d=example.com",
        ),
        ('multipart/form-data; boundary="--x"', MULTIPART),
        ("multipart/form-data; boundary=--x; charset=utf-8", MULTIPART),
    ],
)
def test_an_event_comes_under_many_content_types(
    web: WebEdge, kind: str, body: bytes
) -> None:
    answer = web.send(body, {"content-type": kind})

    assert (answer.status_code, answer.text) == (202, "ok")
    (row,) = web.rows()
    assert (row["name"], row["pathname"]) == ("pageview", "/a")


def test_the_props_of_a_form_come_in_brackets(web: WebEdge) -> None:
    web.send(
        b"n=a&u=/b&d=example.com&props[plan]=pro&props[size]=3&revenue[amount]=1",
        {"content-type": "application/x-www-form-urlencoded"},
    )

    (row,) = web.rows()
    assert row["props"] == {"plan": "pro", "size": "3"}


def test_a_form_may_say_a_field_twice_and_in_two_ways(web: WebEdge) -> None:
    web.send(
        b"n=a&n=b&u=/&d=example.com&p=text&p[plan]=pro&x[=1",
        {"content-type": "application/x-www-form-urlencoded"},
    )

    (row,) = web.rows()
    assert (row["name"], row["props"]) == ("b", {})


def test_a_form_of_too_many_fields_is_refused(web: WebEdge) -> None:
    answer = web.send(
        b"&".join([b"a=1"] * 1001),
        {"content-type": "application/x-www-form-urlencoded"},
    )

    assert (answer.status_code, answer.json()) == (400, UNREADABLE)


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=y", "multipart/x;;"]
)
def test_parts_that_are_not_to_be_told_apart_are_no_fields(
    web: WebEdge, kind: str
) -> None:
    answer = web.send(MULTIPART, {"content-type": kind})

    assert answer.status_code == 400
    assert answer.json()["errors"].keys() == {"event_name", "url", "domain"}


def test_parts_without_a_name_are_passed_over(web: WebEdge) -> None:
    body = MULTIPART.replace(b'name="d"', b'filename="d"')

    answer = web.send(body, {"content-type": "multipart/form-data; boundary=--x"})

    # Without a domain it is the host of the URL.
    assert answer.status_code == 202
    assert len(web.rows()) == 1


def test_a_client_that_hangs_up_in_its_body_gets_no_answer(web: WebEdge) -> None:
    sent: list[object] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/event",
        "headers": [(b"content-type", b"text/plain")],
        "client": None,
    }
    asyncio.run(web.app(scope, receive, send))

    assert sent == []
    assert web.rows() == []


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"no json", b'"text"', b"[]", b"[{}]", b"null", b"12", b'{"n":', b"{"),
        *(b'{"n":NaN}', b'{"n":-Infinity}', b'{"n":"a\nb"}', b'{"n":"\xff"}'),
    ],
)
def test_a_text_that_is_no_object_is_refused(web: WebEdge, body: bytes) -> None:
    answer = web.send(body)

    assert (answer.status_code, answer.json()) == (400, UNREADABLE)
    assert web.counted("headwater_requests_refused_total", code="malformed_body") == 1
    assert web.counted("headwater_events_total") == 0


@pytest.mark.parametrize("body", [b"no json", b'{"n":', b"{} {}"])
def test_json_that_is_malformed_is_a_bad_request(web: WebEdge, body: bytes) -> None:
    answer = web.send(body, {"content-type": "application/json"})

    assert answer.status_code == 400
    assert answer.content == b'{"status":400,"message":"Bad Request"}'


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'[{"n":"a"}]', b"12", b"null"])
def test_json_without_fields_lacks_them_all(web: WebEdge, body: bytes) -> None:
    answer = web.send(body, {"content-type": "application/json"})

    assert answer.status_code == 400
    assert answer.json() == {
        "errors": {
            "event_name": ["can't be blank"],
            "url": ["is required"],
            "domain": ["can't be blank"],
        }
    }


@pytest.mark.parametrize(
    "kind,length,status",
    [
        ("text/plain", 1_000_000, 202),
        ("text/plain", 1_000_001, 400),
        ("application/json", 1_000_001, 202),
        ("application/json", 8_000_001, 413),
        ("application/x-www-form-urlencoded", 8_000_001, 413),
    ],
)
def test_the_room_for_a_body_goes_by_its_content_type(
    web: WebEdge, kind: str, length: int, status: int
) -> None:
    answer = web.send(BODY.ljust(length), {"content-type": kind})

    assert answer.status_code == status
    if status == 400:
        assert answer.json() == UNREADABLE
    if status >= 400:
        assert answer.headers["connection"] == "close"
        assert web.counted("headwater_requests_refused_total", code="too_large") == 1


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "application/*;q=0.5",
        "text/html, application/xhtml+xml, */*;q=0.8",
        "APPLICATION/JSON",
    ],
)
def test_a_client_that_takes_json_is_served(web: WebEdge, accept: str) -> None:
    assert web.send(BODY, {"accept": accept}).status_code == 202


@pytest.mark.parametrize("accept", ["text/html", "text/html, image/*"])
def test_a_client_that_takes_no_json_is_refused(web: WebEdge, accept: str) -> None:
    assert web.send(BODY, {"accept": accept}).status_code == 406
    assert web.rows() == []


def test_a_body_that_is_not_what_it_says_goes_before_what_the_client_takes(
    web: WebEdge,
) -> None:
    headers = {"accept": "text/html", "content-type": "application/json"}
    assert web.send(b'{"n":', headers).status_code == 400
    assert web.send(b"{}", headers).status_code == 406
    assert web.send(b'{"n":', {"accept": "text/html"}).status_code == 406


def test_a_preflight_allows_everything(web: WebEdge) -> None:
    answer = web.send(
        b"",
        {"origin": "https://a.example", "access-control-request-method": "POST"},
        method="OPTIONS",
    )

    assert (answer.status_code, answer.content) == (204, b"")
    assert dict(answer.headers) == {
        **CORS,
        "access-control-max-age": "1728000",
        "access-control-allow-methods": "GET,POST,PUT,PATCH,DELETE,OPTIONS",
        "access-control-allow-headers": (
            "Authorization,Content-Type,Accept,Origin,User-Agent,DNT,Cache-Control,"
            "X-Mx-ReqToken,Keep-Alive,X-Requested-With,If-Modified-Since,X-CSRF-Token"
        ),
    }


def test_options_that_are_no_preflight_have_no_route(web: WebEdge) -> None:
    answer = web.send(b"", method="OPTIONS")

    assert answer.status_code == 404
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "QUERY"])
def test_other_methods_have_no_route(web: WebEdge, method: str) -> None:
    answer = web.send(BODY, method=method)

    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == "*"
    assert web.rows() == []


@pytest.mark.parametrize(
    "body,headers,status",
    [
        (BODY, {}, 202),
        (b"", {}, 400),
        (b"{}", {}, 400),
        (b"{", {"content-type": "application/json"}, 400),
        (b" " * 8_000_001, {"content-type": "application/json"}, 413),
        (BODY, {"accept": "text/html"}, 406),
    ],
)
def test_scripts_of_any_origin_may_read_every_answer(
    web: WebEdge, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = web.send(body, {"origin": "https://other.example", **headers})

    assert answer.status_code == status
    assert CORS.items() <= dict(answer.headers).items()


def test_drops_are_counted_and_named_in_headers(web: WebEdge) -> None:
    answer = web.send(
        {"n": "a", "u": "/b", "d": "nowhere.example,example.com,gone.example"}
    )

    assert (answer.status_code, answer.text) == (202, "ok")
    assert answer.headers["x-plausible-dropped"] == "2"
    assert answer.headers["x-headwater-dropped"] == "not_found"
    assert len(web.rows()) == 1
    assert web.counted("headwater_events_total", outcome="accepted") == 1
    assert web.counted("headwater_events_total", reason="not_found") == 2
    assert web.journal.counts == {
        (7, "accepted", ""): 1,
        (0, "dropped", "not_found"): 2,
    }


def test_steps_are_timed_by_name(web: WebEdge) -> None:
    web.send(BODY)

    for step in ("drop_spam_referrer", "put_user_id", "register_session"):
        name = "headwater_pipeline_step_seconds_count"
        assert web.counted(name, step=step) == 1


def test_a_drop_is_counted_for_its_site(web: WebEdge) -> None:
    web.send(BODY, {"user-agent": "A bot"})

    assert web.journal.counts == {(7, "dropped", "bot"): 1}


def test_the_first_of_repeated_headers_counts(web: WebEdge) -> None:
    web.places.known["192.0.2.1"] = web.places.locate("")._replace(country_code="DE")

    row = web.take({"X-Forwarded-For": "192.0.2.1", "x-forwarded-for": "192.0.2.2"})

    assert row["country_code"] == "DE"


@pytest.mark.parametrize(
    "error,code",
    [
        (JournalFullError("full"), "journal_full"),
        (JournalUnwritableError("broken"), "journal_full"),
        (JournalClosedError("closed"), "draining"),
    ],
)
def test_what_is_not_on_disk_is_not_acknowledged(
    web: WebEdge, error: Exception, code: str
) -> None:
    web.journal.error = error  # type: ignore[assignment]

    for body in (BODY, b'{"n":"a","u":"/b","d":"example.com,example.org"}'):
        answer = web.send(body)

        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert msgspec.json.decode(answer.content)["status"] == 503
    assert web.counted("headwater_requests_refused_total", code=code) == 2
    assert web.counted("headwater_events_total") == 0
    assert not web.journal.counts


def test_a_node_that_drains_refuses_events(web: WebEdge) -> None:
    web.door.refusing = True

    answer = web.send(BODY)

    assert answer.status_code == 503
    assert answer.headers["connection"] == "close"
    assert web.counted("headwater_requests_refused_total", code="draining") == 1


def test_an_event_is_not_dropped_before_all_sites_are_known(web: WebEdge) -> None:
    web.sites.replace(web.sites.sites, are_all=False)

    answer = web.send(BODY.replace(b'"example.com', b'"shop.example'))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert web.counted("headwater_requests_refused_total", code="sites_unknown") == 1
    assert web.send(BODY).status_code == 202
