"""What is stated about people and groups, as events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from headwater._encoder import PersonId
from headwater_schema.events import CREATE_ALIAS, GROUP_IDENTIFY, IDENTIFY

Properties = Mapping[str, object]

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


class People:
    """States who people are and what is known about them, one event for each call."""

    def identify(
        self: _States,
        distinct_id: PersonId,
        properties: Properties | None = None,
        *,
        set_once: Properties | None = None,
    ) -> str | None:
        """States what is known about a person.

        Args:
            distinct_id: Who it is.
            properties: What is true from now on.
            set_once: What is true only where nothing was known before.

        Returns:
            The event's id, or None if it could not be queued.
        """
        stated = {"$set": properties, "$set_once": set_once}
        return self._state(
            IDENTIFY,
            distinct_id,
            {key: value for key, value in stated.items() if value is not None},
        )

    def group_identify(
        self: _States,
        group_type: str,
        group_key: PersonId,
        properties: Properties | None = None,
    ) -> str | None:
        """States what is known about a group, such as a company.

        Args:
            group_type: What kind of group: 1 to 200 characters.
            group_key: Which one.
            properties: What is true from now on.

        Returns:
            The event's id, or None if it could not be queued.
        """
        return self._state(
            GROUP_IDENTIFY,
            group_key,
            {
                "$group_type": group_type,
                "$group_key": group_key,
                "$group_set": {} if properties is None else properties,
            },
        )

    def alias(self: _States, distinct_id: PersonId, alias: PersonId) -> str | None:
        """States that two ids are the same person.

        Args:
            distinct_id: The id that stays.
            alias: The other one, for instance of the time before the login.

        Returns:
            The event's id, or None if it could not be queued.
        """
        return self._state(CREATE_ALIAS, distinct_id, {"alias": alias})

    def set(
        self: _States,
        properties: Mapping[str, object],
        *,
        distinct_id: PersonId | None = None,
    ) -> str | None:
        """States what is true of a person from now on.

        As all methods below it is for the person of `distinct_id`, or of the context,
        and returns the event's id, or None if it could not be queued.
        """
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
