"""Who holds how much of the backlog, and how much anybody may hold."""

import tracemalloc
from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from headwater_ingest.journal.accounts import encode_sites
from headwater_ingest.journal.shares import MIN_STRETCHES, STRETCH_BYTES, Shares

CHUNKS = st.lists(
    st.dictionaries(st.integers(1, 4), st.integers(1, STRETCH_BYTES), max_size=3),
    max_size=60,
)


def hold(shares: Shares, end: int, **sites: int) -> None:
    held = [(int(name.removeprefix("site")), 1, size) for name, size in sites.items()]
    shares.hold(encode_sites(held), end=end)


def test_what_is_written_is_held_no_more() -> None:
    shares = Shares()
    hold(shares, 100, site1=60, site2=40)
    hold(shares, 101 + STRETCH_BYTES, site1=STRETCH_BYTES + 1)

    assert shares.held_by(1) == 61 + STRETCH_BYTES
    shares.release(before=100)
    assert (shares.held_by(1), shares.held_by(2)) == (STRETCH_BYTES + 1, 0)
    shares.release(before=101 + STRETCH_BYTES)
    assert shares.held_by(1) == 0


def test_a_site_may_be_in_a_chunk_more_than_once() -> None:
    shares = Shares()
    shares.hold(encode_sites([(1, 1, 10), (2, 1, 5), (1, 2, 20)]), end=35)

    assert (shares.held_by(1), shares.held_by(2)) == (30, 5)
    shares.release(before=35)
    assert (shares.held_by(1), shares.held_by(2)) == (0, 0)


@given(chunks=CHUNKS, cut=st.integers(0, 60), asked=st.sets(st.integers(0, 59)))
@example(
    chunks=[{1: STRETCH_BYTES // 2}, {1: STRETCH_BYTES // 2 + 1}, {1: 1}],
    cut=2,
    asked={0, 1, 2},
)
def test_no_more_than_a_stretch_is_held_that_is_written(
    chunks: list[dict[int, int]], cut: int, asked: set[int]
) -> None:
    shares, ends, end = Shares(), [0], 0
    for number, chunk in enumerate(chunks):
        end += sum(chunk.values())
        ends.append(end)
        held = [(site, 1, size) for site, size in chunk.items()]
        shares.hold(encode_sites(held), end=end)
        if number in asked:
            assert shares.held_by(1) >= chunk.get(1, 0)
    kept: Counter[int] = Counter()
    for chunk in chunks[cut:]:
        kept.update(chunk)
    longest = max((sum(chunk.values()) for chunk in chunks), default=0)

    shares.release(before=ends[min(cut, len(chunks))])

    for site in range(1, 5):
        surplus = shares.held_by(site) - kept[site]
        assert 0 <= surplus <= max(STRETCH_BYTES, longest, end // MIN_STRETCHES)
    shares.release(before=end)
    assert [shares.held_by(site) for site in range(1, 5)] == [0, 0, 0, 0]


def test_many_sites_in_a_long_backlog_take_little_memory() -> None:
    shares = Shares()
    sites = encode_sites([(site, 1, STRETCH_BYTES // 500) for site in range(1, 501)])
    tracemalloc.start()
    for chunk in range(1, 641):
        shares.hold(sites, end=chunk * STRETCH_BYTES)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert taken < 6_000_000  # of 40 MB that wait


def test_room_is_divided_among_those_who_hold_something_and_those_who_may_come() -> (
    None
):
    shares = Shares()

    assert shares.fair_share(1, room=1200, known_sites=1) == 1200
    assert shares.fair_share(1, room=1200, known_sites=9) == 600
    hold(shares, 100, site1=60, site2=40)
    assert shares.fair_share(1, room=1200, known_sites=2) == 600
    assert shares.fair_share(1, room=1200, known_sites=3) == 400
    assert shares.fair_share(3, room=1200, known_sites=3) == 400
    assert shares.fair_share(3, room=1200, known_sites=4) == 300
