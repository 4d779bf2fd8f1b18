"""Bodies are compressed where it pays, as the client was told."""

import gzip
from importlib.util import find_spec

import pytest
import zstandard

from headwater import _compression
from headwater._compression import choose


def test_small_bodies_are_not_worth_compressing() -> None:
    for compression in ("auto", "gzip", "zstd", "none"):
        assert choose(compression)(b"a" * 1023) is None


def test_gzip_is_gzip() -> None:
    compressed = choose("gzip")(b"a" * 1024)
    assert compressed is not None
    encoding, body = compressed
    assert encoding == "gzip"
    assert len(body) < 100
    assert gzip.decompress(body) == b"a" * 1024


def test_zstd_says_its_size_as_the_service_wants_to_know_it() -> None:
    compressed = choose("zstd")(b"a" * 1024)
    assert compressed is not None
    encoding, body = compressed
    assert encoding == "zstd"
    assert zstandard.frame_content_size(body) == 1024
    assert zstandard.decompress(body) == b"a" * 1024


def test_auto_takes_zstd_for_large_bodies() -> None:
    encodings = [choose("auto")(b"a" * size) for size in (2_000, 16 * 1024)]
    assert [each and each[0] for each in encodings] == ["gzip", "zstd"]


def test_auto_is_gzip_where_zstandard_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert find_spec("zstandard")
    monkeypatch.setattr(_compression, "has_zstd", lambda: False)
    compressed = choose("auto")(b"a" * 16 * 1024)
    assert compressed is not None
    assert compressed[0] == "gzip"


def test_none_is_none() -> None:
    assert choose("none")(b"a" * 16 * 1024) is None
