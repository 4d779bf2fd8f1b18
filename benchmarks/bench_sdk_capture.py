"""What one `capture` costs the application, in wall-clock µs per call.

    .venv/bin/python -m benchmarks.bench_sdk_capture

Idle: nothing is sent while it is measured. Live: the sending thread makes batches of
what is captured, for a transport that answers at once. Each repeat has a client of its
own and shows the median of its calls, beside them the 99th percentile of all calls.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from headwater import Client, Request, Response

CALLS = 10_000
REPEATS = 9
NEVER = 10**9

PROPERTIES = {
    "plan": "pro",
    "amount": 49.99,
    "currency": "EUR",
    "items": 3,
    "trial": False,
}
RICH = {
    "amount": Decimal("49.99"),
    "order": UUID(int=7),
    "at": datetime(2026, 11, 21, tzinfo=UTC),
    "tags": {"new", "paid"},
    "lines": [{"sku": "A-1", "count": 2}, {"sku": "B-7", "count": 1}],
}

Capture = Callable[[Client, int], object]


class Taking:
    """Takes every batch at once."""

    def send(self, _request: Request) -> Response:
        """Answer as the service does."""
        return Response(200, {}, b'{"success":true,"data":{}}')

    def close(self) -> None:
        """Has nothing to close."""


def capture(properties: Mapping[str, object], **parts: Any) -> Capture:
    def call(client: Client, number: int) -> object:
        return client.capture(f"user-{number}", "order_completed", properties, **parts)

    return call


def identify(client: Client, number: int) -> object:
    return client.identify(f"user-{number}", PROPERTIES)


def measure(call: Capture, **options: Any) -> list[float]:
    """Return the µs of each call, in order of size."""
    clock = time.perf_counter_ns
    times = []
    client = Client(
        "key",
        "http://localhost",
        max_queue_size=2 * CALLS,
        max_batch_bytes=20 * 1024 * 1024,
        transport=Taking(),
        **options,
    )
    call(client, 0)
    for number in range(CALLS):
        begin = clock()
        call(client, number)
        times.append((clock() - begin) / 1000)
    result = client.shutdown()
    assert not result.lost
    return sorted(times)


def main() -> None:
    idle = {"flush_at": NEVER, "flush_interval": NEVER}
    cases: dict[str, tuple[Capture, dict[str, Any]]] = {
        "5 properties, idle": (capture(PROPERTIES), idle),
        "5 properties, live": (capture(PROPERTIES), {}),
        "no properties, idle": (capture({}), idle),
        "5 of other types, idle": (capture(RICH), idle),
        "5, group and time, idle": (
            capture(PROPERTIES, groups={"company": "a"}, timestamp=RICH["at"]),
            idle,
        ),
        "5 and a NUL, cleaned, idle": (capture({**PROPERTIES, "plan": "\0"}), idle),
        "identify, 5 properties, idle": (identify, idle),
    }
    print("| capture | median µs | min | max | p99 of all calls |")
    print("| --- | --- | --- | --- | --- |")
    for name, (call, options) in cases.items():
        runs = [measure(call, **options) for _ in range(REPEATS)]
        medians = sorted(statistics.median(run) for run in runs)
        calls = sorted(time for run in runs for time in run)
        shown = statistics.median(medians), medians[0], medians[-1]
        columns = (*shown, calls[len(calls) * 99 // 100])
        print(f"| {name} | " + " | ".join(f"{each:.2f}" for each in columns) + " |")


if __name__ == "__main__":
    main()
