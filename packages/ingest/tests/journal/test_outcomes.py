"""Outcomes are the sums of what was added, however much of it waits."""

import threading
import tracemalloc
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.journal.counts import Count, encode_counts, tally
from headwater_ingest.journal.outcomes import MOST_UNSUMMED_BYTES, Outcomes

COUNTS = st.lists(
    st.builds(
        Count,
        site_id=st.integers(1, 3),
        outcome=st.sampled_from(("accepted", "dropped")),
        reason=st.sampled_from(("", "bot")),
        events=st.integers(1, 9),
    ),
    max_size=5,
)


@given(st.lists(COUNTS, max_size=8), st.sets(st.integers(0, 7)))
def test_what_is_read_is_the_sum_of_all_that_was_added(
    chunks: list[list[Count]], reads: set[int]
) -> None:
    outcomes = Outcomes({(1, "accepted", ""): 5})
    expected = Counter({(1, "accepted", ""): 5})
    for number, counts in enumerate(chunks):
        outcomes.add(encode_counts(counts))
        expected.update(tally(counts))
        if number in reads:
            assert outcomes.read() == expected

    assert outcomes.read() == expected


def test_chunks_without_counts_take_no_memory() -> None:
    outcomes = Outcomes({})
    tracemalloc.start()
    for _ in range(100_000):
        outcomes.add(encode_counts([]))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert taken < 10_000


def test_what_was_read_does_not_change() -> None:
    outcomes = Outcomes({})
    before = outcomes.read()
    outcomes.add(encode_counts([Count(1, "accepted", "", 1)]))
    outcomes.read()

    assert before == {}


def test_nothing_is_lost_while_another_thread_reads() -> None:
    outcomes = Outcomes({})
    counts = encode_counts([Count(1, "accepted", "", 1)])
    rounds = 3 * MOST_UNSUMMED_BYTES // len(counts)

    def add() -> None:
        for _ in range(rounds):
            outcomes.add(counts)

    adding = threading.Thread(target=add)
    adding.start()
    seen = []
    while adding.is_alive():
        seen.append(outcomes.read()[1, "accepted", ""])
    adding.join()

    assert seen == sorted(seen)
    assert outcomes.read() == {(1, "accepted", ""): rounds}
