"""What clients say they have lost: counted, although it was never received.

A batch tells of it once, so a repeat of the batch counts nothing.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from headwater_ingest.journal.counts import CLIENT_LOST, Count
from headwater_schema.batch import Envelope
from headwater_schema.outcomes import SERVER_KNOWS, ClientLoss

_MOST: Final = 2**32 - 1
"""No client has lost more since its last batch; a larger number is a lie."""

_KNOWN: Final = frozenset(ClientLoss)


def count_client_losses(site_id: int, envelope: Envelope) -> tuple[Count, ...]:
    """Returns what a batch tells of losses; reasons that are not known are `other`."""
    if not envelope.client_losses:
        return ()
    losses: Counter[str] = Counter()
    for reason, events in envelope.client_losses.items():
        if reason not in SERVER_KNOWS:
            losses[reason if reason in _KNOWN else ClientLoss.OTHER.value] += events
    return tuple(
        Count(site_id, CLIENT_LOST, str(reason), min(events, _MOST))
        for reason, events in losses.items()
        if events
    )


def only_losses(counts: Iterable[Count]) -> tuple[Count, ...]:
    """Returns those counts that tell of losses of clients."""
    return tuple(each for each in counts if each.outcome == CLIENT_LOST)
