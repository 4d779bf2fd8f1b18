"""Runs `wrk`, which sends requests from a file and takes little of the machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

_SCRIPT = Path(__file__).with_name("wrk.lua")


class Feed(msgspec.Struct):
    """A file of requests, which begins anew when all of them were sent.

    Attributes:
        path: What `write_requests` wrote.
        sent: So many of them may have been sent.
    """

    path: Path
    sent: int = 0


class Load(msgspec.Struct, frozen=True):
    """What one run of `wrk` saw.

    Attributes:
        requests: Requests that were answered.
        microseconds: In this time.
        statuses: Of them those with a status of 400 or more.
        broken: Connections that failed or did not answer in time.
        p50_us: Median time to the answer, in µs; the others likewise.
    """

    requests: int
    microseconds: int
    statuses: int
    broken: int
    p50_us: int
    p99_us: int
    p999_us: int
    max_us: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.microseconds * 1e6


def run_wrk(  # noqa: PLR0913  # each named
    port: int,
    feed: Feed,
    *,
    connections: int,
    seconds: float,
    think_ms: int = 0,
    governor: Path | None = None,
) -> Load:
    """Sends requests as fast as they are answered, and returns when it is done.

    Args:
        port: Where to.
        feed: The requests; what is sent is taken off it.
        connections: How many at the same time.
        seconds: For how long.
        think_ms: Mean pause of a connection after an answer.
        governor: While there is this file, no new requests are sent.

    Raises:
        SystemExit: There is no `wrk`, or a request was refused: then the figures
            would say nothing.
    """
    program = shutil.which("wrk")
    if program is None:
        sys.exit("this benchmark needs `wrk`: apt-get install wrk, or brew install wrk")
    done = subprocess.run(
        [
            program,
            "--threads=1",
            f"--connections={connections}",
            f"--duration={round(seconds)}s",
            "--timeout=10s",
            f"--script={_SCRIPT}",
            f"http://127.0.0.1:{port}/",
        ],
        env=os.environ
        | {
            "BENCH_REQUESTS": str(feed.path),
            "BENCH_SKIP": str(feed.sent),
            "BENCH_THINK_MS": str(think_ms),
            "BENCH_GOVERNOR": str(governor or ""),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    _, found, line = done.stdout.rpartition("BENCH ")
    if not found:
        sys.exit(f"wrk did not come to its end:\n{done.stdout}{done.stderr}")
    load = msgspec.json.decode(line, type=Load)
    if load.statuses or load.broken:
        sys.exit(f"{load.statuses} requests were refused, {load.broken} broken: {load}")
    feed.sent += load.requests + connections  # and those without an answer yet
    return load
