"""Takes one web event through the pipeline and writes down what each step did.

The pipeline knows nothing of it: it is the same one, over the same steps, session store
and buffer, each with an observer before it. So what is told is what was done, and
requests that nobody traces pay nothing for it.

A trace is for the sender of its event. It never tells what another event has left
behind: not the ids of visitor and session, and nothing of a session that was open
before, not even if it is the sender's own.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec

from headwater_ingest.pipeline.trace import EventTrace, Findings, StepTrace, show_row
from headwater_ingest.pipeline.web.event import FACT_COLUMNS, WebEvent
from headwater_ingest.pipeline.web.pipeline import (
    REGISTER_SESSION,
    Buffer,
    Result,
    WebPipeline,
)
from headwater_ingest.pipeline.web.request import WebRequest
from headwater_ingest.pipeline.web.steps import Step
from headwater_ingest.rows import EVENT_ID, Row
from headwater_ingest.visitors.sessions import Facts, Session, SessionStore, Visit
from headwater_schema.outcomes import Outcome, Reason

_IDS: Final = ("user_id", "session_id")
_FOUND: Final = {
    "locator": "place",
    "device": "device",
    "attributor": "attribution",
    "revenue": "revenue",
}
"""What a step sets, and what the event tells by it."""
BEGUN: Final = "begun by this event"
CONTINUED: Final = "continued, so place, device and source are those of its first event"


class TracedEvent(msgspec.Struct):
    """A trace and the number of the site that it is about; 0 if there is none."""

    trace: EventTrace
    site_id: int = 0


async def trace_request(
    request: WebRequest,
    steps: Sequence[tuple[str, Step]],
    *,
    sessions: SessionStore,
    buffer: Buffer,
) -> tuple[Result, list[TracedEvent]]:
    """Does what `build_and_buffer` does, and tells it.

    Returns:
        What became of the request, and a trace for each of its domains.
    """
    recorder = _Recorder(sessions, buffer)
    watched = [(name, partial(recorder.watch, name, step)) for name, step in steps]
    pipeline = WebPipeline(
        watched, sessions=recorder, buffer=recorder, observe=_forget_duration
    )
    result = await pipeline.build_and_buffer(request)
    return result, recorder.events


class _Recorder:
    """Stands before steps, session store and buffer of one request."""

    def __init__(self, sessions: SessionStore, buffer: Buffer) -> None:
        self._sessions = sessions
        self._buffer = buffer
        self._event: WebEvent | None = None
        self.events: list[TracedEvent] = []

    def watch(self, name: str, step: Step, event: WebEvent) -> Reason | None:
        """Takes a step."""
        if event is not self._event:
            self._event = event
            trace = EventTrace(event=event.domain, outcome=Outcome.ACCEPTED)
            self.events.append(TracedEvent(trace))
        before = msgspec.structs.asdict(event)
        reason = step(event)
        self.events[-1].site_id = event.site.id
        self._note(name, _changes(event, before), reason)
        return reason

    async def register(self, visit: Visit) -> Session | Reason:
        """Asks for the session of an event that has taken all steps."""
        own: list[Facts] = []

        def make_facts() -> Facts:
            own.append(visit.make_facts())
            return own[0]

        watched = msgspec.structs.replace(visit, make_facts=make_facts)
        session = self._sessions.register(watched)
        if not isinstance(session, Session | Reason):
            session = await session
        if isinstance(session, Reason):
            self._note(REGISTER_SESSION, {}, session)
        else:
            is_own = own == [session.facts]
            told = BEGUN if is_own else CONTINUED
            self._note(REGISTER_SESSION, {"session": told}, None)
        return session

    def put(
        self, rows: Sequence[Row], done: Callable[[Exception | None], object]
    ) -> None:
        """Tells what is in rows, and has them put on disk."""
        taken = [each.trace for each in self.events if not each.trace.reason]
        for trace, row in zip(taken, rows, strict=True):
            is_own = trace.steps[-1].set["session"] == BEGUN
            trace.row = _show_row(row, with_facts=is_own)
        self._buffer.put(rows, done)

    def count_dropped(self, site_id: int, reason: Reason) -> None:
        """Counts an event that leaves no row."""
        self._buffer.count_dropped(site_id, reason)

    def _note(self, step: str, found: Findings, reason: Reason | None) -> None:
        trace = self.events[-1].trace
        trace.steps.append(StepTrace(step, found, reason))
        if reason:
            trace.outcome, trace.reason = reason.outcome, reason


def _forget_duration(_step: str, _seconds: float) -> None:
    """A step that is watched takes longer, so that its time is none to be told."""


def _changes(event: WebEvent, before: Mapping[str, Any]) -> Findings:
    """Returns what a step has added to an event."""
    found: Findings = {}
    if event.site is not before["site"]:
        found["site"] = event.site.domain
    for name, tells in _FOUND.items():
        if getattr(event, name) is not before[name]:
            values = getattr(event, tells)._asdict()
            found |= {key: each for key, each in values.items() if each}
    if event.user_id != before["user_id"]:
        found["user_id"] = "under the salt of the day"
    return found


def _show_row(row: Row, *, with_facts: bool) -> dict[str, Any]:
    """Returns the columns of a row that its sender may see."""
    hidden = _IDS if with_facts else (*_IDS, *FACT_COLUMNS)
    columns = {name: value for name, value in row.columns.items() if name not in hidden}
    return show_row({EVENT_ID: UUID(bytes=row.event_id), **columns})
