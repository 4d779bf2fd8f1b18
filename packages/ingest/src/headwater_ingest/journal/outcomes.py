"""What has become of all events that were ever taken, by site, outcome and reason.

Nobody asks more often than metrics are. So the counts of chunks are only put down, and
added up when somebody asks or many are there: many at once take half the time.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

from headwater_ingest.journal.counts import Key, Tally, decode_counts

MOST_UNSUMMED_BYTES: Final = 256 * 1024
"""Of what is put down before it is added up, in 4 ms: some 12,000 counts."""


class Outcomes:
    """Sums since the journal was made. Used by any thread."""

    def __init__(self, sums: Mapping[Key, int]) -> None:
        """Begin with what is known."""
        self._lock = threading.Lock()
        # By site last: half the memory of one table, and of the time to add to it.
        self._sums: defaultdict[tuple[str, str], dict[int, int]] = defaultdict(dict)
        for (site_id, outcome, reason), events in sums.items():
            self._sums[outcome, reason][site_id] = events
        self._unsummed: list[bytes] = []
        self._unsummed_bytes = 0

    def add(self, counts: bytes) -> None:
        """Add the counts of a chunk, as `encode_counts` makes them."""
        if not counts:
            return
        with self._lock:
            self._unsummed.append(counts)
            self._unsummed_bytes += len(counts)
            if self._unsummed_bytes >= MOST_UNSUMMED_BYTES:
                self._sum_up()

    def read(self) -> Tally:
        """Return the sums."""
        with self._lock:
            self._sum_up()
            return Counter(
                {
                    (site_id, *kind): events
                    for kind, sites in self._sums.items()
                    for site_id, events in sites.items()
                }
            )

    def _sum_up(self) -> None:
        for counts in self._unsummed:
            for site_id, outcome, reason, events in decode_counts(counts):
                sums = self._sums[outcome, reason]
                sums[site_id] = sums.get(site_id, 0) + events
        self._unsummed.clear()
        self._unsummed_bytes = 0
