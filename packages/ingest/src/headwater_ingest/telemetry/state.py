"""How the node is doing: one snapshot, and what readiness follows from it.

Readiness turns false only when this node must not get traffic. With anything else that
is wrong it is `degraded` and goes on taking events, because an outage behind it must
not turn into lost events.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

FAILURE_KINDS = ("transient", "rejected", "fatal")
"""Of a failed INSERT: it will pass, the rows are at fault, or somebody must act."""


class _Explained(StrEnum):
    """A text enum whose members carry a sentence for the documentation."""

    description: str

    def __new__(cls, value: str, description: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member


class Blocked(_Explained):
    """Why the node must not get traffic."""

    DRAINING = "draining", "The service is stopping."
    JOURNAL_FULL = "journal_full", "No room for more rows until ClickHouse takes some."
    JOURNAL_UNWRITABLE = "journal_unwritable", "The disk refuses to take rows."
    NO_SITES = (
        "no_sites",
        "No site is known yet: no sites file, and ClickHouse was not seen.",
    )
    NO_WORKERS = "no_workers", "None of the processes that take events is running."


class Degraded(_Explained):
    """What is wrong on a node that still takes events."""

    CLICKHOUSE_AWAY = "clickhouse_away", "ClickHouse cannot be reached or refuses us."
    SCHEMA_PENDING = (
        "schema_pending",
        "The tables are not migrated; nothing is written.",
    )
    WORKER_DOWN = "worker_down", "One of the processes that take events is not running."
    WRITER_DOWN = "writer_down", "The process that writes to ClickHouse is not running."
    BLOCK_REJECTED = (
        "block_rejected",
        "ClickHouse refuses more rows than may be given up; all others wait behind.",
    )
    WRITES_REFUSED = (
        "writes_refused",
        "ClickHouse takes no rows until somebody acts: schema, rights or a view.",
    )
    BACKLOG_OLD = "backlog_old", "Rows have waited too long for ClickHouse."
    SITES_FILE_BROKEN = (
        "sites_file_broken",
        "The sites file is wrong; the last good one is in force.",
    )
    DATA_FILE_BROKEN = (
        "data_file_broken",
        "A file for enrichment is wrong; the last good one, or ours, is in force.",
    )
    SITES_STALE = (
        "sites_stale",
        "ClickHouse refuses the table of sites; the last known ones are in force.",
    )
    LOCAL_SALT = (
        "local_salt",
        "The salt of the day is not shared: other nodes see other visitors.",
    )
    LOCAL_SESSIONS = (
        "local_sessions",
        "Redis does not answer: a visitor has a session of their own on every node.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalState:
    """The journal at one moment.

    Attributes:
        oldest_pending_seconds: Age of the oldest row that is not in ClickHouse; 0 when
            none waits.
        window_seconds: How far back repeated ids are known.
    """

    full: bool
    writable: bool
    rows_pending: int
    bytes_pending: int
    oldest_pending_seconds: float
    window_events: int
    window_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterState:
    """The writer at one moment; the totals count from the start of the service.

    Attributes:
        held_by: Why the block in hand is not taken, one of `FAILURE_KINDS`; None while
            nothing is wrong.
        rows_dead: Rows that became dead letters.
        failures: INSERTs that failed, by one of `FAILURE_KINDS`.
    """

    up: bool = False
    held_by: str | None = None
    rows_written: int = 0
    rows_dead: int = 0
    blocks_written: int = 0
    insert_seconds: float = 0.0
    failures: Mapping[str, int] = field(default_factory=dict)
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebState:
    """What web events are handled with, at one moment.

    Attributes:
        sessions_open: Sessions that an event may still continue.
        sessions_evicted: Sessions that were forgotten for lack of room.
        sessions_local: Sessions are to be shared through Redis and are not.
        events_local: Events whose session was not shared for that reason.
        cache_hits: Look-ups that a cache answered, by its name.
        cache_misses: Look-ups that it did not.
        data_problems: What is wrong with files for enrichment.
    """

    sessions_open: int = 0
    sessions_evicted: int = 0
    sessions_local: bool = False
    events_local: int = 0
    cache_hits: Mapping[str, int] = field(default_factory=dict)
    cache_misses: Mapping[str, int] = field(default_factory=dict)
    data_problems: tuple[str, ...] = ()

    def plus(self, other: "WebState") -> "WebState":
        """Return the state of two processes that work together."""
        problems = dict.fromkeys((*self.data_problems, *other.data_problems))
        return WebState(
            sessions_open=self.sessions_open + other.sessions_open,
            sessions_evicted=self.sessions_evicted + other.sessions_evicted,
            sessions_local=self.sessions_local or other.sessions_local,
            events_local=self.events_local + other.events_local,
            cache_hits=_add_up(self.cache_hits, other.cache_hits),
            cache_misses=_add_up(self.cache_misses, other.cache_misses),
            data_problems=tuple(problems),
        )

    def counts_only(self) -> "WebState":
        """Return what stays true of a process that has ended."""
        return replace(self, sessions_open=0, sessions_local=False, data_problems=())


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersState:
    """The processes that take events, at one moment.

    Attributes:
        wanted: How many there are to be; 0 if the service takes them itself.
        up: How many run.
        restarts: Starts after the first of each.
    """

    wanted: int = 0
    up: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """The node at one moment: what `/readyz`, `/metrics` and the log judge by."""

    draining: bool
    journal: JournalState
    writer: WriterState
    sites: int
    sites_loaded: bool
    sites_problem: str | None
    sites_stale: bool = False
    salt_is_local: bool = False
    clickhouse_up: bool
    clickhouse_restarts: int
    schema_ready: bool
    web: WebState = WebState()
    workers: WorkersState = WorkersState()


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the node may get traffic, and what is wrong with it."""

    blocked: tuple[Blocked, ...]
    degraded: tuple[Degraded, ...]

    @property
    def is_ready(self) -> bool:
        """Whether the node may get traffic."""
        return not self.blocked


def _add_up(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    sums = Counter(one)
    sums.update(other)
    return dict(sums)


def judge_readiness(state: NodeState, *, degraded_after_seconds: float) -> Readiness:
    """Judge a snapshot.

    Args:
        state: The node at one moment.
        degraded_after_seconds: Age from which on a backlog is old.
    """
    blocked = {
        Blocked.DRAINING: state.draining,
        Blocked.JOURNAL_FULL: state.journal.full,
        Blocked.JOURNAL_UNWRITABLE: not state.journal.writable,
        Blocked.NO_SITES: not state.sites_loaded,
        Blocked.NO_WORKERS: not state.workers.up and state.workers.wanted > 0,
    }
    degraded = {
        Degraded.CLICKHOUSE_AWAY: not state.clickhouse_up,
        Degraded.SCHEMA_PENDING: not state.schema_ready,
        Degraded.WORKER_DOWN: 0 < state.workers.up < state.workers.wanted,
        Degraded.WRITER_DOWN: not state.writer.up,
        Degraded.BLOCK_REJECTED: state.writer.held_by == "rejected",
        Degraded.WRITES_REFUSED: state.writer.held_by == "fatal",
        Degraded.BACKLOG_OLD: (
            state.journal.oldest_pending_seconds >= degraded_after_seconds
        ),
        Degraded.SITES_FILE_BROKEN: state.sites_problem is not None,
        Degraded.DATA_FILE_BROKEN: bool(state.web.data_problems),
        Degraded.SITES_STALE: state.sites_stale,
        Degraded.LOCAL_SALT: state.salt_is_local,
        Degraded.LOCAL_SESSIONS: state.web.sessions_local,
    }
    return Readiness(
        tuple(reason for reason, holds in blocked.items() if holds),
        tuple(reason for reason, holds in degraded.items() if holds),
    )
