"""The events of an application under test, and what it may claim about them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from headwater import CapturedEvent, Client, ReportedError
from headwater._default import replace_default
from headwater.testing._inbox import RecordedEvent
from headwater.testing._transport import MemoryTransport
from headwater_schema.values import clean_value

_FLUSH_TIMEOUT_S: Final = 10.0


class RecordedEvents:
    """What was captured so far, in the order of capture.

    Behaves as a list of `RecordedEvent`; each look at it first brings in what the
    client still holds. Claims that do not hold raise `AssertionError` with all that
    was captured.

    Attributes:
        client: The client that is recorded, for code that is given one.
        errors: What the client would have told to `on_error`: events and properties
            that it could not take.
    """

    def __init__(self) -> None:
        self.errors: list[ReportedError] = []
        self._transport = MemoryTransport()
        self.client = Client(
            "test", "http://localhost", transport=self._transport, on_error=self._note
        )

    @property
    def all(self) -> list[RecordedEvent]:
        """All events."""
        self.client.flush(timeout=_FLUSH_TIMEOUT_S)
        return self._transport.events

    @property
    def names(self) -> list[str]:
        """The names of all events."""
        return [event.event for event in self.all]

    def named(self, name: str) -> list[RecordedEvent]:
        """Returns the events of that name."""
        return [event for event in self.all if event.event == name]

    def assert_captured(
        self,
        name: str,
        properties: Mapping[str, object] | None = None,
        *,
        distinct_id: object = None,
        times: int | None = None,
    ) -> RecordedEvent:
        """Claims that there is such an event, or as many of them as `times` says.

        Args:
            name: Its name.
            properties: Properties that it has, whatever else it has. They are
                compared in wire form, so `Decimal("1.50")` and `"1.50"` are equal.
            distinct_id: Who did it; anybody, if not given.
            times: How many there are; one or more, if not given.

        Returns:
            The first of them.
        """
        wanted = properties or {}
        found = [
            event
            for event in self.named(name)
            if distinct_id in {None, event.distinct_id}
            and _holds(event.properties, wanted)
        ]
        if found and times in {None, len(found)}:
            return found[0]
        sought = _describe(name, distinct_id, wanted)
        often = "" if times is None else f" {times} times"
        raise AssertionError(
            f"expected {sought}{often}, found {len(found)}; {self._told()}"
        )

    def assert_not_captured(self, name: str | None = None) -> None:
        """Claims that there is no event, or none of that name."""
        found = self.all if name is None else self.named(name)
        if found:
            what = "any event" if name is None else repr(name)
            raise AssertionError(f"{what} was not to be captured; {self._told()}")

    def assert_no_errors(self) -> None:
        """Claims that everything captured could be taken as it was."""
        self.client.flush(timeout=_FLUSH_TIMEOUT_S)
        if self.errors:
            said = "".join(f"\n  {error}" for error in self.errors)
            raise AssertionError(f"the client has complained:{said}")

    def __iter__(self) -> Iterator[RecordedEvent]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, index: int) -> RecordedEvent:
        return self.all[index]

    def _note(self, error: ReportedError, _events: list[CapturedEvent]) -> None:
        self.errors.append(error)

    def _told(self) -> str:
        lines = [
            _describe(event.event, event.distinct_id, event.properties)
            for event in self.all
        ]
        lines += [f"(complaint) {error}" for error in self.errors]
        listed = "".join(f"\n  {line}" for line in lines)
        return f"captured were:{listed}" if lines else "nothing was captured"


@contextmanager
def record() -> Iterator[RecordedEvents]:
    """Records what is captured by `headwater.capture` and its like meanwhile.

    The default client is another one until the end, and then the one before again.
    """
    events = RecordedEvents()
    former = replace_default(events.client)
    try:
        yield events
    finally:
        replace_default(former)
        events.client.shutdown()


def _holds(properties: Mapping[str, Any], wanted: Mapping[str, object]) -> bool:
    return all(
        name in properties and _is_same(properties[name], value)
        for name, value in wanted.items()
    )


def _is_same(found: Any, wanted: object) -> bool:
    wire = clean_value(wanted)
    if isinstance(wanted, set | frozenset) and isinstance(found, list):
        # A set has no order on the wire either.
        return sorted(map(repr, found)) == sorted(map(repr, wire))
    return bool(found == wire)


def _describe(name: str, who: object, properties: Mapping[str, object]) -> str:
    by = "" if who is None else f" by {who!r}"
    given = ", ".join(f"{key}={value!r}" for key, value in properties.items())
    return f"{name!r}{by} ({given})"
