"""One node of the service: its parts, and the snapshot of how they are."""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

import structlog

from headwater_ingest.journal import Journal, JournalStatus
from headwater_ingest.lifecycle import Lifecycle
from headwater_ingest.shared_state import SharedState
from headwater_ingest.storage import Storage
from headwater_ingest.telemetry.accounts import PENDING, Account
from headwater_ingest.telemetry.state import (
    JournalState,
    NodeState,
    Readiness,
    WebState,
    WorkersState,
    judge_readiness,
)
from headwater_ingest.web import Web

_LOOK_SECONDS = 1.0

_log = structlog.stdlib.get_logger(__name__)


class Workers(Protocol):
    """What is known of the processes that take events for the service."""

    def read(self) -> WorkersState:
        """Returns how they are."""

    def read_web(self) -> WebState:
        """Returns what of web events is theirs alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The parts of a running service. A snapshot costs no I/O."""

    lifecycle: Lifecycle
    journal: Journal
    shared: SharedState
    storage: Storage
    web: Web
    degraded_after_seconds: float

    workers: Workers | None = None

    def read(self) -> tuple[NodeState, Readiness]:
        """Return how the node is, and what follows for its traffic."""
        shared = self.shared
        state = NodeState(
            draining=self.lifecycle.draining,
            journal=_read_journal(self.journal.status()),
            writer=self.storage.writer_state,
            sites=len(shared.sites),
            sites_loaded=shared.sites.is_loaded,
            sites_problem=shared.site_sync.problem,
            sites_stale=shared.site_sync.is_stale,
            salt_is_local=shared.salt_sync.is_local,
            clickhouse_up=self.storage.clickhouse_up,
            clickhouse_restarts=self.storage.clickhouse_restarts,
            schema_ready=self.storage.schema_ready,
            web=self.web.read().plus(self._read_web_of_workers()),
            workers=self.workers.read() if self.workers else WorkersState(),
        )
        return state, judge_readiness(
            state, degraded_after_seconds=self.degraded_after_seconds
        )

    def read_accounts(self) -> list[Account]:
        """Return what has become of the events of each site."""
        found = self.journal.accounts()
        names = {site.id: site.domain for site in self.shared.sites.sites}
        events = {
            **found.events,
            **{(site, PENDING, ""): rows for site, rows in found.pending.items()},
        }
        return [
            Account(names.get(site, str(site)), account, reason, number)
            for (site, account, reason), number in events.items()
        ]

    def _read_web_of_workers(self) -> WebState:
        return self.workers.read_web() if self.workers else WebState()

    async def report(self) -> None:
        """Log every change of readiness until the stop, which logs its own steps."""
        before = Readiness((), ())
        while not self.lifecycle.draining:
            _, now = self.read()
            if now != before:
                log = _log.warning if now.blocked or now.degraded else _log.info
                log(
                    "readiness changed",
                    blocked=[each.value for each in now.blocked],
                    degraded=[each.value for each in now.degraded],
                )
            before = now
            await asyncio.sleep(_LOOK_SECONDS)


def _read_journal(status: JournalStatus) -> JournalState:
    return JournalState(
        full=status.full,
        writable=status.writable,
        rows_pending=status.rows_pending,
        bytes_pending=status.bytes_pending,
        oldest_pending_seconds=_seconds_since(status.oldest_pending_at_ms),
        window_events=status.window_events,
        window_seconds=_seconds_since(status.window_from_ms),
    )


def _seconds_since(at_ms: int | None) -> float:
    return 0.0 if at_ms is None else max(0.0, time.time() - at_ms / 1000)
