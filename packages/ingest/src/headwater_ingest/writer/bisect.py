"""Sends the INSERTs of a block; cuts those that are refused until bad rows are alone.

What was cut is never sent whole again, also after a crash: its halves may be written,
and have tokens of their own. So each verdict is on disk before anything follows from
it, and the way through a block is the same each time; what is written already is sent
again under its token, which ClickHouse knows.

A table that refuses everything must not turn a journal into dead letters. `Limits` says
from where on it is the table that is at fault, and nothing is given up any more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID

from headwater_ingest.errors import TooManyDeadLettersError
from headwater_ingest.journal import DeadLetter, Verdict
from headwater_ingest.rows import EVENT_ID, Rows, encode_rows
from headwater_ingest.writer.block import EVENTS, Insert
from headwater_ingest.writer.classify import Failure, FailureKind, classify

DEFAULT_RUN: Final = 100
DEFAULT_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on rows are not given up any more.

    Attributes:
        run: Most dead letters one after the other.
        share: Most dead letters of one block, as a part of its rows; `run` of them are
            allowed whatever the block.
    """

    run: int = DEFAULT_RUN
    share: float = DEFAULT_SHARE


class VerdictStore(Protocol):
    """Where verdicts are. `JournalReader` is one."""

    def read_verdicts(self) -> Mapping[str, Verdict]:
        """Return those on the block in hand."""
        ...

    def add_verdict(self, token: str, error: str | None) -> Verdict:
        """Put one on disk."""
        ...


class Sink(Protocol):
    """Where rows go."""

    def insert(self, insert: Insert) -> None:
        """Return once the rows are stored; a token that is known stores nothing."""
        ...


class Bisection:
    """Sends blocks, one after the other. For one thread."""

    def __init__(self, sink: Sink, verdicts: VerdictStore, limits: Limits) -> None:
        """Prepare; nothing is sent yet.

        Args:
            sink: Where rows go.
            verdicts: Where it is kept what became of INSERTs that were refused.
            limits: From where on rows are not given up.
        """
        self._sink = sink
        self._store = verdicts
        self._limits = limits
        self._verdicts: dict[str, Verdict] = {}
        self._dead: list[DeadLetter] = []
        self._most_dead = 0
        self._run = 0
        self._run_before = 0  # the run with which the block in hand began

    def send(self, inserts: Sequence[Insert]) -> list[DeadLetter]:
        """Send all rows of a block.

        It may be called again after an error, with the same block.

        Returns:
            The rows that are refused. All others are in ClickHouse.

        Raises:
            TooManyDeadLettersError: The rows are not at fault.
            Exception: Whatever went wrong, for `classify`.
        """
        self._verdicts = dict(self._store.read_verdicts())
        self._dead = []
        self._run = self._run_before
        rows = sum(each.row_count for each in inserts if each.table == EVENTS)
        self._most_dead = max(self._limits.run, round(rows * self._limits.share))
        for insert in inserts:
            self._send(insert)
        return self._dead

    def end_block(self) -> None:
        """Note that the block is let go, and the next one follows."""
        self._run_before = self._run

    def _send(self, insert: Insert) -> None:
        verdict = self._verdicts.get(insert.token) or self._try(insert)
        if verdict is None:
            self._run = 0
        elif verdict.error is None:
            for half in insert.halves():
                self._send(half)
        else:
            self._run += 1
            self._dead.append(_make_dead_letter(insert, verdict.error, verdict.at_ms))

    def _try(self, insert: Insert) -> Verdict | None:
        """Return None once it is stored, else what is to become of it."""
        try:
            self._sink.insert(insert)
        except Exception as error:
            failure = classify(error)
            if failure.kind is not FailureKind.REJECTED or insert.table != EVENTS:
                raise
            if insert.row_count == 1:
                self._check_limits(failure)
                return self._store.add_verdict(insert.token, failure.message)
            return self._store.add_verdict(insert.token, None)
        return None

    def _check_limits(self, failure: Failure) -> None:
        if self._run < self._limits.run and len(self._dead) < self._most_dead:
            return
        raise TooManyDeadLettersError(
            failure.message,
            f"ClickHouse refuses {self._run} rows in a row, {len(self._dead)} in this "
            "block, so no more are given up: mend the table, or raise "
            "HEADWATER_DEAD_LETTER_RUN and HEADWATER_DEAD_LETTER_SHARE and restart; "
            f"it says: {failure.message}",
        )


def _make_dead_letter(insert: Insert, error: str, at_ms: int) -> DeadLetter:
    values: dict[str, Any] = {
        name: column[0]
        for name, column in zip(insert.names, insert.columns, strict=True)
    }
    event_id: bytes = values.pop(EVENT_ID)
    return DeadLetter(
        site_id=values.get("site_id", 0),
        event_id=UUID(bytes=event_id),
        name=str(values.get("name", "")),
        distinct_id=str(values.get("distinct_id", "")),
        error=error,
        at_ms=at_ms,
        row=encode_rows(Rows([event_id], values, {})),
    )
