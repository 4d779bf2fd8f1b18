"""What became of events, counted per site: numbers that go the way of the rows.

The counts of a batch are in its entry, and so in the transaction that stores its rows.
What leaves no rows, a drop or a repeat, is counted in memory first and rides in the
next commit, at the latest after a second. A kill may lose that much.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from headwater_schema.outcomes import Outcome

LONGEST_WAIT_S: Final = 1.0

CLIENT_LOST: Final = "client_lost"
"""Stands for an outcome where a client tells of events that nobody has received."""


class Count(NamedTuple):
    """So many events of a site had an outcome.

    Attributes:
        site_id: The site; 0 for a domain that is no site.
        outcome: A member of `Outcome`, or `CLIENT_LOST`.
        reason: A member of `Reason` or of `ClientLoss`; empty if nothing was wrong.
        events: How many.
    """

    site_id: int
    outcome: str
    reason: str
    events: int


Key = tuple[int, str, str]
"""Site, outcome and reason."""

Tally = Counter[Key]


def tally(counts: Iterable[Count]) -> Tally:
    """Return the sums of some counts."""
    sums: Tally = Counter()
    for site_id, outcome, reason, events in counts:
        sums[site_id, outcome, reason] += events
    return sums


def tally_with_repeats(counts: Iterable[Count], repeated: int) -> Tally:
    """Return the sums of the counts of a batch, some of whose events were known.

    Args:
        counts: What the batch would count without them.
        repeated: How many of its accepted events are duplicates after all.
    """
    sums = tally(counts)
    for site_id, outcome, reason in list(sums):
        if outcome == Outcome.ACCEPTED:
            sums[site_id, outcome, reason] -= repeated
            sums[site_id, Outcome.DUPLICATE.value, ""] += repeated
    return +sums


def tally_as_repeat(counts: Iterable[Count]) -> Tally:
    """Return the sums of the counts of a batch that was taken before, all of it."""
    sums: Tally = Counter()
    for each in counts:
        if each.outcome != CLIENT_LOST:
            sums[each.site_id, Outcome.DUPLICATE.value, ""] += each.events
    return sums


def list_counts(sums: Mapping[Key, int]) -> list[Count]:
    """Return sums as counts."""
    return [Count(*key, events) for key, events in sums.items()]


def encode_counts(counts: Sequence[Count]) -> bytes:
    """Return counts as a chunk holds them; empty if there are none."""
    return _encode(counts) if counts else b""


def decode_counts(counts: bytes) -> list[Count]:
    """Return what `encode_counts` was given."""
    return _decode(counts) if counts else []


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Count]).decode


class CountBuffer:
    """Counts that wait for the next commit. Used by any thread.

    Its size is bounded: there are only so many sites and reasons.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._sums: Tally = Counter()
        self._waits_from_s = 0.0

    def add(self, count: Count) -> None:
        """Count some events."""
        site_id, outcome, reason, events = count
        with self._lock:
            if not self._sums:
                self._waits_from_s = self._monotonic()
            self._sums[site_id, outcome, reason] += events

    def is_due(self) -> bool:
        """Whether something has waited for long enough to be committed by itself."""
        waited_s = self._monotonic() - self._waits_from_s
        return bool(self._sums) and waited_s >= LONGEST_WAIT_S

    def take(self) -> Tally:
        """Return all that waits, which waits no more."""
        with self._lock:
            taken, self._sums = self._sums, Counter()
        return taken

    def give_back(self, sums: Tally) -> None:
        """Let what could not be committed wait for another second."""
        with self._lock:
            self._sums.update(sums)
            self._waits_from_s = self._monotonic()
