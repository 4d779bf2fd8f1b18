"""The golden payloads: what both sides of the wire must make of the same bytes."""

import gzip
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from headwater_schema.codec import (
    MalformedBodyError,
    TooLargeError,
    decode_answer,
    decode_batch,
    decode_error,
)
from headwater_schema.errors import BodyError
from headwater_schema.outcomes import ErrorCode

GOLDEN = Path(__file__).parents[1] / "golden"
CODES = {
    ErrorCode.MALFORMED_BODY: MalformedBodyError,
    ErrorCode.TOO_LARGE: TooLargeError,
}


def payloads(folder: str) -> list[Path]:
    return sorted(
        path
        for path in (GOLDEN / folder).iterdir()
        if not path.name.endswith(".expected.json")
    )


def read(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def expected(path: Path) -> Any:
    name = path.name.split(".")[0]
    return json.loads((path.parent / f"{name}.expected.json").read_bytes())


def is_message_pack(path: Path) -> bool:
    return ".msgpack" in path.suffixes


def each(folder: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "path", [pytest.param(path, id=path.name) for path in payloads(folder)]
    )


@each("valid")
def test_valid_body_is_decoded_as_expected(path: Path) -> None:
    want = expected(path)
    batch = decode_batch(read(path), message_pack=is_message_pack(path))
    assert msgspec.to_builtins(batch.envelope) == want["envelope"]
    assert len(batch.events) == want["accepted"]
    if "events" in want:
        assert msgspec.to_builtins(batch.events) == want["events"]
    assert batch.refused_properties == want["refused_properties"]
    got = [(each.index, each.event_id, each.reason) for each in batch.refused]
    assert got == [
        (
            each["index"],
            each["event_id"] and msgspec.convert(each["event_id"], UUID),
            each["reason"],
        )
        for each in want["refused"]
    ]
    for refused, each in zip(batch.refused, want["refused"], strict=True):
        assert each["names"] in refused.detail


@each("invalid")
def test_invalid_body_is_refused_with_the_field_named(path: Path) -> None:
    want = expected(path)
    with pytest.raises(BodyError) as raised:
        decode_batch(read(path), message_pack=is_message_pack(path))
    assert type(raised.value) is CODES[want["code"]]
    assert want["names"] in str(raised.value)


@each("answers")
def test_answer_is_decoded_as_expected(path: Path) -> None:
    want = expected(path)
    decoders = {"answer": decode_answer, "error": decode_error}
    understood = {}
    for kind, decode in decoders.items():
        try:
            understood[kind] = msgspec.to_builtins(decode(read(path)))
        except MalformedBodyError:
            continue
    assert understood == ({want["kind"]: want["decoded"]} if "decoded" in want else {})
