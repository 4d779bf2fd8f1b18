"""Watches what the intake does to a native batch, in either dialect."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from headwater_ingest.errors import JournalError
from headwater_ingest.explain.bystanders import SeenJournal
from headwater_ingest.explain.exchange import Answer
from headwater_ingest.explain.surroundings import WINDOW_UNKNOWN, Surroundings
from headwater_ingest.http.body import Headers
from headwater_ingest.http.intake import Decode, Intake, Request
from headwater_ingest.journal.peek import peek
from headwater_ingest.pipeline.native_trace import (
    EndUserTracer,
    SettledBatch,
    trace_batch,
)
from headwater_ingest.pipeline.trace import EventTrace
from headwater_ingest.telemetry.metrics import Metrics
from headwater_schema.codec import DecodedBatch, decode_answer

_OK: Final = 200
_KEY: Final = "api_key"


class _WatchedIntake(Intake):
    """The intake of the service; whoever watches it is told what was decoded."""

    on_decoded: Callable[[DecodedBatch], None]

    async def take(self, request: Request) -> bytes:
        """Returns the answer to a batch, as JSON."""
        return await super().take(replace(request, decode=self._watch(request.decode)))

    def _watch(self, decode: Decode) -> Decode:
        def decode_watched(headers: Headers, body: bytes, at_ms: int) -> DecodedBatch:
            decoded = decode(headers, body, at_ms)
            self.on_decoded(decoded)
            return decoded

        return decode_watched


class BatchWatch:
    """Takes one batch in, and keeps what became of it."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        directory, self._notes = _find_journal(around.settings.data_dir)
        self._journal = SeenJournal(directory)
        self._end_users = EndUserTracer(around.enrichment)
        self._decoded: DecodedBatch | None = None

    @property
    def parsed(self) -> dict[str, Any] | None:
        """What was understood; None if nothing was. A write key is not told."""
        decoded = self._decoded
        if decoded is None:
            return None
        envelope = msgspec.structs.asdict(decoded.envelope)
        del envelope[_KEY]
        return {
            "events": len(decoded.events) + len(decoded.refused),
            "refused_properties": decoded.refused_properties,
            **{name: value for name, value in envelope.items() if value},
        }

    def make_intake(self, metrics: Metrics) -> Intake:
        """Returns the intake of the service, over a journal that is only read."""
        intake = _WatchedIntake(
            sites=self._around.sites,
            gate=self._around.gate,
            end_users=self._end_users,
            journal=self._journal,
            metrics=metrics,
            clock=self._around.clock,
        )
        intake.on_decoded = self._keep
        return intake

    def trace(self, answer: Answer) -> list[EventTrace]:
        """Returns the way of each event; of a batch that is refused whole, none."""
        if self._decoded is None or answer.status != _OK:
            return []
        kept, rows = self._journal.kept()
        return trace_batch(
            SettledBatch(
                decoded=self._decoded,
                keys=self._journal.keys,
                kept=kept,
                rows=rows,
                results=decode_answer(answer.body.encode()).data.results,
                told=self._end_users.told,
            )
        )

    def notes(self) -> list[str]:
        """Returns what was not known."""
        entry = self._journal.entry
        limited = {each.id for each in self._around.sites.sites if each.rate_limit}
        if entry and entry.site_id in limited:
            return [*self._notes, WINDOW_UNKNOWN]
        return self._notes if self._decoded else []

    def _keep(self, decoded: DecodedBatch) -> None:
        self._decoded = decoded


def _find_journal(directory: Path) -> tuple[Path | None, list[str]]:
    """Returns where the journal is, if there is one that can be read."""
    try:
        return (None if peek(directory) is None else directory), []
    except JournalError as error:
        return None, [f"repeated events are not found: {error}"]
