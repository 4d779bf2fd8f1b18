"""The columns of the events that become rows.

A column that is the same in all rows of a batch stands once, and one that has its
default in all of them does not stand at all.
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from siphashc import siphash

from headwater_ingest.enrich.url import read_page
from headwater_ingest.pipeline.properties import text_properties, without_private
from headwater_ingest.rows import Rows
from headwater_schema.batch import Sdk
from headwater_schema.events import Event
from headwater_schema.limits import MAX_NAME_CHARS

_ZERO_KEY: Final = bytes(16)
"""ClickHouse's `sipHash64` has this key, so that its numbers and ours are the same."""

_URL: Final = "$current_url"
_SESSION: Final = "$session_id"


@dataclass(frozen=True, slots=True)
class KeptEvents:
    """The events of a batch that become rows, with the id and the time of each."""

    events: list[Event]
    ids: list[UUID]
    times: list[int]


def make_rows(
    kept: KeptEvents, *, site_id: int, received_at_ms: int, sdk: Sdk | None
) -> Rows:
    """Makes the rows of some events of a batch."""
    constants: dict[str, Any] = {"site_id": site_id, "received_at": received_at_ms}
    if sdk:
        constants |= {"sdk": sdk.name, "sdk_version": sdk.version[:MAX_NAME_CHARS]}
    varying = {}
    for name, column in _make_columns(kept).items():
        if column and column.count(column[0]) == len(column):
            constants[name] = column[0]
        else:
            varying[name] = column
    return Rows(kept.ids, constants, varying)


def _make_columns(kept: KeptEvents) -> dict[str, list[Any]]:
    events = kept.events
    properties = [event.properties for event in events]
    texts = [text_properties(each) for each in properties]
    columns: dict[str, list[Any]] = {
        "name": [event.event for event in events],
        "timestamp": kept.times,
        "user_id": [siphash(_ZERO_KEY, event.distinct_id) for event in events],
        "distinct_id": [event.distinct_id for event in events],
        "props": [each[0] for each in texts],
        "properties": [each[1] for each in texts],
        "groups": [without_private(event.groups) for event in events],
    }
    if any(_URL in each for each in properties):
        pages = [_page(each.get(_URL)) for each in properties]
        columns["hostname"] = [hostname for hostname, _ in pages]
        columns["pathname"] = [pathname for _, pathname in pages]
    if any(_SESSION in each for each in properties):
        columns["session_id"] = [_session_id(each.get(_SESSION)) for each in properties]
    return columns


def _page(url: object) -> tuple[str, str]:
    return read_page(url) if isinstance(url, str) and url else ("", "")


def _session_id(session: object) -> int:
    return siphash(_ZERO_KEY, session) if isinstance(session, str) and session else 0
