"""The short way to the fields of a usual body finds what the long one finds."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headwater_ingest.http.plausible_body import read_object
from headwater_ingest.http.plausible_fields import read_fields
from headwater_ingest.http.plausible_usual import read_usual
from headwater_ingest.pipeline.web.request import WebFields

USUAL = {"n": "pageview", "u": "https://example.com/a?b#c", "d": "example.com"}
TEXTS = st.text(max_size=9) | st.sampled_from(
    [
        *(
            "engagement",
            "404",
            "data:x",
            "https://example.com/%00?x",
            "a,b",
            " www.A ",
            "\0",
        ),
        *("x" * 120, "x" * 121, "https://example.com/" + "x" * 1990, "é" * 1001),
        *('{"plan": "pro"}', '{"plan": "\\u0000"}', "https://", "http:///", "//x"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(-9, 9) | TEXTS
PROPS = st.dictionaries(TEXTS, SCALARS | st.just("x" * 2001), max_size=33)
FIELDS = st.dictionaries(
    st.sampled_from([*("n", "u", "d", "r", "p", "v", "h", "i", "m", "url", "odd")]),
    SCALARS | PROPS,
    max_size=4,
)
KINDS = st.sampled_from(["text/plain", "application/json", ""])


@given(FIELDS, KINDS)
@example({"v": 4.0}, "text/plain")
@example({"r": False, "p": False}, "application/json")
@example({"p": {"a": "\0"}}, "text/plain")
@example({"n": "x\ud800"}, "text/plain")
def test_both_ways_find_the_same(fields: Mapping[str, Any], kind: str) -> None:
    try:
        body = msgspec.json.encode({**USUAL, **fields})
    except UnicodeEncodeError:  # half a character, which JSON can only escape
        body = b'{"n": "x\\ud800", "u": "https://example.com/", "d": "example.com"}'
    found = read_usual(body)
    if found is not None:
        assert found == read_fields(read_object(body, kind))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"v": 39, "r": "https://news.example/"},
        {"n": "Signup", "p": {"plan": "pro", "seats": 5, "trial": True}},
        {"d": "www.Example.com "},
    ],
)
def test_what_the_tracker_sends_goes_the_short_way(fields: dict[str, Any]) -> None:
    found = read_usual(msgspec.json.encode({**USUAL, **fields}))
    assert isinstance(found, WebFields)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": "engagement"},
        {"n": "404"},
        {"n": " "},
        {"d": "a.example,b.example"},
        {"d": ""},
        {"u": "Data:text/html,x"},
        {"u": "https://example.com/" + "x" * 2000},
        {"url": "https://example.com/"},
        {"h": 1},
        {"p": {"plan": "x" * 2001}},
        {"$": {"amount": "1", "currency": "EUR"}},
    ],
)
def test_all_else_goes_the_long_way(fields: dict[str, Any]) -> None:
    assert read_usual(msgspec.json.encode({**USUAL, **fields})) is None
