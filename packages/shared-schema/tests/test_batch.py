"""Batches and answers on the wire."""

import json

import pytest

from headwater_schema.batch import (
    Answer,
    Batch,
    BatchResult,
    ErrorAnswer,
    EventResult,
    Sdk,
)
from headwater_schema.codec import decode_answer, decode_error, encode_json
from headwater_schema.events import Event
from headwater_schema.outcomes import ErrorCode, Outcome, Reason


def test_batch_sends_what_differs_from_the_defaults() -> None:
    batch = Batch(events=[Event("e", "d")], sdk=Sdk("headwater-python", "0.1.0"))
    assert json.loads(encode_json(batch)) == {
        "sdk": {"name": "headwater-python", "version": "0.1.0"},
        "events": [{"event": "e", "distinct_id": "d"}],
    }


def test_answer_spells_out_every_count() -> None:
    result = EventResult(Outcome.DROPPED, Reason.BOT)
    answer = Answer(
        data=BatchResult(accepted=1, dropped={"bot": 1}, results={"#1": result})
    )
    assert json.loads(encode_json(answer)) == {
        "success": True,
        "data": {
            "accepted": 1,
            "duplicates": 0,
            "dropped": {"bot": 1},
            "invalid": 0,
            "results": {"#1": {"outcome": "dropped", "reason": "bot"}},
        },
        "meta": {},
    }
    assert decode_answer(encode_json(answer)) == answer


@pytest.mark.parametrize("code", list(ErrorCode))
def test_error_says_the_same_wherever_clients_look(code: ErrorCode) -> None:
    answer = ErrorAnswer.of(code, "send it again")
    assert json.loads(encode_json(answer)) == {
        "success": False,
        "error": {"code": code, "message": "send it again"},
        "code": code,
        "message": "send it again",
        "detail": "send it again",
    }
    assert decode_error(encode_json(answer)) == answer
