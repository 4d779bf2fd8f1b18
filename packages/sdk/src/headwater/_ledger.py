"""What became of the events of a client, in numbers, and what the server is to know.

A loss is told to the server once: with the next batch that is made. If that batch is
given up, the next one tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from headwater._errors import LossReason
from headwater._results import Stats
from headwater_schema.outcomes import SERVER_KNOWS


class Ledger:
    """Counts events; its owner holds a lock around every call."""

    def __init__(self) -> None:
        self.captured = 0
        self.delivered = 0
        self.spooled = 0
        self.restored = 0
        self.refused_properties = 0
        self._lost: Counter[LossReason] = Counter()
        self._untold: Counter[LossReason] = Counter()

    def lose(self, reason: LossReason, count: int) -> None:
        """Counts events that the server will never get."""
        self._lost[reason] += count
        if reason not in SERVER_KNOWS:
            self._untold[reason] += count

    def take_untold(self) -> Mapping[LossReason, int]:
        """Returns the losses that a new batch is to tell of."""
        if not self._untold:
            return {}
        untold, self._untold = self._untold, Counter()
        return untold

    def give_back(self, losses: Mapping[LossReason, int]) -> None:
        """Has the next batch tell what one that was given up did not."""
        self._untold.update(losses)

    def stats(self, queued: int) -> Stats:
        """Returns the numbers as they are now."""
        return Stats(
            captured=self.captured,
            delivered=self.delivered,
            queued=queued,
            lost=dict(self._lost),
            refused_properties=self.refused_properties,
            spooled=self.spooled,
            restored=self.restored,
        )
