"""An application that captures events until it is told to end, and keeps books.

`python -m tests.chaos.client URL KEY DIRECTORY` writes the id of each event into
`sent` before it is captured, and into `acknowledged` once its batch was answered with
200. Ids are 16 bytes; what was written outlives a kill. At SIGTERM it delivers what it
has, and ends with 0 if that is all.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from tests.e2e.support.ledger import inflate

from headwater import Client, HttpTransport, Request, Response
from headwater_schema.ids import new_event_id

_PAUSE_S: Final = 0.02
_AT_ONCE: Final = 5
_FLUSH_S: Final = 60.0


class _Event(msgspec.Struct):
    event_id: UUID


class _Batch(msgspec.Struct):
    events: list[_Event]


class Book:
    """A file of ids."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, ids: list[UUID]) -> None:
        os.write(self._fd, b"".join(each.bytes for each in ids))


class BookTransport:
    """Posts as the client does by itself, and books what was answered with 200."""

    def __init__(self, book: Book, url: str) -> None:
        self._book = book
        self._http = HttpTransport(f"{url}/ingest-events", timeout=3.0)

    def send(self, request: Request) -> Response:
        response = self._http.send(request)
        if response.status == 200:
            body = inflate(request.headers.get("Content-Encoding"), request.body)
            batch = msgspec.json.decode(body, type=_Batch)
            self._book.write([event.event_id for event in batch.events])
        return response

    def close(self) -> None:
        self._http.close()


def main() -> None:
    """Captures until SIGTERM."""
    url, key, directory = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    sent = Book(directory / "sent")
    client = Client(
        key,
        url,
        transport=BookTransport(Book(directory / "acknowledged"), url),
        flush_at=25,
        flush_interval=0.2,
        max_batch_events=200,
        max_queue_size=1_000_000,
        max_retries=1,
    )
    number = 0
    while not stop.wait(_PAUSE_S):
        ids = [UUID(new_event_id()) for _ in range(_AT_ONCE)]
        sent.write(ids)
        for event_id in ids:
            number += 1
            _capture(client, event_id, number)
    left = client.flush(timeout=_FLUSH_S).queued
    lost = client.stats().lost
    client.shutdown(timeout=0)
    if left or lost:
        sys.exit(f"{left} events are still queued, lost: {lost}")


def _capture(client: Client, event_id: UUID, number: int) -> None:
    client.capture(
        f"user-{number % 7}",
        "pageview" if number % 2 else "clicked",
        {"number": number, "$session_id": f"{os.getpid()}-{number // 20}"},
        event_id=event_id,
    )


if __name__ == "__main__":
    main()
