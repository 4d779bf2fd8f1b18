from collections.abc import Iterator
from itertools import count, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.visitors.salts import DAY_MS, DaySalt, Salts

TODAY = 20_778
HOUR_MS = 3_600_000
MIDNIGHT_MS = TODAY * DAY_MS
NOON_MS = MIDNIGHT_MS + DAY_MS // 2
FIXED_MS = MIDNIGHT_MS + DAY_MS - 5 * 60_000  # when tomorrow's salt is


def salt(number: int) -> bytes:
    return number.to_bytes(16)


def numbered() -> Iterator[bytes]:
    return map(salt, count(1))


def fresh(*known: DaySalt, delay_ms: int = 0) -> Salts:
    made = numbered()
    return Salts(known, delay_ms=delay_ms, make_salt=lambda: next(made))


def days(salts: Salts) -> list[int]:
    return sorted(each.day for each in salts.known)


class Table:
    """The shared table: of a day the salt that came first counts."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, bytes]] = []

    def read(self) -> dict[int, bytes]:
        return dict(reversed(self.rows))

    def exchange(self, salts: Salts, now_ms: int) -> None:
        """Do what `salt_sync.py` does at one look."""
        salts.forget(now_ms=now_ms)
        found = self.read()
        for day, offered in salts.offers(now_ms=now_ms).items():
            if day not in found:
                self.rows.append((day, offered))
        salts.adopt(self.read(), now_ms=now_ms)
        # The partitions of old days are dropped.
        self.rows = [row for row in self.rows if row[0] >= now_ms // DAY_MS - 1]


def test_a_day_has_one_salt_and_the_next_another() -> None:
    salts, table = fresh(), Table()
    table.exchange(salts, NOON_MS)

    today = salts.current(NOON_MS)

    assert salts.current(MIDNIGHT_MS + DAY_MS - 1) == today
    assert salts.previous(MIDNIGHT_MS + DAY_MS) == today
    assert salts.current(MIDNIGHT_MS + DAY_MS) != today


def test_a_first_day_has_none_before_it() -> None:
    salts = fresh()
    Table().exchange(salts, NOON_MS)

    assert salts.previous(NOON_MS) is None


@pytest.mark.parametrize(
    "now_ms,expected",
    [
        (MIDNIGHT_MS, [TODAY]),
        (NOON_MS + 39_999, [TODAY]),
        (NOON_MS + 40_000, [TODAY, TODAY + 1]),
        (MIDNIGHT_MS + DAY_MS - 1, [TODAY, TODAY + 1]),
    ],
)
def test_tomorrows_salt_is_made_after_noon(now_ms: int, expected: list[int]) -> None:
    assert list(fresh(delay_ms=40_000).offers(now_ms=now_ms)) == expected


def test_nodes_wait_for_different_times_of_at_most_a_minute() -> None:
    first_offers = set()
    for _ in range(40):
        salts = Salts()
        times = [NOON_MS + second * 1000 for second in range(61)]
        offers = [time for time in times if len(salts.offers(now_ms=time)) == 2]
        first_offers.add(offers[0])

    assert len(first_offers) > 10
    assert max(first_offers) <= NOON_MS + 60_000


def test_a_node_alone_offers_what_it_has() -> None:
    salts = fresh()
    local = salts.current(NOON_MS - 1)

    assert salts.offers(now_ms=NOON_MS - 1) == {TODAY: local}


def test_a_salt_that_nobody_else_has_is_said_to_be_local() -> None:
    salts = fresh()
    assert not salts.is_shared(NOON_MS)

    local = salts.current(NOON_MS)
    assert not salts.is_shared(NOON_MS)
    assert salts.current(NOON_MS + 1) == local

    salts.adopt({TODAY: salt(99)}, now_ms=NOON_MS + HOUR_MS)
    assert salts.is_shared(NOON_MS + HOUR_MS)
    assert salts.current(NOON_MS + HOUR_MS) == salt(99)


def test_tomorrows_salt_may_change_until_it_is_fixed() -> None:
    salts = fresh()
    salts.adopt({TODAY + 1: salt(1)}, now_ms=NOON_MS)

    salts.adopt({TODAY + 1: salt(2)}, now_ms=FIXED_MS - 1)
    salts.adopt({TODAY + 1: salt(3)}, now_ms=FIXED_MS)
    salts.adopt({TODAY + 1: salt(4)}, now_ms=FIXED_MS + HOUR_MS)

    assert salts.current(MIDNIGHT_MS + DAY_MS) == salt(2)


def test_the_salt_of_a_day_that_has_begun_is_fixed_soon() -> None:
    salts = fresh()
    salts.adopt({TODAY: salt(1)}, now_ms=NOON_MS)

    salts.adopt({TODAY: salt(2)}, now_ms=NOON_MS + 2_000)
    salts.adopt({TODAY: salt(3)}, now_ms=NOON_MS + 32_000)

    assert salts.current(NOON_MS + 32_000) == salt(2)


def test_a_restart_changes_nothing() -> None:
    salts, table = fresh(), Table()
    for hour in (0, 13, 24, 37):
        table.exchange(salts, MIDNIGHT_MS + hour * HOUR_MS)
    now_ms = MIDNIGHT_MS + 38 * HOUR_MS

    again = Salts(salts.known)

    assert again.current(now_ms) == salts.current(now_ms)
    assert again.previous(now_ms) == salts.previous(now_ms) is not None
    assert again.is_shared(now_ms)


def test_a_salt_is_forgotten_when_its_day_is_two_days_past() -> None:
    salts, table = fresh(), Table()
    table.exchange(salts, NOON_MS)
    end_ms = MIDNIGHT_MS + 2 * DAY_MS

    salts.forget(now_ms=end_ms - 1)
    assert salts.previous(end_ms - 1) == salt(1)
    salts.forget(now_ms=end_ms)

    assert TODAY not in days(salts)
    assert salts.previous(end_ms) != salt(1)


def test_an_old_salt_is_not_used_although_it_was_not_forgotten_yet() -> None:
    salts = fresh(DaySalt(TODAY, salt(5), is_local=False, fixed_at_ms=0))

    assert salts.previous(MIDNIGHT_MS + 2 * DAY_MS) is None


@pytest.mark.parametrize("day", [TODAY - 2, TODAY + 2])
def test_a_salt_that_is_not_needed_is_not_taken(day: int) -> None:
    salts = fresh()

    salts.adopt({day: salt(1)}, now_ms=NOON_MS)

    assert salts.known == ()


def test_nodes_that_start_together_agree_after_they_have_read_again() -> None:
    nodes, table = [Salts(), Salts(), Salts()], Table()
    now_ms = NOON_MS - HOUR_MS
    # Each looks before any has written, so each writes.
    offers = [node.offers(now_ms=now_ms) for node in nodes]
    for node, offered in zip(nodes, offers, strict=True):
        table.rows += offered.items()
        node.adopt(table.read(), now_ms=now_ms)

    for node in nodes:
        table.exchange(node, now_ms + 2_000)

    assert len({node.current(now_ms + 2_000) for node in nodes}) == 1


def test_nodes_that_were_cut_off_agree_when_the_table_is_back() -> None:
    nodes, table = [Salts(), Salts()], Table()
    assert len({node.current(NOON_MS) for node in nodes}) == 2

    for node in nodes * 2:
        table.exchange(node, NOON_MS + HOUR_MS)

    assert len({node.current(NOON_MS + HOUR_MS) for node in nodes}) == 1


def test_a_salt_that_comes_late_parts_no_nodes() -> None:
    """As when a row of another node arrives after all, with an earlier time."""
    for order in permutations([salt(1), salt(2)]):
        early, late = Salts(), Salts()
        early.adopt({TODAY + 1: order[0]}, now_ms=NOON_MS)
        for node in (early, late):
            node.adopt({TODAY + 1: order[1]}, now_ms=FIXED_MS - 30_000)

        assert early.current(MIDNIGHT_MS + DAY_MS) == late.current(MIDNIGHT_MS + DAY_MS)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 90)), max_size=200))
def test_nodes_that_look_often_agree_at_every_midnight_and_keep_nothing_old(
    looks: list[tuple[int, int]],
) -> None:
    nodes, table = [Salts(), Salts()], Table()
    now_ms = MIDNIGHT_MS
    for node, minutes in looks:
        now_ms += minutes * 60_000
        table.exchange(nodes[node], now_ms)
        oldest = now_ms // DAY_MS - 1
        assert min(days(nodes[node])) >= oldest
        assert min(day for day, _ in table.rows) >= oldest

        shared = [each for each in nodes if each.is_shared(now_ms)]
        assert len({each.current(now_ms) for each in shared}) <= 1
