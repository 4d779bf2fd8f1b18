"""Whatever is given to `explain`: an explanation or a refusal, never an exception."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from packages.ingest.tests.explain.conftest import KEY, SITES

from headwater_ingest.explain.curl import is_curl, read_curl
from headwater_ingest.explain.explanation import explain
from headwater_ingest.explain.http_request import RequestTextError, read_raw
from headwater_ingest.explain.render import render
from headwater_ingest.explain.surroundings import Surroundings, look_around
from headwater_ingest.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["pageview", "engagement", "shop.example", "https://a.example/"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
WEB = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("n", "u", "d", "r", "p", "$", "v", "sd", "e"), VALUES)
)
EVENT = st.fixed_dictionaries(
    {"event": st.just("$identify") | VALUES, "distinct_id": st.just("u") | VALUES},
    optional={"properties": VALUES, "timestamp": VALUES, "event_id": VALUES},
)
BILLDOG = st.fixed_dictionaries(
    {"event_name": VALUES, "user_id": VALUES}, optional={"properties": VALUES}
)
BATCH = st.fixed_dictionaries(
    {"events": st.lists(EVENT | BILLDOG | VALUES, max_size=4)},
    optional={"batch_id": VALUES, "sent_at": VALUES, "sdk": VALUES},
)
BODIES = (WEB | BATCH | VALUES).map(lambda value: json.dumps(value).encode())
PATHS = st.sampled_from(
    ["/api/event", "/ingest-events", "/user-properties", "/api/event/", "/"]
) | st.text("/ab%?#[]\\\0é", max_size=8)
METHODS = st.sampled_from(["POST", "GET", "OPTIONS", "HEAD"])
KEYED = f"X-Headwater-Key: {KEY}\r\n".encode()
HEADERS = st.lists(
    st.binary(max_size=12)
    | st.sampled_from(
        [KEYED, b"Host: a b", b"Content-Encoding: gzip", b"X-Forwarded-For: [::1"]
    ),
    max_size=3,
).map(b"\r\n".join)
RAW = st.builds(
    lambda method, path, headers, body: (
        b"%b %b HTTP/1.1\r\n%b\r\n%b\r\n\r\n%b"
        % (method.encode(), path.encode(), KEYED.strip(), headers, body)
    ),
    METHODS,
    PATHS,
    HEADERS,
    BODIES | st.binary(max_size=60),
)
CURL = st.lists(
    st.text("curl -dHX'\"\\$@|;\n=:{}/?&aué", max_size=12)
    | st.sampled_from(
        ["http://n/api/event", "-d", "'{}'", "-H", "$'\\ud800'", "--json", "-u", "-X"]
    ),
    max_size=7,
).map(lambda words: " ".join(["curl", *words]).encode("utf-8", "replace"))


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Surroundings:
    folder = tmp_path_factory.mktemp("data")
    (folder / "sites.toml").write_text(SITES)
    return look_around(Settings(data_dir=folder), now_ms=1_795_313_859_000)


def explain_text(text: bytes, around: Surroundings) -> Mapping[str, object] | None:
    try:
        request = read_curl(text) if is_curl(text) else read_raw(text)
    except RequestTextError:
        return None
    explanation = asyncio.run(explain(request, around, peer="127.0.0.1"))
    assert all(line.isprintable() for line in render(explanation).splitlines())
    told: Mapping[str, object] = msgspec.json.decode(msgspec.json.encode(explanation))
    return told


@hypothesis_settings(max_examples=150, deadline=None)
@given(text=st.binary(max_size=300) | RAW | CURL)
@example(text=b"curl http://n/api/event -d @\0")
@example(text=b"curl http://n/api/event $'\\U0011ffff\\ud83d'")
@example(text=b"POST http://[ HTTP/1.1\n\n")
def test_anything_is_explained_or_refused(around: Surroundings, text: bytes) -> None:
    explain_text(text, around)


@hypothesis_settings(max_examples=100, deadline=None)
@given(text=RAW)
def test_what_begins_as_a_request_gets_an_answer(
    around: Surroundings, text: bytes
) -> None:
    told = explain_text(text, around)

    if told is not None:
        answer = told["answer"]
        assert isinstance(answer, dict)
        assert 200 <= answer["status"] < 500
