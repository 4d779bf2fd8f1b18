"""How many events each site has had accepted in the current UTC month.

Two counts meet here: what ClickHouse knows of all nodes, a few seconds old, and what
this node has accepted itself. Each is never more than the truth, so the greater of them
is taken: no event is refused too early, and after an outage of ClickHouse the count
does not fall back to what was stored before it.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime

from headwater_ingest.sites.counts import Counted, Counts, OwnCounts

_Month = tuple[int, int]


class MonthlyUsage:
    """The count of each site that has a quota. Owned by the loop.

    Memory is bounded by the number of such sites.
    """

    def __init__(self, counts: Counts | None = None) -> None:
        """Begin with what has been counted, and with no site to count for.

        Args:
            counts: Where the numbers are; in the memory of this process by default.
        """
        self._counts: Counts = OwnCounts() if counts is None else counts
        self._watched: dict[int, None] = {}
        self._month: _Month = (0, 0)
        self._begins_ms = self._ends_ms = 0

    def watch(self, site_ids: Iterable[int]) -> None:
        """Count for these sites, and for no others."""
        self._watched = dict.fromkeys(site_ids)

    @property
    def watched(self) -> tuple[int, ...]:
        """The sites that are counted."""
        return tuple(self._watched)

    def count(self, site_id: int, *, now_ms: int) -> int:
        """Return how many events of a site have been accepted in this month.

        Who asks for a site has it counted from then on.
        """
        self._watched[site_id] = None
        self._turn_if_due(now_ms)
        with self._counts.locked():
            return self._read(site_id)

    def add(self, site_id: int, events: int, *, now_ms: int) -> None:
        """Count events that this node has accepted."""
        if site_id in self._watched:
            self._turn_if_due(now_ms)
            with self._counts.locked():
                self._write(site_id, self._read(site_id) + events, now_ms)

    def learn(self, month: date, counts: Mapping[int, int], *, now_ms: int) -> None:
        """Take over what ClickHouse knows.

        Args:
            month: Any day of the month that was counted.
            counts: The events of each site in it; a site without any may be missing.
            now_ms: The time.
        """
        self._turn_if_due(now_ms)
        if (month.year, month.month) != self._month:
            return
        for site_id, count in counts.items():
            if site_id not in self._watched:
                continue
            with self._counts.locked():
                if count > self._read(site_id):
                    self._write(site_id, count, now_ms)

    def _read(self, site_id: int) -> int:
        ends_ms, events = self._counts.read(site_id)
        return events if ends_ms == self._ends_ms else 0

    def _write(self, site_id: int, events: int, now_ms: int) -> None:
        self._counts.write(site_id, Counted(self._ends_ms, events), now_ms=now_ms)

    def _turn_if_due(self, now_ms: int) -> None:
        if self._begins_ms <= now_ms < self._ends_ms:
            return
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        self._month = (now.year, now.month)
        years, month = divmod(now.month, 12)
        self._begins_ms = _first_ms(now.year, now.month)
        self._ends_ms = _first_ms(now.year + years, month + 1)


def _first_ms(year: int, month: int) -> int:
    return round(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000)
