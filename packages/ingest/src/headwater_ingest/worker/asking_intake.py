"""Takes batches where the duplicate window is in another process.

Most batches go through the pipeline as if nothing of them were known, and the commit
finds what is, as it does for copies that are handled side by side. Where that could
tell another story than a window at hand, the owner is asked first and the batch goes
through once more:

- the site has limits, which no repeat may use up
- a rule refuses an event, that is a duplicate if it was taken under other rules
- the client tells of losses, which a batch id counts once
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

from headwater_ingest.errors import HeadwaterError, JournalError
from headwater_ingest.http.intake import Intake, Request, refuse_for_now
from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.entry import Entry, Receipt, StoredAnswer
from headwater_ingest.pipeline.end_user import EndUserSteps
from headwater_ingest.sites.gatekeeper import Cut, Gatekeeper, Refusal, is_unlimited
from headwater_ingest.sites.model import Site
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.worker.remote_journal import KnownPart, RemoteJournal
from headwater_schema.outcomes import Outcome

_SAME_EITHER_WAY: Final = frozenset({Outcome.ACCEPTED.value, Outcome.DUPLICATE.value})


class AskingIntake:
    """An intake that looks into the window only where it must."""

    def __init__(
        self,
        *,
        sites: SiteRegistry,
        gate: Gatekeeper,
        end_users: EndUserSteps,
        journal: RemoteJournal,
        metrics: Metrics,
    ) -> None:
        self._journal = journal
        self._blind = _BlindJournal(journal)
        make = partial(Intake, sites=sites, end_users=end_users, metrics=metrics)
        self._swift = make(journal=self._blind, gate=_WaryGate(gate))
        self._make_knowing: Callable[[_InformedJournal], Intake] = lambda informed: (
            make(journal=informed, gate=gate)
        )

    async def take(self, request: Request) -> bytes:
        """Return the answer to a batch, as JSON.

        Raises:
            RequestRefusedError: Nothing of it was stored.
        """
        try:
            return await self._swift.take(request)
        except _AskFirstError:
            # It comes before the first wait, so what was asked was asked for this one.
            looking = self._journal.look_up(*self._blind.asked)
        try:
            known = await looking
        except JournalError as error:
            refuse_for_now(error)
        return await self._make_knowing(_InformedJournal(self._journal, known)).take(
            request
        )


class _AskFirstError(HeadwaterError):
    """What is known of a batch may make a difference. Nothing was done."""


class _BlindJournal:
    """A journal that knows nothing, and notes what it is asked.

    Attributes:
        asked: The latest batch that it was asked about, and its events.
        seen_through: 0: nothing is seen here, so the commit looks for all.
    """

    seen_through: Final = 0

    def __init__(self, journal: RemoteJournal) -> None:
        self._journal = journal
        self.asked: tuple[bytes, Sequence[bytes]] = (b"", ())

    def seen_batch(self, batch_id: bytes) -> bool:
        """Say no."""
        self.asked = (batch_id, ())
        return False

    def seen_events(self, ids: Sequence[bytes]) -> Collection[bytes]:
        """Say none."""
        self.asked = (self.asked[0], ids)
        return ()

    async def stored_answer(self, batch_id: bytes) -> StoredAnswer | None:
        """Return what is stored for a batch."""
        return await self._journal.stored_answer(batch_id)

    async def append(self, entry: Entry) -> Receipt:
        """Append an entry of which the commit can say what is known."""
        if not all(each.outcome in _SAME_EITHER_WAY for each in entry.counts):
            raise _AskFirstError
        return await self._journal.append(entry)

    def count(self, count: Count) -> None:
        """Count events of which nothing is appended."""
        self._journal.count(count)


class _InformedJournal:
    """A journal that has been told what is known of one batch.

    Attributes:
        seen_through: 0: what it was told is of another process, and not the latest, so
            the commit looks for all once more.
    """

    seen_through: Final = 0

    def __init__(self, journal: RemoteJournal, known: KnownPart) -> None:
        self._known = known
        self.stored_answer = journal.stored_answer
        self.append = journal.append
        self.count = journal.count

    def seen_batch(self, _batch_id: bytes) -> bool:
        """Whether the batch was taken before."""
        return self._known.batch

    def seen_events(self, _ids: Sequence[bytes]) -> Collection[bytes]:
        """Return those of its events that were."""
        return self._known.events


class _WaryGate(Gatekeeper):
    """Lets in what has no limits, and decides nothing else."""

    def __init__(self, gate: Gatekeeper) -> None:
        super().__init__(gate.usage)

    def admit(self, site: Site, count: int, *, now_ms: int) -> Cut | Refusal | None:
        """Let a batch in."""
        if not is_unlimited(site):
            raise _AskFirstError
        return super().admit(site, count, now_ms=now_ms)
