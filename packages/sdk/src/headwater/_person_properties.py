"""The operations on the properties of a person, as events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from headwater._encoder import PersonId

SET_PERSON = "$set"
"""The event that carries them."""


class _States(Protocol):
    """What can state something about a person."""

    def _state(
        self,
        event: str,
        distinct_id: PersonId | None,
        properties: Mapping[str, object],
    ) -> str | None: ...


class PersonProperties:
    """What changes the properties of a person, one event for each call.

    Whose they are is said by `distinct_id`, or by the context that the call is made in.
    All of these return the event's id, or None if it could not be queued.
    """

    def set(
        self: _States,
        properties: Mapping[str, object],
        *,
        distinct_id: PersonId | None = None,
    ) -> str | None:
        """States what is true of a person from now on."""
        return self._state(SET_PERSON, distinct_id, {"$set": properties})

    def set_once(
        self: _States,
        properties: Mapping[str, object],
        *,
        distinct_id: PersonId | None = None,
    ) -> str | None:
        """States what is true of a person where nothing was known before."""
        return self._state(SET_PERSON, distinct_id, {"$set_once": properties})

    def unset(
        self: _States, *names: str, distinct_id: PersonId | None = None
    ) -> str | None:
        """Forgets properties of a person."""
        return self._state(SET_PERSON, distinct_id, {"$unset": names})

    def add(
        self: _States,
        numbers: Mapping[str, float],
        *,
        distinct_id: PersonId | None = None,
    ) -> str | None:
        """Adds to properties of a person that are numbers; none counts as 0."""
        return self._state(SET_PERSON, distinct_id, {"$add": numbers})

    def append(
        self: _States,
        values: Mapping[str, object],
        *,
        distinct_id: PersonId | None = None,
    ) -> str | None:
        """Appends to properties of a person that are lists; none counts as empty."""
        return self._state(SET_PERSON, distinct_id, {"$append": values})
