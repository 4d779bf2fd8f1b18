"""The second look at a batch that was not decoded in one pass, event by event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final
from uuid import UUID

import msgspec
from msgspec import DecodeError, Raw, ValidationError

from headwater_schema._formats import Format
from headwater_schema.batch import Envelope
from headwater_schema.decoded import DecodedBatch, RefusedEvent
from headwater_schema.errors import MalformedBodyError, TooLargeError
from headwater_schema.events import Event
from headwater_schema.limits import (
    MAX_BATCH_EVENTS,
    MAX_EVENT_BYTES,
    MAX_FORGIVEN_BYTES,
)
from headwater_schema.outcomes import Reason
from headwater_schema.values import clean_event, clean_properties

NOT_PLAIN: Final = (DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that need the second look."""


def decode_carefully(body: bytes, form: Format) -> DecodedBatch:
    """Decodes a batch with the limits of each event, and all that is forgiven.

    Raises:
        MalformedBodyError: It is not a batch.
        TooLargeError: It has too many events, or breaks too many rules.
    """
    envelope, array = _open(body, form)
    sources = _separate(array, form)
    if len(sources) > MAX_BATCH_EVENTS:
        raise TooLargeError(f"more than {MAX_BATCH_EVENTS} events; send them in parts")
    careful = _CarefulDecoder(form)
    for index, source in enumerate(sources):
        try:
            careful.take(index, bytes(source))
        except MalformedBodyError as error:
            raise MalformedBodyError(f"{error} - at `$.events[{index}]`") from None
    return careful.result(envelope)


def events_fit(body: bytes, form: Format) -> bool:
    """Whether it can be told at once that each event is within its limit."""
    if len(body) <= MAX_EVENT_BYTES:
        return True
    try:
        sources = form.raw_events(bytes(form.raw_batch(body).events))
    except NOT_PLAIN:
        return False
    return sources is not None and all(
        len(source) <= MAX_EVENT_BYTES for source in sources
    )


def envelope_of(batch: Envelope) -> Envelope:
    """Returns the envelope alone, which keeps neither events nor body alive."""
    return Envelope(
        api_key=batch.api_key,
        batch_id=batch.batch_id,
        sent_at=batch.sent_at,
        historical=batch.historical,
        sdk=batch.sdk,
        client_losses=batch.client_losses,
    )


class _CarefulDecoder:
    """Collects the events of one batch, sorted by whether they can be understood."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._events: list[Event] = []
        self._indices: list[int] = []
        self._refused: list[RefusedEvent] = []
        self._refused_properties = 0
        self._forgiven_bytes = 0

    def take(self, index: int, source: bytes) -> None:
        """Decodes the event at `index` or notes why it cannot be.

        Raises:
            MalformedBodyError: It is not even in the format.
            TooLargeError: Too much of the batch breaks the rules.
        """
        if len(source) > MAX_EVENT_BYTES:
            detail = f"{len(source)} bytes; send at most {MAX_EVENT_BYTES}"
            self._refuse(index, source, Reason.EVENT_TOO_LARGE, detail)
            return
        event = self._decode_plain(source) or self._decode_tree(index, source)
        if event:
            self._events.append(event)
            self._indices.append(index)

    def result(self, envelope: Envelope) -> DecodedBatch:
        """Returns all that was taken."""
        return DecodedBatch(
            envelope,
            self._events,
            self._indices,
            self._refused,
            self._refused_properties,
        )

    def _decode_plain(self, source: bytes) -> Event | None:
        try:
            event = self._form.event(source)
        except NOT_PLAIN:
            return None
        return None if self._form.has_nul(source, (event,)) else event

    def _decode_tree(self, index: int, source: bytes) -> Event | None:
        self._forgiven_bytes += len(source)
        _check_forgiven(self._forgiven_bytes)
        tree = self._form.reader.load(source)
        refused: Mapping[str, str] = {}
        if isinstance(tree, dict):
            tree, refused = clean_event(tree)
        try:
            event = msgspec.convert(tree, Event)
        except (DecodeError, ValueError) as error:
            self._refuse(index, source, Reason.MALFORMED_EVENT, str(error))
            return None
        self._refused_properties += len(refused)
        return event

    def _refuse(self, index: int, source: bytes, reason: Reason, detail: str) -> None:
        event_id = _find_id(source, self._form)
        self._refused.append(RefusedEvent(index, event_id, reason, detail))


def _find_id(source: bytes, form: Format) -> UUID | None:
    try:
        return form.identified(source).event_id
    except ValidationError:
        return None
    except NOT_PLAIN:
        # JSON like this took its second look as a batch, so its bound holds. To skip
        # through MessagePack costs no more than to decode it.
        return _find_id_forgivingly(source, form)


def _find_id_forgivingly(source: bytes, form: Format) -> UUID | None:
    try:
        field = form.reader.members(source)["event_id"]
        return msgspec.convert(form.reader.load(field), UUID)
    except (DecodeError, ValueError, KeyError):
        return None


def _open(body: bytes, form: Format) -> tuple[Envelope, bytes]:
    """Returns the envelope of a batch, and its events as an array still encoded."""
    try:
        batch = form.raw_batch(body)
    except ValidationError as error:
        raise MalformedBodyError(str(error)) from None
    except NOT_PLAIN as error:
        return _open_forgivingly(body, form, str(error))
    return envelope_of(batch), bytes(batch.events)


def _open_forgivingly(body: bytes, form: Format, fault: str) -> tuple[Envelope, bytes]:
    _check_forgiven(len(body))
    try:
        members = form.reader.members(body)
    except MalformedBodyError:
        # The fast decoder says more precisely what is wrong.
        raise MalformedBodyError(fault) from None
    envelope = _load_envelope(members, form)
    if "events" not in members:
        raise MalformedBodyError("Object missing required field `events`")
    return envelope, members["events"]


def _load_envelope(members: Mapping[str, bytes], form: Format) -> Envelope:
    known = set(Envelope.__struct_fields__)
    fields = {name: form.reader.load(members[name]) for name in known & members.keys()}
    clean, refused = clean_properties(fields)
    if refused:
        name, why = next(iter(refused.items()))
        raise MalformedBodyError(f"{why} - at `$.{name}`")
    try:
        return msgspec.convert(clean, Envelope)
    except (DecodeError, ValueError) as error:
        raise MalformedBodyError(str(error)) from None


def _separate(array: bytes, form: Format) -> Sequence[bytes | Raw]:
    """Separates as many events as are allowed, and one more if there are more."""
    sources = form.raw_events(array)
    if sources is not None:
        return sources
    _check_forgiven(len(array))
    try:
        return list(islice(form.reader.elements(array), MAX_BATCH_EVENTS + 1))
    except MalformedBodyError:
        raise MalformedBodyError("Expected `array` - at `$.events`") from None


def _check_forgiven(size: int) -> None:
    if size > MAX_FORGIVEN_BYTES:
        raise TooLargeError(
            f"more than {MAX_FORGIVEN_BYTES} bytes take a second look, for NaN, lone "
            "surrogates or a million values; send smaller batches"
        )
