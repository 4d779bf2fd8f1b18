"""The owner's side of a connection: does what a worker asks for, and answers."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol, assert_never

import msgspec
import structlog
from starlette.types import ASGIApp, Message

from headwater_ingest.errors import JournalError, JournalUnwritableError
from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.entry import (
    Committed,
    Entry,
    PartlyRepeated,
    Receipt,
    Repeated,
    StoredAnswer,
    split_ids,
)
from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.visitors.sessions import Session, Visit
from headwater_ingest.worker.protocol import (
    Add,
    Answer,
    Append,
    Ask,
    Failed,
    ForgetSessions,
    Headers,
    LookUp,
    NotStored,
    Prolong,
    Question,
    ReadAnswer,
    Register,
    Registered,
    Seen,
    StrangeVisit,
    Taken,
    TakenBefore,
    TakenInPart,
    Told,
)
from headwater_ingest.worker.remote_journal import to_answer
from headwater_ingest.worker.remote_sessions import decode_facts
from headwater_schema.outcomes import Reason

Statement = Add | Prolong | ForgetSessions
Reply = Callable[[Answer], object]

_TAKEN: Final = Taken()
_SERVER_ERROR: Final = 500

_log = structlog.stdlib.get_logger(__name__)


class OwnedJournal(Protocol):
    """What the desk needs of the journal."""

    def submit(self, entry: Entry) -> "asyncio.Future[Receipt]":
        """Puts an entry on its way to the disk."""

    def seen_batch(self, batch_id: bytes) -> bool:
        """Whether a batch was taken within the window."""

    def seen_events(self, ids: tuple[bytes, ...]) -> set[bytes]:
        """Returns those events that were taken within the window."""

    async def stored_answer(self, batch_id: bytes) -> StoredAnswer | None:
        """Returns what is stored for a batch."""

    def count(self, count: Count) -> None:
        """Counts events that leave no rows."""


class OwnerDesk:
    """Answers all workers, each as soon as it can be. Owned by the loop."""

    def __init__(
        self, journal: OwnedJournal, sessions: MemorySessionStore, app: ASGIApp
    ) -> None:
        """Open the desk.

        Args:
            journal: The journal of the service.
            sessions: Its open sessions.
            app: What answers requests that are not for events.
        """
        self._journal = journal
        self._sessions = sessions
        self._app = app
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, message: Question | Statement, reply: Reply) -> None:
        """Do what a message says, and reply now or later if it is a question."""
        match message:
            case Append():
                self._append(message.entry, reply)
            case Prolong():
                for visit in message.visits:
                    self._sessions.prolong(*visit)
            case Register():
                reply(Registered([self._register(each) for each in message.visits]))
            case Add():
                self._journal.count(message.count)
            case LookUp():
                reply(self._look_up(message))
            case ReadAnswer():
                self._do(self._read_answer(message.batch_id), reply)
            case Ask():
                self._do(run_request(self._app, message), reply)
            case ForgetSessions():
                self._sessions.forget_all()
            case _:
                assert_never(message)

    def _append(self, entry: Entry, reply: Reply) -> None:
        try:
            future = self._journal.submit(entry)
        except JournalError as error:
            reply(to_answer(error))
        else:
            future.add_done_callback(partial(_reply_receipt, reply))

    def _look_up(self, question: LookUp) -> Seen:
        events = self._journal.seen_events(split_ids(question.event_ids))
        return Seen(self._journal.seen_batch(question.batch_id), b"".join(events))

    async def _read_answer(self, batch_id: bytes) -> Answer:
        try:
            stored = await self._journal.stored_answer(batch_id)
        except JournalError as error:
            return to_answer(error)
        if stored is None:
            return NotStored()
        return TakenBefore(stored.ids_digest, stored.answer)

    def _register(self, strange: StrangeVisit) -> Session | int | Reason:
        visit = Visit(
            strange.site_id,
            strange.user_id,
            strange.previous_user_id,
            strange.time_s,
            strange.prolongs_only,
            partial(decode_facts, strange.facts),
        )
        session = self._sessions.find(visit)
        if session is not None:
            return session
        begun = self._sessions.begin(visit)
        return begun if isinstance(begun, Reason) else begun.id

    def _do(self, work: Coroutine[Any, Any, Answer], reply: Reply) -> None:
        async def answer() -> None:
            reply(await work)

        task = asyncio.create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _reply_receipt(reply: Reply, future: "asyncio.Future[Receipt]") -> None:
    error = future.exception()
    if error is None:
        reply(_describe(future.result()))
    elif isinstance(error, JournalError):
        reply(to_answer(error))
    else:
        _log.error("append failed", exc_info=error)
        reply(Failed(JournalUnwritableError.__name__, f"the journal failed: {error}"))


def _describe(receipt: Receipt) -> Answer:
    match receipt:
        case Committed():
            return _TAKEN
        case PartlyRepeated(answer):
            return TakenInPart(answer)
        case Repeated(stored):
            return TakenBefore(stored.ids_digest, stored.answer)
        case _:
            assert_never(receipt)


class _Collected(msgspec.Struct):
    """An answer in the making."""

    status: int = _SERVER_ERROR
    headers: Headers = []
    body: bytes = b""


async def run_request(app: ASGIApp, ask: Ask) -> Told:
    """Return what an application answers to a request that a worker has received."""
    collected = _Collected()

    async def receive() -> Message:
        return {"type": "http.request", "body": ask.body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            collected.status = message["status"]
            collected.headers = [(name, value) for name, value in message["headers"]]
        else:
            collected.body += message.get("body", b"")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": ask.method,
        "scheme": "http",
        "path": ask.path,
        "raw_path": ask.raw_path,
        "query_string": ask.query,
        "root_path": "",
        "headers": ask.headers,
        "client": None,
        "server": None,
    }
    try:
        await app(scope, receive, send)
    except Exception:  # noqa: BLE001 - supervised: the worker waits for an answer
        _log.exception("request failed")
    return Told(collected.status, collected.headers, collected.body)
