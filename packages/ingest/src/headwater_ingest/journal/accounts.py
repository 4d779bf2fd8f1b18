"""What has become of the events of each site, since its journal was made.

Two sums that must agree, made in different places and kept in the journal's own
transactions, so that no kill can part them:

    received = accepted + duplicate + dropped + invalid
    accepted = written + dead_lettered + discarded + erased_unwritten + pending

The outcomes of events, and how many rows of each site there are, lie in the chunk that
brought them. The checkpoint that lets a chunk go moves both into the table `accounts`:
outcomes as they are, rows as written or dead.

    accounts
        site_id                  as text: SQLite knows no unsigned numbers of 64 bits
        account                  a member of `Outcome` or of `Fate`
        reason                   a member of `Reason`; empty where nothing is wrong
        events                   how many

Chunks from before format 3 do not say whose rows they hold and are in no account.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from headwater_ingest.journal.connection import Connection
from headwater_ingest.journal.counts import Tally, decode_counts, tally
from headwater_schema.outcomes import Outcome


class Fate(StrEnum):
    """What has become of a row that is not pending any more."""

    WRITTEN = "written"
    DEAD_LETTERED = "dead_lettered"
    DISCARDED = "discarded"
    ERASED_UNWRITTEN = "erased_unwritten"


Held = tuple[int, int, int]
"""Rows of one site in a chunk: site, how many, and how long they are, encoded."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """All accounts at one moment.

    Attributes:
        events: By site, outcome or fate, and reason.
        pending: Rows in the journal, by site.
    """

    events: Tally
    pending: Counter[int]

    @property
    def sites(self) -> list[int]:
        """The sites that have any account."""
        return sorted({site_id for site_id, _, _ in self.events} | set(self.pending))

    def received(self, site_id: int) -> int:
        """Return how many events of a site were understood."""
        return sum(self.total(site_id, outcome) for outcome in Outcome)

    def total(self, site_id: int, account: str) -> int:
        """Return how many events an account has, whatever their reasons."""
        return sum(
            events
            for (site, name, _), events in self.events.items()
            if (site, name) == (site_id, account)
        )

    def surplus(self, site_id: int) -> int:
        """Return how many more events were accepted than there are rows; 0 is right."""
        rows = sum(self.total(site_id, fate) for fate in Fate) + self.pending[site_id]
        return self.total(site_id, Outcome.ACCEPTED) - rows

    def imbalances(self) -> dict[int, int]:
        """Return the sites whose accounts do not close, each with its surplus."""
        surplus = {site_id: self.surplus(site_id) for site_id in self.sites}
        return {site_id: events for site_id, events in surplus.items() if events}


def encode_sites(sites: Sequence[Held]) -> bytes:
    """Return what a chunk says of its sites; one may be there more than once."""
    return _encode(sites)


def decode_sites(sites: bytes | None) -> list[Held]:
    """Return what `encode_sites` was given; nothing for a chunk of an early format."""
    return _decode(sites) if sites else []


def read_accounts(connection: Connection) -> Accounts:
    """Return all accounts, in a transaction of the caller."""
    events: Tally = Counter()
    for site_id, account, reason, number in connection.execute(
        "SELECT site_id, account, reason, events FROM accounts"
    ):
        events[int(site_id), account, reason] = number
    pending: Counter[int] = Counter()
    chunks = connection.execute(
        "SELECT counts, sites FROM chunks WHERE sites IS NOT NULL"
    )
    for counts, sites in chunks:
        _add(events, counts)
        _add_rows(pending, sites)
    return Accounts(events, pending)


def read_fates(connection: Connection) -> Tally:
    """Return the accounts of rows that are not pending any more."""
    found = connection.execute(
        "SELECT site_id, account, events FROM accounts WHERE account IN "
        "('written', 'dead_lettered', 'discarded', 'erased_unwritten')"
    )
    return Counter({(int(site), fate, ""): events for site, fate, events in found})


def tally_chunks(
    connection: Connection, rows: tuple[int, int], dead: Mapping[int, int]
) -> Tally:
    """Return what to enter in the transaction that deletes chunks.

    Args:
        connection: To the journal.
        rows: The first and the last row.
        dead: Rows of these chunks that were refused, by site.
    """
    events: Tally = Counter()
    taken: Counter[int] = Counter()
    for counts, sites in connection.execute(
        "SELECT counts, sites FROM chunks WHERE first_row BETWEEN ? AND ? "
        "AND sites IS NOT NULL",
        rows,
    ):
        _add(events, counts)
        _add_rows(taken, sites)
    for site_id, number in taken.items():
        lost = dead.get(site_id, 0)
        events[site_id, Fate.WRITTEN.value, ""] = number - lost
        events[site_id, Fate.DEAD_LETTERED.value, ""] = lost
    return events


def move(
    connection: Connection, before: Fate, after: Fate, events: Mapping[int, int]
) -> None:
    """Move events of some sites from one account to another, in a transaction."""
    sums: Tally = Counter()
    for site_id, number in events.items():
        sums[site_id, before.value, ""] -= number
        sums[site_id, after.value, ""] += number
    enter(connection, sums)


def enter(connection: Connection, events: Tally) -> None:
    """Add events to accounts, in a transaction."""
    connection.executemany(
        "INSERT INTO accounts VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET events = events + excluded.events",
        [
            (str(site_id), account, reason, number)
            for (site_id, account, reason), number in events.items()
            if number
        ],
    )


def _add(events: Tally, counts: bytes | None) -> None:
    if counts:
        events.update(tally(decode_counts(counts)))


def _add_rows(rows: Counter[int], sites: bytes) -> None:
    for site_id, number, _ in decode_sites(sites):
        rows[site_id] += number


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Held]).decode
