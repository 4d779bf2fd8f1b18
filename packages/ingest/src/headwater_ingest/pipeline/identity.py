"""Rules for the events that state who somebody is: `$identify` and its like.

Ids that stand for "nobody in particular" may not join persons; the list is PostHog's.
"""

from typing import Final

from headwater_ingest.pipeline.properties import text_properties
from headwater_schema.events import CREATE_ALIAS, GROUP_IDENTIFY, IDENTIFY, SET, Event
from headwater_schema.outcomes import Reason

IDENTITY_EVENTS: Final = frozenset({IDENTIFY, SET, GROUP_IDENTIFY, CREATE_ALIAS})
"""They state something about somebody, who did nothing by it: they end no bounce."""

ANONYMOUS_ID: Final = "$anon_distinct_id"

_SHOWN_CHARS: Final = 40
_IN_ANY_CASE: Final = frozenset(
    {
        "anonymous",
        "guest",
        "distinctid",
        "distinct_id",
        "id",
        "not_authenticated",
        "email",
        "undefined",
        "true",
        "false",
    }
)
_AS_WRITTEN: Final = frozenset({"[object Object]", "NaN", "None", "none", "null", "0"})


def check_identity(event: Event) -> tuple[Reason, str] | None:
    """Tells why an event may not state what it states, or None if it may."""
    check = _CHECKS.get(event.event)
    return check(event) if check else None


def is_blocked_id(distinct_id: str) -> bool:
    """Whether an id is a placeholder that many strangers would share."""
    bare = distinct_id.strip().strip("\"'").strip()
    return not bare or bare in _AS_WRITTEN or bare.lower() in _IN_ANY_CASE


def _check_alias(event: Event) -> tuple[Reason, str] | None:
    alias = event.properties.get("alias")
    if not isinstance(alias, str) or not alias:
        return _missing("alias")
    return _check_ids(event.distinct_id, alias)


def _check_identify(event: Event) -> tuple[Reason, str] | None:
    # The link is made of the text that is stored, which a number or a truth has, too.
    texts, _ = text_properties({ANONYMOUS_ID: event.properties.get(ANONYMOUS_ID)})
    if ANONYMOUS_ID not in texts:
        return None
    return _check_ids(event.distinct_id, texts[ANONYMOUS_ID])


def _check_group(event: Event) -> tuple[Reason, str] | None:
    for name in ("$group_type", "$group_key"):
        value = event.properties.get(name)
        if not isinstance(value, str) or not value:
            return _missing(name)
    return None


def _check_ids(*ids: str) -> tuple[Reason, str] | None:
    for each in ids:
        if is_blocked_id(each):
            shown = each[:_SHOWN_CHARS]
            return Reason.BLOCKED_ID, f"`{shown}` is a placeholder, not a person"
    return None


def _missing(name: str) -> tuple[Reason, str]:
    detail = f"Expected non-empty `str` - at `$.properties.{name}`"
    return Reason.MALFORMED_EVENT, detail


_CHECKS: Final = {
    CREATE_ALIAS: _check_alias,
    GROUP_IDENTIFY: _check_group,
    IDENTIFY: _check_identify,
}
