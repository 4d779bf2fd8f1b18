"""Each answer of a server leads to one verdict."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater import Response
from headwater._verdict import Foreign, Refused, Taken, TryAgain, Verdict, judge
from headwater_schema.batch import Answer, BatchResult, ErrorAnswer, EventResult
from headwater_schema.outcomes import ErrorCode

GOLDEN = Path(__file__).parents[2] / "shared-schema/golden/answers"


def verdict_on(
    status: int, body: bytes = b"", headers: dict[str, str] | None = None
) -> Verdict:
    return judge(Response(status, headers or {}, body), 0.0)


def encoded(answer: Answer | ErrorAnswer) -> bytes:
    return msgspec.json.encode(answer)


def test_answer_to_a_batch_means_taken() -> None:
    results = {"id": EventResult("dropped", "throttle")}
    body = encoded(Answer(data=BatchResult(accepted=1, results=results)))
    assert verdict_on(200, body) == Taken(results)


def test_answer_of_a_newer_server_is_understood() -> None:
    body = b'{"success":true,"data":{"accepted":1,"new":2},"meta":{"a":1},"more":[]}'
    assert verdict_on(200, body) == Taken({})


@pytest.mark.parametrize(
    "status, body",
    [
        (200, b"ok"),
        (200, b""),
        (204, b""),
        (200, b"<html>Log in"),
        (200, b"[]"),
        (200, b'{"status":1}'),
        (200, b'{"success":false,"data":{}}'),
        (200, b"\xff\xfe"),
    ],
)
def test_success_in_other_words_is_foreign(status: int, body: bytes) -> None:
    assert isinstance(verdict_on(status, body), Foreign)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_passing_troubles_are_tried_again(status: int) -> None:
    assert isinstance(verdict_on(status), TryAgain)


@pytest.mark.parametrize("status", [301, 308, 400, 401, 402, 403, 404, 415, 422])
def test_other_refusals_are_final(status: int) -> None:
    verdict = verdict_on(status)
    assert isinstance(verdict, Refused)
    assert not verdict.is_too_large


def test_too_large_may_be_sent_in_parts() -> None:
    verdict = verdict_on(413)
    assert isinstance(verdict, Refused)
    assert verdict.is_too_large


def test_refusal_carries_the_code_and_message_of_the_server() -> None:
    body = encoded(ErrorAnswer.of(ErrorCode.UNKNOWN_KEY, "no site has this key"))
    assert verdict_on(401, body) == Refused(
        401, "unknown_key", "no site has this key", is_too_large=False
    )


def test_refusal_by_a_stranger_shows_what_it_said() -> None:
    verdict = verdict_on(404, b" <h1>Not found</h1> " + b"x" * 999)
    assert isinstance(verdict, Refused)
    assert verdict.message.startswith("<h1>Not found</h1>")
    assert len(verdict.message) <= 200


def test_redirect_says_where_to() -> None:
    verdict = verdict_on(301, b"", {"location": "https://elsewhere"})
    assert isinstance(verdict, Refused)
    assert verdict.message == "redirects to https://elsewhere"


def test_wait_that_the_server_asks_for_is_kept() -> None:
    body = encoded(ErrorAnswer.of(ErrorCode.THROTTLED, "slow down"))
    assert verdict_on(429, body, {"retry-after": "7"}) == TryAgain(
        "429 throttled: slow down", 7
    )


@settings(deadline=None)
@given(status=st.integers(100, 999), body=st.binary(max_size=50))
def test_any_answer_gets_a_verdict(status: int, body: bytes) -> None:
    assert isinstance(verdict_on(status, body), Taken | TryAgain | Refused | Foreign)


@pytest.mark.parametrize(
    "path",
    [path for path in GOLDEN.glob("*.json") if "expected" not in path.name],
    ids=lambda path: path.stem,
)
def test_golden_answers_are_understood(path: Path) -> None:
    expected = msgspec.json.decode(path.with_suffix(".expected.json").read_bytes())
    body = path.read_bytes()
    match expected["kind"]:
        case "answer":
            results = expected["decoded"]["data"]["results"]
            assert verdict_on(200, body) == Taken(
                msgspec.convert(results, dict[str, EventResult])
            )
        case "error":
            error = expected["decoded"]["error"]
            assert verdict_on(401, body) == Refused(
                401, error["code"], error["message"], is_too_large=False
            )
        case _:
            assert isinstance(verdict_on(200, body), Foreign)
