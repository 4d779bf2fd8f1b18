"""An HTTP proxy that loses answers, or delivers requests twice.

It stands between the client and the service, and is as bad as a network can be
without changing a byte.
"""

import http.client
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.e2e.support.ledger import inflate

_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class _Post:
    """A request on its way."""

    path: str
    headers: dict[str, str]
    body: bytes

    def batch_id(self) -> str:
        batch = json.loads(inflate(self.headers.get("Content-Encoding"), self.body))
        return str(batch["batch_id"])


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


_Deliver = Callable[[_Post], _Answer]
_Behaviour = Callable[[_Deliver, _Post], _Answer | None]
"""Given how to deliver a post, returns the answer, or None to lose it."""


@dataclass(slots=True)
class LoseFirstAnswers:
    """Delivers everything, and loses the first answer to each batch."""

    lost: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, deliver: _Deliver, post: _Post) -> _Answer | None:
        answer = deliver(post)
        with self._lock:
            if post.batch_id() in self.lost:
                return answer
            self.lost.add(post.batch_id())
            return None


@dataclass(slots=True)
class ActBeforeAnswers:
    """Delivers everything; does something before it loses the first few answers."""

    act: Callable[[], None]
    times: int
    lost: set[str] = field(default_factory=set)

    def __call__(self, deliver: _Deliver, post: _Post) -> _Answer | None:
        answer = deliver(post)
        if len(self.lost) == self.times or post.batch_id() in self.lost:
            return answer
        self.lost.add(post.batch_id())
        self.act()
        return None


@dataclass(slots=True)
class DeliverTwice:
    """Delivers each post twice at the same time, and passes one answer on."""

    delivered: int = 0

    def __call__(self, deliver: _Deliver, post: _Post) -> _Answer | None:
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(deliver, [post, post]))
        self.delivered += 2
        return answers[0]


class Proxy:
    """Listens on a free port and carries posts to `upstream` as `behaviour` says."""

    def __init__(self, upstream_port: int, behaviour: _Behaviour) -> None:
        def deliver(post: _Post) -> _Answer:
            return _deliver(upstream_port, post)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                post = _Post(self.path, dict(self.headers.items()), body)
                answer = behaviour(deliver, post)
                if answer is None:
                    self.close_connection = True
                else:
                    self._pass_on(answer)

            def log_message(self, *_: object) -> None:
                """Prints nothing."""

            def _pass_on(self, answer: _Answer) -> None:
                self.send_response_only(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _deliver(port: int, post: _Post) -> _Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", post.path, post.body, post.headers)
        answer = connection.getresponse()
        return _Answer(answer.status, answer.getheaders(), answer.read())
    finally:
        connection.close()
