from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from headwater_ingest.pipeline.web.event import FACT_COLUMNS
from headwater_ingest.visitors.sessions import Session
from headwater_ingest.visitors.stored_session import (
    StoredFacts,
    decode_session,
    encode_session,
)

if TYPE_CHECKING:
    from headwater_ingest.visitors.sessions import Facts

LARGEST = 2**64 - 1


def test_every_fact_that_the_pipeline_makes_can_be_stored() -> None:
    assert set(StoredFacts.__annotations__) == set(FACT_COLUMNS)


@pytest.mark.parametrize("number", [0, 1, 2**63, LARGEST])
def test_what_is_stored_comes_back(number: int) -> None:
    facts: Facts = {"country_code": "GB", "city_geoname_id": 2**32 - 1, "browser": "é"}

    encoded = encode_session(number, number, facts)

    assert decode_session(encoded, time_s=5) == Session(number, number, 5, facts)


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        [1, 2],
        [-1, 2, {}],
        [1, -2, {}],
        ["1", 2, {}],
        [1, 2, []],
        [1, 2, {"browser": 5}],
        [1, 2, {"country_code": "GBR"}],
        [1, 2, {"city_geoname_id": 2**32}],
    ],
)
def test_what_no_row_could_hold_is_no_session(content: object) -> None:
    assert decode_session(msgspec.msgpack.encode(content), time_s=5) is None


@pytest.mark.parametrize("encoded", [b"", b"\xc1", b"\x93\x01", b"\x93\x01\x02\x80!"])
def test_what_is_no_message_is_no_session(encoded: bytes) -> None:
    assert decode_session(encoded, time_s=5) is None
