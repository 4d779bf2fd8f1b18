"""What tests of an application may claim about its events."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from headwater.testing import RecordedEvents


@pytest.fixture
def recorded() -> Iterator[RecordedEvents]:
    events = RecordedEvents()
    with events.client:
        yield events


def test_captured_events_are_there_at_once_and_in_order(
    recorded: RecordedEvents,
) -> None:
    recorded.client.capture("user-1", "first", {"n": 1}, groups={"company": "acme"})
    recorded.client.capture("user-2", "second")
    assert recorded.names == ["first", "second"]
    assert len(recorded) == 2
    assert [event.distinct_id for event in recorded] == ["user-1", "user-2"]
    first = recorded[0]
    assert (first.properties, first.groups) == ({"n": 1}, {"company": "acme"})
    assert first.timestamp
    assert recorded.named("second") == [recorded[1]]


def test_claim_that_holds_gives_the_event(recorded: RecordedEvents) -> None:
    recorded.client.capture(
        "user-1", "paid", {"amount": Decimal("1.50"), "tags": {"a", "b"}, "more": None}
    )
    event = recorded.assert_captured(
        "paid", {"amount": Decimal("1.50"), "tags": {"b", "a"}}, distinct_id="user-1"
    )
    assert event.properties["more"] is None
    recorded.assert_captured("paid", times=1)
    recorded.assert_not_captured("refunded")
    recorded.assert_no_errors()


@pytest.mark.parametrize(
    "claim, said",
    [
        ({"name": "refunded"}, r"expected 'refunded' \(\), found 0; captured were:"),
        ({"properties": {"n": 2}}, r"expected 'paid' \(n=2\), found 0"),
        ({"properties": {"m": None}}, r"expected 'paid' \(m=None\), found 0"),
        ({"distinct_id": "user-2"}, r"expected 'paid' by 'user-2' \(\), found 0"),
        ({"times": 2}, r"expected 'paid' \(\) 2 times, found 1"),
        ({"times": 0}, r"0 times, found 1"),
    ],
)
def test_claim_that_fails_shows_what_was_captured(
    recorded: RecordedEvents, claim: dict[str, object], said: str
) -> None:
    recorded.client.capture("user-1", "paid", {"n": 1})
    with pytest.raises(AssertionError, match=said) as failure:
        recorded.assert_captured(**{"name": "paid", **claim})  # type: ignore[arg-type] # of a table
    assert "\n  'paid' by 'user-1' (n=1)" in str(failure.value)


def test_claim_about_nothing_says_so(recorded: RecordedEvents) -> None:
    recorded.assert_not_captured()
    with pytest.raises(AssertionError, match="nothing was captured"):
        recorded.assert_captured("paid")


@pytest.mark.parametrize("name", ["paid", None])
def test_event_that_was_not_to_be_is_shown(
    recorded: RecordedEvents, name: str | None
) -> None:
    recorded.client.capture("user-1", "paid")
    with pytest.raises(AssertionError, match="was not to be captured"):
        recorded.assert_not_captured(name)


def test_complaints_of_the_client_are_kept_and_shown(recorded: RecordedEvents) -> None:
    recorded.client.capture("", "paid")
    assert len(recorded.errors) == 1
    with pytest.raises(AssertionError, match=r"has complained:\n  .*distinct_id"):
        recorded.assert_no_errors()
    with pytest.raises(AssertionError, match=r"\(complaint\) .*distinct_id"):
        recorded.assert_captured("paid")
