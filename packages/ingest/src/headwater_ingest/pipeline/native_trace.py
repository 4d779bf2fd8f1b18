"""What was done to each event of a native batch.

Batches go through few fused passes, so what is told of an event is read from what came
of it. Only the steps that look at its end user are watched one by one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from headwater_ingest.pipeline.end_user import EndUserSteps, Facts
from headwater_ingest.pipeline.enrichment import Enrichment
from headwater_ingest.pipeline.trace import EventTrace, StepTrace, show_row
from headwater_ingest.rows import EVENT_ID, Rows
from headwater_ingest.sites.shields import Shields
from headwater_schema.batch import EventResult
from headwater_schema.codec import DecodedBatch, RefusedEvent
from headwater_schema.events import Event
from headwater_schema.outcomes import Outcome, Reason

DECODE: Final = "decode_event"
FIND_DUPLICATE: Final = "find_duplicate"
CHECK_TIME: Final = "check_time"
CHECK_IDENTITY: Final = "check_identity"
ADMIT: Final = "admit"

_RULES: Final = (DECODE, FIND_DUPLICATE, CHECK_TIME, CHECK_IDENTITY, ADMIT)
_RULE_OF: Final = {
    Reason.TIMESTAMP_OUT_OF_RANGE: CHECK_TIME,
    Reason.MALFORMED_EVENT: CHECK_IDENTITY,
    Reason.BLOCKED_ID: CHECK_IDENTITY,
    Reason.THROTTLE: ADMIT,
    Reason.QUOTA_EXCEEDED: ADMIT,
}
_REASONS: Final = {each.value: each for each in Reason}
_KNOWN: Final = "an event of this id is stored already"


class EndUserTracer(EndUserSteps):
    """The steps over end users, which write down what they do.

    Attributes:
        told: Each event that was described, and the steps that it took.
    """

    def __init__(self, enrichment: Enrichment) -> None:
        super().__init__(enrichment)
        self.told: list[tuple[Event, list[StepTrace]]] = []

    def describe(self, event: Event, shields: Shields) -> Facts | Reason:
        """Returns what an event tells of its end user, or why it is dropped."""
        steps: list[StepTrace] = []
        self.told.append((event, steps))
        found = super().describe(event, shields)
        if isinstance(found, dict):
            before = {name for step in steps for name in step.set}
            rest = {key: value for key, value in found.items() if key not in before}
            if rest:
                steps.append(StepTrace("put_attribution", rest))
        return found

    def _drop_spam(self, referrer: str) -> Reason | None:
        return self._note("drop_spam_referrer", super()._drop_spam(referrer))

    def _drop_data_centre(self, ip: str) -> Reason | None:
        return self._note("drop_data_centre_ip", super()._drop_data_centre(ip))

    def _put_page(self, url: str, shields: Shields, facts: Facts) -> Reason | None:
        new: Facts = {}
        reason = super()._put_page(url, shields, new)
        facts |= new
        return self._note("put_page", reason, new)

    def _put_place(self, ip: str, shields: Shields, facts: Facts) -> Reason | None:
        new: Facts = {}
        reason = super()._put_place(ip, shields, new)
        facts |= new
        return self._note("put_place", reason, new)

    def _put_device(
        self, agent: str, facts: Facts, *, drops_bots: bool
    ) -> Reason | None:
        new: Facts = {}
        reason = super()._put_device(agent, new, drops_bots=drops_bots)
        facts |= new
        return self._note("put_device", reason, new)

    def _note(
        self, step: str, reason: Reason | None, found: Facts | None = None
    ) -> Reason | None:
        _, steps = self.told[-1]
        steps.append(StepTrace(step, dict(found or {}), reason))
        return reason


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledBatch:
    """A batch and what came of it.

    Attributes:
        decoded: What was in it.
        keys: The window key of each decoded event.
        kept: Those of the events that became rows, in the order of the rows.
        rows: These rows; None if there are none.
        results: What the answer says of the others.
        told: The steps over end users.
    """

    decoded: DecodedBatch
    keys: Sequence[bytes]
    kept: Sequence[bytes]
    rows: Rows | None
    results: Mapping[str, EventResult]
    told: Sequence[tuple[Event, list[StepTrace]]]


def trace_batch(batch: SettledBatch) -> list[EventTrace]:
    """Returns a trace of each event, in the order of the batch."""
    decoded = batch.decoded
    traces = [(each.index, _trace_unreadable(each)) for each in decoded.refused]
    traces += zip(decoded.indices, _trace_decoded(batch), strict=True)
    return [trace for _, trace in sorted(traces, key=lambda each: each[0])]


def _trace_unreadable(event: RefusedEvent) -> EventTrace:
    step = StepTrace(DECODE, reason=event.reason, detail=event.detail)
    return EventTrace(
        event=f"#{event.index}",
        outcome=event.reason.outcome,
        reason=event.reason,
        steps=[step],
    )


def _trace_decoded(batch: SettledBatch) -> Iterator[EventTrace]:
    rows = {key: row for row, key in enumerate(batch.kept)}
    for index, event, key in zip(
        batch.decoded.indices, batch.decoded.events, batch.keys, strict=True
    ):
        name = f"#{index} {event.event}"
        result = batch.results.get(f"#{index}") or batch.results.get(
            str(event.event_id)
        )
        told = next((steps for each, steps in batch.told if each is event), [])
        if result:
            yield _trace_refused(name, result, told)
        elif batch.rows and key in rows:
            yield EventTrace(
                event=name,
                outcome=Outcome.ACCEPTED,
                steps=[*map(StepTrace, _RULES), *told],
                row=_row_at(batch.rows, rows.pop(key)),
            )
        else:
            yield _trace_duplicate(name)


def _trace_refused(
    name: str, result: EventResult, told: Sequence[StepTrace]
) -> EventTrace:
    reason = _REASONS[result.reason]
    steps = [*map(StepTrace, _RULES), *told]
    if reason in _RULE_OF:
        rule = _RULE_OF[reason]
        passed = _RULES[: _RULES.index(rule)]
        last = StepTrace(rule, reason=reason, detail=result.detail)
        steps = [*map(StepTrace, passed), last]
    return EventTrace(event=name, outcome=reason.outcome, reason=reason, steps=steps)


def _trace_duplicate(name: str) -> EventTrace:
    steps = [StepTrace(DECODE), StepTrace(FIND_DUPLICATE, detail=_KNOWN)]
    return EventTrace(event=name, outcome=Outcome.DUPLICATE, steps=steps)


def _row_at(rows: Rows, place: int) -> dict[str, Any]:
    varying = {name: column[place] for name, column in rows.varying.items()}
    event_id = UUID(bytes=rows.event_id[place])
    return show_row({EVENT_ID: event_id, **rows.constants, **varying})
