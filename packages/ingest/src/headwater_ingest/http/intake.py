"""From the bytes of a request to the bytes of its answer, with the disk in between.

A batch is understood, judged and encoded in one synchronous call, and what was decoded
is let go before the wait for the disk: kept alive across it, the objects of all waiting
requests cost 5 µs per event in cold memory. The answer is made after the fsync.

What every request makes on the way is a `Struct`, which takes a tenth of the time of a
frozen dataclass.
"""

import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final, NoReturn, Protocol, assert_never

import msgspec

from headwater_ingest.errors import JournalClosedError, JournalError, JournalFullError
from headwater_ingest.http.admission import admit_batch
from headwater_ingest.http.body import Headers, inflate
from headwater_ingest.http.client_losses import count_client_losses, only_losses
from headwater_ingest.http.keys import MAX_STRANGER_BYTES, peek_key, read_key
from headwater_ingest.http.prepared import (
    Answered,
    Known,
    Prepared,
    count_result,
    pack_batch,
)
from headwater_ingest.http.refusal import RequestRefusedError
from headwater_ingest.journal.counts import CLIENT_LOST, Count
from headwater_ingest.journal.entry import (
    Committed,
    Entry,
    PartlyRepeated,
    Receipt,
    Repeated,
    StoredAnswer,
)
from headwater_ingest.pipeline.end_user import EndUserSteps
from headwater_ingest.pipeline.native import NativeBatch, build_batch
from headwater_ingest.pipeline.window_keys import window_keys
from headwater_ingest.sites.gatekeeper import Gatekeeper
from headwater_ingest.sites.model import Site
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.telemetry.metrics import Metrics
from headwater_schema.batch import BatchResult
from headwater_schema.codec import (
    DecodedBatch,
    MalformedBodyError,
    TooLargeError,
)
from headwater_schema.ids import derive_batch_id
from headwater_schema.outcomes import ErrorCode, Outcome

Decode = Callable[[Headers, bytes, int], DecodedBatch]
"""Reads an inflated body: headers, bytes, and when it arrived in epoch ms."""

RETRY_AFTER_S: Final = 5
"""When to come back: a writer frees room in seconds, a look at sites takes as long."""


class BatchJournal(Protocol):
    """What the intake needs of the journal. Batches and events go by window keys."""

    @property
    def seen_through(self) -> int:
        """The row of `seen` up to which a look that follows knows all; 0: none."""

    def seen_batch(self, batch_id: bytes, /) -> bool:
        """Whether a batch was taken before."""

    def seen_events(self, ids: Sequence[bytes], /) -> Collection[bytes]:
        """Returns those events that were taken before."""

    async def stored_answer(self, batch_id: bytes, /) -> StoredAnswer | None:
        """Returns what the journal remembers of a batch."""

    async def append(self, entry: Entry, /) -> Receipt:
        """Returns when the entry is on disk."""

    def count(self, count: Count, /) -> None:
        """Counts events of a batch of which nothing is appended."""


class Request(msgspec.Struct, frozen=True):
    """A request whose body is complete.

    Attributes:
        headers: By lower-case name.
        body: As it was sent.
        decode: How this route reads it.
    """

    headers: Headers
    body: bytes
    decode: Decode


class Intake:
    """Takes batches: nothing is acknowledged before it is in the journal."""

    def __init__(  # noqa: PLR0913  # its parts, each named
        self,
        *,
        sites: SiteRegistry,
        gate: Gatekeeper,
        end_users: EndUserSteps,
        journal: BatchJournal,
        metrics: Metrics,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._sites = sites
        self._gate = gate
        self._end_users = end_users
        self._journal = journal
        self._metrics = metrics
        self._clock = clock

    async def take(self, request: Request) -> bytes:
        """Returns the answer to a batch, as JSON.

        Raises:
            RequestRefusedError: Nothing of it was stored.
        """
        try:
            prepared = self._prepare(request)
            if isinstance(prepared, Known):
                stored = await self._journal.stored_answer(prepared.key)
                compared = self._compare(request, prepared.key, stored)
                if isinstance(compared, Answered):
                    return _wrap(compared.answer)
                prepared = compared
            receipt = await self._journal.append(prepared.entry)
        except JournalError as error:
            refuse_for_now(error)
        return _wrap(self._settle(prepared, receipt))

    def _prepare(self, request: Request) -> Prepared | Known:
        """Does all that can be done without waiting."""
        site, batch = self._understand(request)
        (key,) = window_keys(batch.site_id, [batch.batch_id])
        if self._journal.seen_batch(key):
            return Known(key)
        losses = count_client_losses(site.id, batch.decoded.envelope)
        return self._pack(site, batch, key, losses)

    def _compare(
        self, request: Request, key: bytes, stored: StoredAnswer | None
    ) -> Prepared | Answered:
        """Holds a batch whose id is known against what was stored under that id.

        Returns:
            The answer, if it is the same batch; else what is new in it, to append.
        """
        site, batch = self._understand(request)
        built = build_batch(batch, seen=self._journal.seen_events)
        if stored and stored.ids_digest == built.ids_digest:
            events = self._count_repeat(stored)
            self._journal.count(Count(site.id, Outcome.DUPLICATE.value, "", events))
            return Answered(stored.for_repeat())
        # What the first batch under this id has told of losses is counted.
        return self._pack(site, batch, key)

    def _pack(
        self, site: Site, batch: NativeBatch, key: bytes, losses: tuple[Count, ...] = ()
    ) -> Prepared:
        """Makes an entry of what is new in a batch, as far as the site's limits let it.

        Args:
            site: The site.
            batch: Its batch.
            key: Under which the window will know the batch.
            losses: What its client says it has lost.
        """
        now_ms = batch.received_at_ms
        # Before the look: a commit in between would be passed over by ours otherwise.
        seen_through = self._journal.seen_through
        admit = partial(admit_batch, self._gate, site, now_ms=now_ms)
        describe = partial(self._end_users.describe, shields=site.shields)
        built = build_batch(
            batch, seen=self._journal.seen_events, admit=admit, describe=describe
        )
        return pack_batch(batch, key, built, losses, seen_through=seen_through)

    def _understand(self, request: Request) -> tuple[Site, NativeBatch]:
        headers = request.headers
        key = read_key(headers)
        site = self._find_site(key) if key else None
        body = inflate(request.body, headers.get(b"content-encoding", b""))
        if site is None and len(body) > MAX_STRANGER_BYTES:
            key = peek_key(body)
            site = self._find_site(key)
        received_at_ms = self._clock()
        try:
            decoded = request.decode(headers, body, received_at_ms)
        except MalformedBodyError as error:
            _refuse(ErrorCode.MALFORMED_BODY, f"the body is not a batch: {error}")
        except TooLargeError as error:
            _refuse(ErrorCode.TOO_LARGE, str(error))
        site = site or self._find_site(key or decoded.envelope.api_key)
        batch_id = decoded.envelope.batch_id or derive_batch_id(site.id, body)
        return site, NativeBatch(site.id, batch_id, decoded, received_at_ms)

    def _find_site(self, key: str | None) -> Site:
        if not key:
            _refuse(ErrorCode.MISSING_KEY, _HOW_TO_SEND_A_KEY)
        site = self._sites.by_key(key)
        if site is None and not self._sites.is_whole:
            _refuse(
                ErrorCode.SITES_UNKNOWN, _NOT_ALL_SITES, retry_after_s=RETRY_AFTER_S
            )
        if site is None:
            _refuse(ErrorCode.UNKNOWN_KEY, _HOW_TO_FIND_THE_SITE)
        return site

    def _settle(self, prepared: Prepared, receipt: Receipt) -> bytes:
        """Counts what the journal did with a batch, and returns the answer."""
        entry = prepared.entry
        match receipt:
            case Repeated(stored):
                self._count_repeat(stored)
                return stored.for_repeat()
            case PartlyRepeated(answer):
                counts = (
                    *count_result(entry.site_id, _decode_result(answer)),
                    *only_losses(entry.counts),
                )
            case Committed():
                answer, counts = entry.answer, entry.counts
            case _:
                assert_never(receipt)
        for each in counts:
            if each.outcome == CLIENT_LOST:
                self._metrics.count_client_losses(each.reason, each.events)
                continue
            self._metrics.count_events(each.outcome, each.events, each.reason or None)
            if each.outcome == Outcome.ACCEPTED:
                self._gate.count_accepted(
                    each.site_id, each.events, now_ms=self._clock()
                )
        if prepared.refused_properties:
            self._metrics.count_refused_properties(prepared.refused_properties)
        if prepared.future_times:
            self._metrics.count_future_times(prepared.future_times)
        return answer

    def _count_repeat(self, stored: StoredAnswer) -> int:
        """Counts a repeat: whatever became of its events then, now they are known."""
        result = _decode_result(stored.answer)
        total = result.accepted + result.duplicates + len(result.results)
        self._metrics.count_events(Outcome.DUPLICATE, total)
        return total


def refuse_for_now(error: JournalError) -> NoReturn:
    """Says in the words of the wire what the journal says.

    Raises:
        RequestRefusedError: Always.
    """
    match error:
        case JournalClosedError():
            _refuse(ErrorCode.DRAINING, str(error), retry_after_s=1)
        case JournalFullError():
            _refuse(ErrorCode.JOURNAL_FULL, str(error), retry_after_s=RETRY_AFTER_S)
        case _:
            # What it says is for the operator, who finds it in the log.
            _refuse(ErrorCode.JOURNAL_FULL, _DISK_REFUSES, retry_after_s=RETRY_AFTER_S)


def _wrap(result: bytes) -> bytes:
    """Puts an encoded `BatchResult` into an encoded `Answer`."""
    return b'{"success":true,"data":%b,"meta":{}}' % result


def _refuse(
    code: ErrorCode, message: str, *, retry_after_s: int | None = None
) -> NoReturn:
    raise RequestRefusedError(code, message, retry_after_s=retry_after_s) from None


_decode_result: Final = msgspec.json.Decoder(BatchResult).decode
_HOW_TO_SEND_A_KEY: Final = (
    "no write key: send it in the header `X-Headwater-Key`, in `Authorization: Bearer` "
    "or as `api_key` in the body"
)
_HOW_TO_FIND_THE_SITE: Final = (
    "the write key belongs to no site, or is no longer valid: see `headwater-ingest "
    "sites list`; `headwater-ingest sites rotate-key DOMAIN` makes a new one"
)
_NOT_ALL_SITES: Final = (
    "this node has not seen all sites yet, because ClickHouse is away; send it again"
)
_DISK_REFUSES: Final = "this node cannot store the batch now; send it again"
