"""Requests that come in one turn of the loop, past ASGI."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
from structlog.testing import capture_logs

from headwater_ingest.pipeline.web.pipeline import Settle, WebPipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest
    from packages.ingest.tests.http.plausible.conftest import WebEdge

    from headwater_ingest.http.answer import Answer
    from headwater_ingest.http.plausible import EventEndpoint
    from headwater_ingest.pipeline.web.request import WebRequest

PAGEVIEW = {"n": "pageview", "u": "https://www.example.com/a", "d": "example.com"}
USUAL = msgspec.json.encode(PAGEVIEW)
FAULTY: Final[Any] = None
"""No protocol hands over such a body."""
UNKNOWN_SITE = msgspec.json.encode({**PAGEVIEW, "d": "unknown.example"})


def take(
    endpoint: EventEndpoint, *bodies: bytes, deaf: Sequence[int] = ()
) -> list[list[Answer]]:
    """Hands over requests in one turn, and returns the answers to each.

    Args:
        endpoint: What takes them.
        bodies: Theirs.
        deaf: The numbers of those that cannot be given an answer.
    """
    answers: list[list[Answer]] = [[] for _ in bodies]

    async def run() -> None:
        are_all = asyncio.Event()

        def answer(number: int, found: Answer) -> None:
            if number in deaf:
                raise RuntimeError("nobody listens")
            answers[number].append(found)
            if sum(map(bool, answers)) == len(bodies) - len(deaf):
                are_all.set()

        for number, body in enumerate(bodies):
            endpoint.take([], body, "127.0.0.1", partial(answer, number))
        assert not any(answers), "they wait for the end of the turn"
        await asyncio.wait_for(are_all.wait(), 60)

    asyncio.run(run())
    return answers


def statuses(answers: Sequence[Sequence[Answer]]) -> list[list[int]]:
    return [[each.status for each in found] for found in answers]


def test_each_has_the_answer_that_it_would_have_alone(web: WebEdge) -> None:
    answers = take(web.endpoint, USUAL, UNKNOWN_SITE, b"[", USUAL)

    assert statuses(answers) == [[202], [202], [400], [202]]
    assert (b"x-headwater-dropped", b"not_found") in answers[1][0].headers
    assert len(web.rows()) == 2


def test_they_go_through_the_pipeline_together(
    web: WebEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    take_all = WebPipeline.take

    def count(pipeline: WebPipeline, requests: list[tuple[WebRequest, Settle]]) -> None:
        taken.append(len(requests))
        take_all(pipeline, requests)

    monkeypatch.setattr(WebPipeline, "take", count)

    take(web.endpoint, USUAL, USUAL, b"[", USUAL)

    assert taken == [3]
    assert len(web.journal.blobs) == 1


def test_one_that_breaks_something_hurts_no_other(web: WebEdge) -> None:
    with capture_logs() as logs:
        answers = take(web.endpoint, USUAL, FAULTY, USUAL)

    assert statuses(answers) == [[202], [500], [202]]
    assert [each["event"] for each in logs] == ["request failed"]


def test_one_whose_answer_cannot_be_made_hurts_no_other(
    web: WebEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(type(web.metrics), "count_refused")

    with capture_logs() as logs:
        answers = take(web.endpoint, b"[", USUAL)

    assert statuses(answers) == [[500], [202]]
    assert [each["event"] for each in logs] == ["request failed"]


def test_one_that_cannot_be_answered_hurts_no_other(web: WebEdge) -> None:
    bodies = (b"[", USUAL, UNKNOWN_SITE, USUAL)

    with capture_logs() as logs:
        answers = take(web.endpoint, *bodies, deaf=[0, 1, 2])

    assert statuses(answers) == [[], [], [], [202]]
    assert [each["event"] for each in logs] == 3 * ["answer failed"]
