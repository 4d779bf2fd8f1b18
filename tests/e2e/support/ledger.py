"""Exactly once, by ids: what was sent, what was acknowledged, what is stored."""

import gzip
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import zstandard

from headwater import HttpTransport, Request, Response

_SHOWN = 5


@dataclass(slots=True)
class Ledger:
    """The ids of the events of a test.

    Attributes:
        sent: Given to the client, in order.
        acknowledged: In batches that were answered with 200, in the order of the
            answers; an id that was acknowledged twice stands here twice.
        batches: The batch ids of all attempts, answered or not.
    """

    sent: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    batches: list[str] = field(default_factory=list)

    def note(self, event_id: str | None) -> None:
        """Notes what `capture` has returned."""
        assert event_id, "the client has not taken the event"
        self.sent.append(event_id)

    def check_acknowledged(self) -> None:
        """Asserts that all that was sent was acknowledged, each once and in order."""
        assert self.acknowledged == self.sent, explain(
            expected=self.sent, found=self.acknowledged, what="acknowledged"
        )

    def check_stored(self, stored: Iterable[str]) -> None:
        """Asserts that each event that was acknowledged is stored, and stored once.

        An event that was sent and not acknowledged may be stored, but not twice.
        """
        stored = list(stored)
        unsure = set(self.sent) - set(self.acknowledged)
        expected = set(self.acknowledged) | (unsure & set(stored))
        told = explain(expected=expected, found=stored, what="stored")
        assert Counter(stored) == Counter(expected), told

    def check_all_stored(self, stored: Iterable[str]) -> None:
        """Asserts that each event that was sent is stored, and stored once."""
        stored = list(stored)
        told = explain(expected=self.sent, found=stored, what="stored")
        assert Counter(stored) == Counter(self.sent), told


def explain(*, expected: Iterable[str], found: Iterable[str], what: str) -> str:
    """Says in which ids `found` differs from `expected`."""
    wanted, seen = Counter(expected), Counter(found)
    groups = {
        "missing": sorted((wanted - seen).elements()),
        "too often": sorted((seen - wanted).elements()),
    }
    listed = "; ".join(
        f"{len(ids)} {name}: {', '.join(ids[:_SHOWN])}"
        for name, ids in groups.items()
        if ids
    )
    return f"{what}: {listed or 'the same ids in another order'}"


class LedgerTransport:
    """Posts as the client does by itself, and notes what went and what was answered."""

    def __init__(self, ledger: Ledger, url: str, *, timeout_s: float = 10.0) -> None:
        self._ledger = ledger
        self._http = HttpTransport(f"{url}/ingest-events", timeout_s)

    def send(self, request: Request) -> Response:
        batch = _decode(request)
        self._ledger.batches.append(batch.batch_id)
        response = self._http.send(request)
        if response.status == 200:
            self._ledger.acknowledged += [event.event_id for event in batch.events]
        return response

    def close(self) -> None:
        self._http.close()


class _Event(msgspec.Struct):
    event_id: str


class _Batch(msgspec.Struct):
    batch_id: str
    events: list[_Event]


def _decode(request: Request) -> _Batch:
    body = inflate(request.headers.get("Content-Encoding"), request.body)
    return msgspec.json.decode(body, type=_Batch)


def inflate(encoding: str | None, body: bytes) -> bytes:
    """Returns what a client has sent, as it was before it was compressed."""
    match encoding:
        case "gzip":
            return gzip.decompress(body)
        case "zstd":
            return zstandard.decompress(body)
    return body
