"""How many events each site has had accepted in the current UTC month.

Two counts meet here: what ClickHouse knows of all nodes, a few seconds old, and what
this node has accepted itself. Each is never more than the truth, so the greater of them
is taken: no event is refused too early, and after an outage of ClickHouse the count
does not fall back to what was stored before it.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime

_Month = tuple[int, int]


class MonthlyUsage:
    """The count of each site that has a quota. Owned by the loop.

    Memory is bounded by the number of such sites.
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._month: _Month = (0, 0)
        self._begins_ms = self._ends_ms = 0

    def watch(self, site_ids: Iterable[int]) -> None:
        """Count for these sites, and forget all others."""
        self._counts = {each: self._counts.get(each, 0) for each in site_ids}

    @property
    def watched(self) -> tuple[int, ...]:
        """The sites that are counted."""
        return tuple(self._counts)

    def count(self, site_id: int, *, now_ms: int) -> int:
        """Return how many events of a site have been accepted in this month.

        Who asks for a site has it counted from then on.
        """
        self._turn_if_due(now_ms)
        return self._counts.setdefault(site_id, 0)

    def add(self, site_id: int, events: int, *, now_ms: int) -> None:
        """Count events that this node has accepted."""
        if site_id in self._counts:
            self._turn_if_due(now_ms)
            self._counts[site_id] += events

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
            if count > self._counts.get(site_id, count):
                self._counts[site_id] = count

    def _turn_if_due(self, now_ms: int) -> None:
        if self._begins_ms <= now_ms < self._ends_ms:
            return
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        self._month = (now.year, now.month)
        years, month = divmod(now.month, 12)
        self._begins_ms = _first_ms(now.year, now.month)
        self._ends_ms = _first_ms(now.year + years, month + 1)
        self._counts = dict.fromkeys(self._counts, 0)


def _first_ms(year: int, month: int) -> int:
    return round(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000)
