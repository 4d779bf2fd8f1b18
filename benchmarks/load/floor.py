"""The floors: plain uvicorn, with an application that does nothing but read.

    python -m benchmarks.load.floor batch|web PORT

`batch` inflates and decodes a native batch, `web` decodes the body of a web event.
"""

import sys
from typing import Any

import msgspec
import uvicorn
from starlette.types import Receive, Scope, Send

from headwater_ingest.http.body import inflate, read_body
from headwater_ingest.http.native import decode_ingest_events

_MAX_BYTES = 20_000_000


class Floor:
    """Reads and decodes a body, and answers."""

    def __init__(self, kind: str) -> None:
        self._decode = _decode_batch if kind == "batch" else _decode_web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        headers = dict(scope["headers"])
        self._decode(headers, await read_body(receive, headers, max_bytes=_MAX_BYTES))
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"2")],
            }
        )
        await send({"type": "http.response.body", "body": b"ok"})


def _decode_batch(headers: dict[bytes, bytes], body: bytes) -> None:
    inflated = inflate(body, headers.get(b"content-encoding", b""))
    decode_ingest_events(headers, inflated, 0)


def _decode_web(_headers: dict[bytes, bytes], body: bytes) -> Any:
    return msgspec.json.decode(body)


if __name__ == "__main__":
    uvicorn.run(
        Floor(sys.argv[1]),
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
