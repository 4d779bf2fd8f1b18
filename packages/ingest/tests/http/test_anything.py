"""Whatever arrives: an answer in words, never a 5xx and never an exception."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import msgspec
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headwater_schema.codec import decode_answer, decode_error

if TYPE_CHECKING:
    from packages.ingest.tests.http.conftest import Edge

KEY = "hw_key_of_the_first_site"
PATHS = st.sampled_from(["/ingest-events", "/user-properties"])

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
    | st.sampled_from(
        ["$identify", "$create_alias", "$groupidentify", "$set", "$unset", "null"]
    )
)
NAMES = st.sampled_from(
    [
        *("api_key", "batch_id", "sent_at", "historical", "sdk", "client_losses"),
        *("events", "event", "event_id", "distinct_id", "timestamp", "properties"),
        *("groups", "event_name", "user_id", "event_timestamp", "operations"),
        *("operation", "key", "value", "name", "version", "alias", "$groups"),
        *("$ip", "$current_url", "$session_id", "$group_type", "$group_key"),
    ]
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=7)
    ),
    max_leaves=25,
)
JSON = st.builds(msgspec.json.encode, TREES)
BODIES = st.one_of(
    st.binary(max_size=200),
    JSON,
    st.builds(msgspec.msgpack.encode, TREES),
    st.builds(gzip.compress, JSON),
    st.builds(zstandard.compress, JSON),
    st.builds(lambda body, end: body[:end], JSON, st.integers(0, 60)),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("content-type", "content-encoding", "content-length", "authorization"),
            *("x-billdog-api-key", "x-headwater-key", "expect", "transfer-encoding"),
        ]
    ),
    st.sampled_from(
        [
            *("application/json", "application/msgpack", "gzip", "zstd", "br"),
            *(KEY, f"Bearer {KEY}", "Bearer", "", "0", "-1", "99999999999999999999"),
        ]
    )
    | st.binary(max_size=30),
    max_size=5,
)


@settings(deadline=None, max_examples=200)
@given(path=PATHS, body=BODIES, headers=HEADERS, message_pack=st.booleans())
@example(
    path="/user-properties",
    body=b'{"distinct_id":"a","operations":[{"operation":[]}]}',
    headers={},
    message_pack=False,
)
def test_whatever_arrives_is_answered_in_words(
    old_edge: Edge,
    path: str,
    body: bytes,
    headers: dict[str, str | bytes],
    *,
    message_pack: bool,
) -> None:
    kind = "application/msgpack" if message_pack else "application/json"

    answer = old_edge.post(body, path, headers={"content-type": kind, **headers})

    if answer.status_code == 200:
        decode_answer(answer.content)
    else:
        assert 400 <= answer.status_code < 500
        assert decode_error(answer.content).message
