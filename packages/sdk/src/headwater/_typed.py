"""Typed events: the events of a code base as classes, checked when they are captured.

::

    class OrderCompleted(headwater.Event):
        amount: Decimal
        currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]


    client.capture("user-1", OrderCompleted(Decimal("49.99"), "EUR"))
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct, StructMeta

from headwater._errors import InvalidEventError
from headwater_schema.limits import MAX_NAME_CHARS

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z_]+")

_encode: Final = msgspec.json.Encoder().encode


def _derive_name(class_name: str) -> str:
    return " ".join(_WORD.findall(class_name))


def _checked(name: str) -> str:
    if not 0 < len(name) <= MAX_NAME_CHARS:
        raise ValueError(f"an event's name has 1 to {MAX_NAME_CHARS} characters")
    if name.startswith("$"):
        raise ValueError(f"names that begin with $ are reserved: {name!r}")
    return name


class EventMeta(StructMeta):
    """Gives each class of events the name under which they are captured."""

    def __new__(  # noqa: PYI034 - mypy knows no Self in a metaclass
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        event: str | None = None,
        **options: Any,
    ) -> "EventMeta":
        """Makes a class of events.

        Raises:
            ValueError: The name cannot be that of an event.
        """
        made: EventMeta = super().__new__(cls, name, bases, namespace, **options)
        made.__event_name__ = _checked(_derive_name(name) if event is None else event)
        return made

    __event_name__: str


class Event(Struct, metaclass=EventMeta):
    """Base of the events of an application: their fields are its properties.

    Each subclass is one event. Its name is that of the class in words, `Order
    Completed` for `OrderCompleted`, or is given: `class Bought(headwater.Event,
    event="order_completed")`. Fields have types and constraints as msgspec knows them;
    one whose name is no Python name is declared with `msgspec.field(name="$ip")`.

    Making one checks nothing; `capture` does: an event whose values do not fit its
    fields is counted and reported as `InvalidEventError`, and a client that is
    `strict` raises it. What fits in JSON fits: a `Decimal` may be made from a number.
    """

    __event_name__: ClassVar[str]

    def __headwater_event__(self) -> tuple[str, Mapping[str, object]]:
        """Returns name and properties.

        Raises:
            InvalidEventError: A value does not fit its field.
        """
        kind = type(self)
        name = kind.__event_name__
        # Whatever is raised, by values and hooks of the application, is said.
        try:
            # In the form that it will be sent in, which is what the schema describes.
            msgspec.json.decode(_encode(self), type=kind)
        except Exception as error:
            raise InvalidEventError(f"event {name!r}: {error}") from error
        fields = zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True)
        values = ((known_as, getattr(self, field)) for known_as, field in fields)
        return name, {key: value for key, value in values if value is not msgspec.UNSET}
