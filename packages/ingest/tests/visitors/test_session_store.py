"""What every session store does, wherever it keeps the sessions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater_ingest.visitors.sessions import MAX_GAP_S, Session
from headwater_schema.outcomes import Reason

if TYPE_CHECKING:
    from packages.ingest.tests.visitors.conftest import Visitors

GOOGLE: dict[str, str | int] = {"referrer_source": "Google", "city_geoname_id": 5}
BING: dict[str, str | int] = {"referrer_source": "Bing", "browser": "Firefox"}


def opened(session: Session | Reason) -> Session:
    assert isinstance(session, Session)
    return session


def test_the_first_event_begins_a_session(visitors: Visitors) -> None:
    session = opened(visitors.visit(5, facts=GOOGLE))

    assert (session.user_id, session.time_s) == (5, visitors.now_s)
    assert session.facts == GOOGLE
    assert 0 < session.id < 2**64


def test_later_events_take_over_what_the_first_one_said(visitors: Visitors) -> None:
    first = opened(visitors.visit(facts=GOOGLE))
    second = opened(visitors.visit(after_s=60, facts=BING))

    assert (second.id, second.facts) == (first.id, GOOGLE)


def test_a_gap_of_half_an_hour_continues_and_a_longer_one_does_not(
    visitors: Visitors,
) -> None:
    first = opened(visitors.visit(facts=GOOGLE))
    second = opened(visitors.visit(after_s=MAX_GAP_S))
    third = opened(visitors.visit(after_s=MAX_GAP_S + 1, facts=BING))

    assert second.id == first.id
    assert third.id != first.id
    assert third.facts == BING


def test_every_event_prolongs_the_session(visitors: Visitors) -> None:
    sessions = [
        opened(visitors.visit()),
        opened(visitors.visit(after_s=MAX_GAP_S)),
        opened(visitors.visit(after_s=MAX_GAP_S, is_engagement=True)),
        opened(visitors.visit(after_s=MAX_GAP_S)),
    ]

    assert len({each.id for each in sessions}) == 1


def test_an_event_out_of_order_belongs_to_the_session(visitors: Visitors) -> None:
    first = opened(visitors.visit())

    second = opened(visitors.visit(after_s=-100))

    assert (second.id, second.time_s) == (first.id, first.time_s - 100)


def test_an_engagement_never_begins_a_session(visitors: Visitors) -> None:
    assert visitors.visit(is_engagement=True) is Reason.NO_SESSION_FOR_ENGAGEMENT
    visitors.visit()
    assert (
        visitors.visit(is_engagement=True, after_s=MAX_GAP_S + 1)
        is Reason.NO_SESSION_FOR_ENGAGEMENT
    )


def test_an_engagement_without_a_session_changes_nothing(visitors: Visitors) -> None:
    first = opened(visitors.visit(facts=GOOGLE))
    visitors.visit(is_engagement=True, after_s=MAX_GAP_S + 1)

    second = opened(visitors.visit(facts=BING))

    assert second.id != first.id
    assert second.facts == BING


def test_visitors_and_sites_are_told_apart(visitors: Visitors) -> None:
    sessions = [
        opened(visitors.visit(user_id, site_id=site_id))
        for user_id in (1, 2, 2**64 - 1)
        for site_id in (1, 2, 2**64 - 1)
    ]

    assert len({each.id for each in sessions}) == 9


def test_a_visit_over_midnight_keeps_its_session_and_its_id(visitors: Visitors) -> None:
    evening = opened(visitors.visit(1, facts=GOOGLE))
    morning = opened(visitors.visit(2, previous=1, after_s=60, facts=BING))
    later = opened(visitors.visit(2, previous=1, after_s=60, is_engagement=True))

    assert {(each.id, each.user_id) for each in (evening, morning, later)} == {
        (evening.id, 1)
    }


def test_a_new_visit_after_midnight_has_the_id_of_its_day(visitors: Visitors) -> None:
    evening = opened(visitors.visit(1))

    morning = opened(visitors.visit(2, previous=1, after_s=MAX_GAP_S + 1))

    assert morning.id != evening.id
    assert morning.user_id == 2


def test_the_id_of_today_goes_before_that_of_yesterday(visitors: Visitors) -> None:
    yesterday = opened(visitors.visit(1))
    today = opened(visitors.visit(2))

    assert opened(visitors.visit(2, previous=1)).id == today.id != yesterday.id


def test_events_side_by_side_share_one_session(visitors: Visitors) -> None:
    sessions = [opened(each) for each in visitors.visit_together(*([1] * 20), 2)]

    assert len({each.id for each in sessions[:20]}) == 1
    assert sessions[20].id != sessions[0].id


@dataclass
class Model:
    """The rules of a session, said once more, with nothing ever forgotten."""

    latest_s: dict[tuple[int, int], int] = field(default_factory=dict)
    session_of: dict[tuple[int, int], int] = field(default_factory=dict)
    count: int = 0

    def visit(
        self,
        user_id: int,
        *,
        site_id: int,
        previous: int | None,
        now_s: int,
        is_engagement: bool,
    ) -> int | None:
        for each in (user_id, previous):
            key = (site_id, each or 0)
            if each and now_s - self.latest_s.get(key, -(10**9)) <= MAX_GAP_S:
                self.latest_s[key] = now_s
                return self.session_of[key]
        if is_engagement:
            return None
        self.count += 1
        self.latest_s[site_id, user_id] = now_s
        self.session_of[site_id, user_id] = self.count
        return self.count


VISITS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from([7, 8]),
        st.none() | st.integers(1, 4),
        st.sampled_from([0, 1, 600, MAX_GAP_S - 1, MAX_GAP_S, MAX_GAP_S + 1, 4000]),
        st.booleans(),
    ),
    max_size=40,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visits=VISITS)
def test_sessions_are_those_of_the_model(
    visitors: Visitors, visits: list[tuple[int, int, int | None, int, bool]]
) -> None:
    visitors.now_s += 10 * MAX_GAP_S  # whatever an earlier example left has ended
    model = Model()
    found, expected = [], []
    for user_id, site_id, previous, after_s, is_engagement in visits:
        session = visitors.visit(
            user_id,
            site_id=site_id,
            previous=previous,
            after_s=after_s,
            is_engagement=is_engagement,
        )
        found.append(None if isinstance(session, Reason) else session.id)
        expected.append(
            model.visit(
                user_id,
                site_id=site_id,
                previous=previous,
                now_s=visitors.now_s,
                is_engagement=is_engagement,
            )
        )

    numbers = {each: number for number, each in enumerate(dict.fromkeys(found))}
    numbers_of_model = {
        each: number for number, each in enumerate(dict.fromkeys(expected))
    }
    assert [numbers[each] for each in found] == [
        numbers_of_model[each] for each in expected
    ]
    assert [each is None for each in found] == [each is None for each in expected]


@pytest.mark.parametrize("gap_s", [0, 1, MAX_GAP_S])
def test_ids_of_sessions_are_not_to_be_guessed(visitors: Visitors, gap_s: int) -> None:
    ids = {
        opened(visitors.visit(user_id, after_s=gap_s)).id for user_id in range(1, 50)
    }

    assert len(ids) == 49
    assert max(ids) > 2**62
