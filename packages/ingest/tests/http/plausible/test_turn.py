"""Requests that come in one turn of the loop, past ASGI."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec
from structlog.testing import capture_logs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packages.ingest.tests.http.plausible.conftest import WebEdge

    from headwater_ingest.http.answer import Answer
    from headwater_ingest.http.plausible import EventEndpoint

PAGEVIEW = {"n": "pageview", "u": "https://www.example.com/a", "d": "example.com"}
USUAL = msgspec.json.encode(PAGEVIEW)
FAULTY: Final[Any] = None
"""No protocol hands over such a body."""
UNKNOWN_SITE = msgspec.json.encode({**PAGEVIEW, "d": "unknown.example"})


def take(
    endpoint: EventEndpoint, *bodies: bytes, deaf: Sequence[int] = ()
) -> dict[int, Answer]:
    """Hands over requests in one turn, and returns their answers by their numbers.

    Args:
        endpoint: What takes them.
        bodies: Theirs.
        deaf: The numbers of those that cannot be given an answer.
    """
    answers: dict[int, Answer] = {}

    async def run() -> None:
        are_all = asyncio.Event()
        for number, body in enumerate(bodies):

            def answer(found: Answer, number: int = number) -> None:
                if number in deaf:
                    raise RuntimeError("nobody listens")
                assert number not in answers
                answers[number] = found
                if len(answers) == len(bodies) - len(deaf):
                    are_all.set()

            endpoint.take([], body, "127.0.0.1", answer)
        await are_all.wait()

    asyncio.run(run())
    return answers


def test_each_has_the_answer_that_it_would_have_alone(web: WebEdge) -> None:
    answers = take(web.endpoint, USUAL, UNKNOWN_SITE, b"[", USUAL)

    assert [answers[number].status for number in range(4)] == [202, 202, 400, 202]
    assert (b"x-headwater-dropped", b"not_found") in answers[1].headers
    assert len(web.rows()) == 2


def test_they_go_to_the_journal_together(web: WebEdge) -> None:
    take(web.endpoint, USUAL, USUAL, USUAL)

    assert len(web.journal.blobs) == 1


def test_one_that_breaks_something_hurts_no_other(web: WebEdge) -> None:
    with capture_logs() as logs:
        answers = take(web.endpoint, USUAL, FAULTY, USUAL)

    assert [answers[number].status for number in range(3)] == [202, 500, 202]
    assert [each["event"] for each in logs] == ["request failed"]


def test_one_that_cannot_be_answered_hurts_no_other(web: WebEdge) -> None:
    bodies = (b"[", USUAL, UNKNOWN_SITE, USUAL)

    with capture_logs() as logs:
        answers = take(web.endpoint, *bodies, deaf=[0, 1, 2])

    assert answers[3].status == 202
    assert [each["event"] for each in logs] == 3 * ["answer failed"]
