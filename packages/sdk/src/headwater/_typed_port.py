"""The seam to typed events: what `capture` takes for a name and properties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class TypedEvent(Protocol):
    """An event that knows its own name and properties."""

    def __headwater_event__(self) -> tuple[str, Mapping[str, object]]:
        """Returns name and properties, in any values that `capture` takes.

        Raises:
            InvalidEventError: The event breaks its own rules. A strict client lets it
                pass to the caller of `capture`, another counts and reports it.
        """
        ...
