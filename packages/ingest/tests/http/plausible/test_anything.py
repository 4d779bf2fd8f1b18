"""Whatever arrives at `/api/event`: an answer, never a 5xx and never an exception."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packages.ingest.tests.http.plausible.conftest import WebEdge

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | st.sampled_from(
        [
            *("pageview", "engagement", "404", "https://example.com/a?utm_source=x"),
            *("//", "data:x", "file:///x", "https://[::1", "http://%zz%00/%00", "?&=#"),
            *("example.com", "example.com,example.org", ",", '{"a": "\\u0000"}', "{"),
            '{"amount": "1e999999", "currency": "USD"}',
        ]
    )
)
NAMES = st.sampled_from(
    [
        *("n", "name", "u", "url", "d", "domain", "r", "referrer", "m", "meta", "p"),
        *("props", "revenue", "$", "h", "hashMode", "i", "interactive", "sd", "e", "v"),
        *("amount", "currency", "_json", ""),
    ]
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=7)
    ),
    max_leaves=25,
)
EVENTS = st.builds(
    lambda fields: {"n": "a", "u": "/", "d": "example.com", **fields},
    st.dictionaries(NAMES, TREES, max_size=6),
)
JSON = st.builds(msgspec.json.encode, TREES | EVENTS)
FORMS = st.lists(
    st.tuples(NAMES, st.text("ab[]=&%+;\r\n-", max_size=9)), max_size=6
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs).encode())
PLACES = st.integers(0, 60)
BODIES = st.one_of(
    st.binary(max_size=200),
    JSON,
    FORMS,
    st.builds(lambda body, end: body[:end], JSON, PLACES),
    st.builds(lambda body, at: body[:at] + b"\xff\x00" + body[at:], JSON, PLACES),
)
VALUES = st.sampled_from(
    [
        *("text/plain", "application/json", "application/x-www-form-urlencoded"),
        *("multipart/form-data; boundary=a", "multipart/mixed", "multipart/", ";", "/"),
        *("203.0.113.7", "203.0.113.7:80", "[2001:db8::1]:80", ":::", "for=", "for=_x"),
        *('for="[2001:db8::1]:4711";proto=http', "unknown", "dc_ip", "Googlebot/2.1"),
        *('"Chromium";v="142", "Not_A Brand";v="99"', '"Windows"', '"\\', "?1", "0"),
        *(
            '"\0Brand";v="1\0"',
            '"Opera";v="1\0.2"',
            '"Model\0"',
            "Mozilla/5.0 Chrome/9",
        ),
        *("99999999999999999999", "-1", "*/*", "text/html", "POST"),
    ]
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("content-type", "content-length", "accept", "user-agent", "expect"),
            *("x-plausible-ip", "cf-connecting-ip", "b-forwarded-for", "forwarded"),
            *("x-forwarded-for", "x-plausible-ip-type", "sec-ch-ua", "origin"),
            *("sec-ch-ua-platform", "sec-ch-ua-model", "sec-ch-ua-full-version-list"),
            *("access-control-request-method", "content-encoding"),
        ]
    ),
    VALUES | st.binary(max_size=30),
    max_size=6,
)


@settings(deadline=None, max_examples=600)
@given(
    body=BODIES,
    headers=HEADERS,
    method=st.sampled_from(["POST"] * 9 + ["OPTIONS", "GET", "PUT"]),
)
@example(body=b"[" * 200_000, headers={}, method="POST")
@example(body=b'{"n":' + b"9" * 5000 + b"}", headers={}, method="POST")
@example(
    body=b'{"n":"\\ud800","u":"\\udfff","d":"example.com"}', headers={}, method="POST"
)
@example(
    body=b'{"n":"a","u":"http://\\ud800.example","d":"example.com","p":"\\ud800"}',
    headers={"user-agent": b"\xff\xfe"},
    method="POST",
)
def test_whatever_arrives_is_answered(
    old_web: WebEdge, body: bytes, headers: dict[str, str | bytes], method: str
) -> None:
    answer = old_web.send(body, headers, method=method)

    assert answer.status_code in {202, 204, 400, 404, 406, 413}
    if answer.status_code == 202:
        assert answer.content == b"ok"
        dropped = int(answer.headers.get("x-plausible-dropped", 0))
        assert bool(dropped) == ("x-headwater-dropped" in answer.headers)
    if answer.status_code == 400:
        assert msgspec.json.decode(answer.content).keys() & {"errors", "status"}


@settings(deadline=None, max_examples=300)
@given(event=EVENTS, headers=HEADERS)
def test_whatever_is_stored_is_clean(
    old_web: WebEdge, event: dict[str, object], headers: dict[str, str | bytes]
) -> None:
    before = len(old_web.journal.blobs)

    old_web.send(event, {**headers, "content-type": "text/plain", "accept": "*/*"})

    for blob in old_web.journal.blobs[before:]:
        for text in texts_in(msgspec.msgpack.decode(blob)):
            assert "\0" not in text


def texts_in(value: object) -> Iterator[str]:
    """Yields every text in the row of an event, names of properties included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for pair in value.items() for text in texts_in(list(pair)))
    elif isinstance(value, list):
        yield from (text for each in value for text in texts_in(each))


HUGE: dict[str, tuple[dict[str, object], dict[str, str]]] = {
    "agent": ({}, {"user-agent": "Mozilla/5.0 (" + "Chrome/1 (;" * 10_000}),
    "hints": ({}, {"sec-ch-ua": '"a";v="1",' * 10_000, "sec-ch-ua-platform": "x" * 99}),
    "address": ({}, {"x-forwarded-for": "1." * 50_000}),
    "forwarded": ({}, {"forwarded": "for=1.2.3.4;" * 10_000}),
    "accept": ({}, {"accept": "text/html," * 10_000 + "*/*"}),
    "name": ({"n": "e\u0301" * 500_000}, {}),
    "url": ({"u": "https://example.com/" + "a%20" * 500_000}, {}),
    "url of blanks": ({"u": " " * 2_000_000}, {}),
    "domain": ({"d": "example.com," * 200_000}, {}),
    "referrer": ({"r": "https://" + "a." * 500_000}, {}),
    "props": ({"p": {f"k{number}": number for number in range(10_000)}}, {}),
    "props of blanks": ({"p": {"k": " " * 4_000_000}}, {}),
    "props as text": ({"p": '{"a":' * 100_000}, {}),
    "amount": ({"revenue": {"amount": "9" * 2_000_000, "currency": "USD"}}, {}),
    "depth": ({"n": "engagement", "sd": "9" * 2_000_000}, {}),
    "hash mode": ({"h": "-" * 2_000_000}, {}),
}


@pytest.mark.parametrize("what", HUGE)
def test_work_is_bounded_however_much_is_sent(web: WebEdge, what: str) -> None:
    fields, headers = HUGE[what]
    body = {"n": "a", "u": "/", "d": "example.com", **fields}
    web.send()
    started = time.process_time()

    answer = web.send(body, {**headers, "content-type": "application/json"})

    assert answer.status_code in {202, 400}
    assert time.process_time() - started < 1.0
