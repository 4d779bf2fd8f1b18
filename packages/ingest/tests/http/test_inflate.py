"""Compressed bodies: every legal form is taken, and none costs more than the limit."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater_ingest.http.body import inflate
from headwater_ingest.http.refusal import RequestRefusedError
from headwater_schema.limits import MAX_BATCH_BYTES
from headwater_schema.outcomes import ErrorCode

if TYPE_CHECKING:
    from packages.ingest.tests.http.conftest import Edge

Compress = Callable[[bytes], bytes]

MIB = 1024 * 1024
GOOD = msgspec.json.encode({"events": [{"event": "Clicked", "distinct_id": "ada"}]})


def zstd_of_unknown_size(data: bytes) -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(data) + packer.flush()


COMPRESS: dict[str, Compress] = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "zstd of unknown size": zstd_of_unknown_size,
}


def header(name: str) -> bytes:
    return name[:4].encode()


@contextmanager
def peak_below(limit: int) -> Iterator[None]:
    """Fails if Python's memory grows by more than `limit` at any time."""
    tracemalloc.start()
    try:
        yield
        grown = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert grown < limit, f"{grown / MIB:.0f} MiB"


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("spelled", ["{}", " {} ", "{:>9}"])
def test_a_compressed_body_is_taken(edge: Edge, name: str, spelled: str) -> None:
    encoding = spelled.format(header(name).decode())
    for written in (encoding, encoding.upper(), encoding.title()):
        answer = edge.post(COMPRESS[name](GOOD), headers={"Content-Encoding": written})
        assert answer.status_code == 200, answer.text

    assert len(edge.rows()) == 1


@pytest.mark.parametrize("written", ["", "identity", "Identity"])
def test_a_plain_body_is_taken(edge: Edge, written: str) -> None:
    answer = edge.post(GOOD, headers={"Content-Encoding": written})

    assert answer.json()["data"]["accepted"] == 1


@pytest.mark.parametrize("name", COMPRESS)
@settings(deadline=None, max_examples=50)
@given(parts=st.lists(st.binary(max_size=20_000), max_size=5))
def test_a_body_may_hold_several_streams(name: str, parts: list[bytes]) -> None:
    body = b"".join(map(COMPRESS[name], [b"", *parts]))

    assert inflate(body, header(name)) == b"".join(parts)


@pytest.mark.parametrize("name", COMPRESS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_body_that_ends_early_is_400_by_name(name: str, data: st.DataObject) -> None:
    content = random.Random(data.draw(st.integers())).randbytes(
        data.draw(st.integers(0, 3000))
    )
    body = COMPRESS[name](b"a whole one") + COMPRESS[name](content * 2)
    whole = len(COMPRESS[name](b"a whole one"))
    length = data.draw(st.integers(0, len(body) - 1).filter(lambda n: n != whole))

    with pytest.raises(RequestRefusedError) as caught:
        inflate(body[:length], header(name))

    assert caught.value.code == ErrorCode.MALFORMED_BODY
    assert str(caught.value).startswith(f"the body is not valid {name[:4]}: ")


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@settings(deadline=None, max_examples=50)
@given(body=st.binary(max_size=300))
def test_what_is_not_compressed_is_400_by_name(name: str, body: bytes) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        inflate(body, header(name))

    assert caught.value.code == ErrorCode.MALFORMED_BODY
    assert f"not valid {name}" in str(caught.value)


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_garbage_after_a_stream_is_400_by_name(name: str) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        inflate(COMPRESS[name](GOOD) + b"garbage", header(name))

    assert caught.value.code == ErrorCode.MALFORMED_BODY


def test_a_wrong_checksum_is_400_by_name(edge: Edge) -> None:
    body = bytearray(gzip.compress(GOOD))
    body[-8] ^= 1

    answer = edge.post(bytes(body), headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 400
    assert "not valid gzip" in answer.json()["message"]


def test_a_plain_body_that_says_gzip_is_400_by_name(edge: Edge) -> None:
    answer = edge.post(GOOD, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 400
    assert "not valid gzip" in answer.json()["message"]


@pytest.mark.parametrize("name", COMPRESS)
def test_a_body_may_inflate_to_the_limit_and_no_further(name: str) -> None:
    content = b"x" * MAX_BATCH_BYTES

    assert inflate(COMPRESS[name](content), header(name)) == content
    with pytest.raises(RequestRefusedError) as caught:
        inflate(COMPRESS[name](content + b"x"), header(name))
    assert caught.value.code == ErrorCode.TOO_LARGE


def make_gzip_bomb() -> bytes:
    packer = zlib.compressobj(wbits=31)
    block = bytes(MIB)
    return b"".join([*(packer.compress(block) for _ in range(200)), packer.flush()])


def make_bomb_of_members() -> bytes:
    return gzip.compress(bytes(MIB)) * 200


def make_zstd_bomb() -> bytes:
    return zstandard.compress(bytes(200 * MIB))


def make_zstd_bomb_of_unknown_size() -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    block = bytes(MIB)
    return b"".join([*(packer.compress(block) for _ in range(200)), packer.flush()])


@pytest.mark.parametrize(
    "make",
    [
        make_gzip_bomb,
        make_bomb_of_members,
        make_zstd_bomb,
        make_zstd_bomb_of_unknown_size,
    ],
)
def test_a_bomb_is_413_and_costs_no_more_than_the_limit(
    edge: Edge, make: Callable[[], bytes]
) -> None:
    encoding = "zstd" if "zstd" in make.__name__ else "gzip"
    bomb = make()
    assert len(bomb) < MIB

    with peak_below(MAX_BATCH_BYTES + 12 * MIB):
        answer = edge.post(bomb, headers={"Content-Encoding": encoding})

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert "connection" not in answer.headers, "the body was read to its end"


def test_the_window_that_a_zstd_frame_may_ask_for_is_bounded() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = packer.compress(GOOD) + packer.flush()

    with pytest.raises(RequestRefusedError) as caught:
        inflate(body, b"zstd")

    assert caught.value.code == ErrorCode.MALFORMED_BODY
    assert "memory" in str(caught.value)


def test_many_empty_members_cost_no_more_time_than_their_bytes() -> None:
    # Copying the rest of the body at each of 200,000 members would be 400 GB.
    members = gzip.compress(b"") * 200_000

    assert inflate(members + gzip.compress(GOOD), b"gzip") == GOOD
