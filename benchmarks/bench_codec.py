"""CPU time of decoding a batch of 50 events, per event.

    .venv/bin/python -m benchmarks.bench_codec

The careful path is what a batch takes that msgspec refuses or that needs cleaning: here
each event has one text with a NUL in it.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from headwater_schema.codec import decode_batch, encode_json, encode_message_pack
from headwater_schema.ids import new_batch_id, new_event_id

EVENTS = 50
REPEATS = 15
SECONDS = 0.1


def make_batch(*, text: str = "pro") -> dict[str, Any]:
    return {
        "batch_id": new_batch_id(),
        "sent_at": "2026-11-21T10:00:05Z",
        "sdk": {"name": "headwater-python", "version": "0.1.0"},
        "events": [make_event(index, text) for index in range(EVENTS)],
    }


def make_event(index: int, text: str) -> dict[str, Any]:
    return {
        "event": "order placed",
        "distinct_id": f"user-{index}",
        "event_id": new_event_id(),
        "timestamp": f"2026-11-21T10:00:00.{index:03}Z",
        "properties": {
            "$current_url": f"https://example.com/page/{index}?utm_source=x",
            "$referrer": "https://search.example/",
            "$ip": f"203.0.113.{index}",
            "$session_id": f"session-{index}",
            "plan": text,
            "amount": 12.5 + index,
            "count": index,
            "active": True,
        },
        "groups": {"company": "acme"},
    }


def measure(run: Callable[[], object]) -> list[float]:
    """Return the µs per event of each repeat."""
    calls = 1
    while (elapsed := time_calls(run, calls)) < SECONDS:
        calls = max(calls + 1, int(calls * 1.2 * SECONDS / elapsed))
    times = [time_calls(run, calls) for _ in range(REPEATS)]
    return sorted(seconds / calls / EVENTS * 1e6 for seconds in times)


def time_calls(run: Callable[[], object], calls: int) -> float:
    started = time.process_time()
    for _ in range(calls):
        run()
    return time.process_time() - started


def main() -> None:
    plain, odd = make_batch(), make_batch(text="p\0ro")
    bodies = {
        "JSON": (encode_json(plain), False),
        "MessagePack": (encode_message_pack(plain), True),
        "JSON, careful": (encode_json(odd), False),
        "MessagePack, careful": (encode_message_pack(odd), True),
    }
    print("| decode_batch | bytes per event | median µs | min | max |")
    print("| --- | --- | --- | --- | --- |")
    for name, (body, message_pack) in bodies.items():
        times = measure(partial(decode_batch, body, message_pack=message_pack))
        shown = " | ".join(
            f"{time:.2f}" for time in (statistics.median(times), times[0], times[-1])
        )
        print(f"| {name} | {len(body) // EVENTS} | {shown} |")


if __name__ == "__main__":
    main()
