"""What can become of an event, and why: closed lists of outcomes and reasons.

This is the only place where one is born. Answers, metric labels, counters, log
lines and the reference documentation are all made from these enums.
"""

from enum import StrEnum
from typing import Final, Self


class _Described(StrEnum):
    """A text enum whose members carry a sentence for the documentation."""

    description: str

    def __new__(cls, value: str, description: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member


class Outcome(_Described):
    """What became of an event whose request was understood."""

    ACCEPTED = "accepted", "Stored: it is in the journal and will be in ClickHouse."
    DUPLICATE = "duplicate", "Already stored by an earlier request; not stored again."
    DROPPED = "dropped", "Left out on purpose; the reason says which rule did it."
    INVALID = "invalid", "Cannot be stored as it is; the reason says what is wrong."


class Reason(StrEnum):
    """Why an event was dropped or is invalid."""

    outcome: Outcome
    description: str

    def __new__(cls, value: str, outcome: Outcome, description: str) -> Self:
        """Bind the outcome that a reason explains to the reason itself."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.outcome = outcome
        member.description = description
        return member

    SPAM_REFERRER = (
        "spam_referrer",
        Outcome.DROPPED,
        "The referrer is on the list of spam hosts.",
    )
    NOT_FOUND = (
        "not_found",
        Outcome.DROPPED,
        "No site with this domain is known, or the site never receives events.",
    )
    PAYMENT_REQUIRED = (
        "payment_required",
        Outcome.DROPPED,
        "The site accepts traffic only until a date that has passed.",
    )
    QUOTA_EXCEEDED = (
        "quota_exceeded",
        Outcome.DROPPED,
        "The site has used up its events of this month.",
    )
    BLOCK = "block", Outcome.DROPPED, "The site is blocked."
    THROTTLE = (
        "throttle",
        Outcome.DROPPED,
        "The site sent more events than its rate limit allows in this window.",
    )
    VERIFICATION_AGENT = (
        "verification_agent",
        Outcome.DROPPED,
        "The request came from an installation checker, not from a visitor.",
    )
    DC_IP = "dc_ip", Outcome.DROPPED, "The address belongs to a data centre."
    THREAT_IP = "threat_ip", Outcome.DROPPED, "The address is known for attacks."
    SITE_HOSTNAME_ALLOWLIST = (
        "site_hostname_allowlist",
        Outcome.DROPPED,
        "The hostname is not on the site's list of allowed hostnames.",
    )
    SITE_PAGE_BLOCKLIST = (
        "site_page_blocklist",
        Outcome.DROPPED,
        "The page is on the site's list of blocked pages.",
    )
    SITE_IP_BLOCKLIST = (
        "site_ip_blocklist",
        Outcome.DROPPED,
        "The address is on the site's list of blocked addresses.",
    )
    SITE_COUNTRY_BLOCKLIST = (
        "site_country_blocklist",
        Outcome.DROPPED,
        "The country is on the site's list of blocked countries.",
    )
    BOT = "bot", Outcome.DROPPED, "The user agent is a bot or a headless browser."
    NO_SESSION_FOR_ENGAGEMENT = (
        "no_session_for_engagement",
        Outcome.DROPPED,
        "An engagement event came without an open session to belong to.",
    )
    NO_SESSION_FOR_PAGELEAVE = (
        "no_session_for_pageleave",
        Outcome.DROPPED,
        "The same under the event's former name.",
    )
    LOCK_TIMEOUT = (
        "lock_timeout",
        Outcome.DROPPED,
        "The visitor's session stayed busy for too long; nothing was changed.",
    )
    INVALID = (
        "invalid",
        Outcome.DROPPED,
        "A web event lacks a field that every row needs.",
    )
    MALFORMED_EVENT = (
        "malformed_event",
        Outcome.INVALID,
        "A field is missing or has the wrong type; the detail names it.",
    )
    EVENT_TOO_LARGE = (
        "event_too_large",
        Outcome.INVALID,
        "The encoded event is larger than the limit.",
    )
    TIMESTAMP_OUT_OF_RANGE = (
        "timestamp_out_of_range",
        Outcome.INVALID,
        "The event's time lies before the year 2000.",
    )
    BLOCKED_ID = (
        "blocked_id",
        Outcome.INVALID,
        (
            "An `$identify` or `$create_alias` would join strangers: one of its ids is "
            "a placeholder such as `null`. Other events may have such an id."
        ),
    )


RESERVED: Final = frozenset({Reason.NO_SESSION_FOR_PAGELEAVE, Reason.INVALID})
"""Reasons that the service does not give yet."""


class ErrorCode(_Described):
    """Why a whole request was refused. Nothing of it was stored."""

    MALFORMED_BODY = (
        "malformed_body",
        "The body is not a batch; the message says where.",
    )
    UNKNOWN_ENCODING = (
        "unknown_encoding",
        "The Content-Encoding is none of identity, gzip and zstd.",
    )
    UNSUPPORTED_TYPE = (
        "unsupported_type",
        "The Content-Type is neither JSON nor MessagePack.",
    )
    MISSING_KEY = "missing_key", "The request carries no write key."
    UNKNOWN_KEY = "unknown_key", "The write key belongs to no site."
    TOO_LARGE = "too_large", "The batch is over a limit; send it in smaller parts."
    THROTTLED = "throttled", "The site's rate limit has no room for this batch yet."
    SITE_BLOCKED = "site_blocked", "The site is blocked."
    QUOTA_EXCEEDED = (
        "quota_exceeded",
        (
            "The site has used up its events of this month, or its last day "
            "(`accept_traffic_until`) has passed; the message says which."
        ),
    )
    JOURNAL_FULL = (
        "journal_full",
        "The service cannot make the batch durable now; send it again later.",
    )
    SITES_UNKNOWN = (
        "sites_unknown",
        "The node does not know all sites yet; send the batch again later.",
    )
    DRAINING = "draining", "This node is shutting down; send the batch again."


class ClientLoss(_Described):
    """Why a client gave an event up before the service could know of it."""

    __repr__ = str.__repr__  # plain names where somebody prints their counts

    INVALID_EVENT = "invalid_event", "Its name, id or time is wrong."
    EVENT_TOO_LARGE = "event_too_large", "It is larger than one event may be."
    BEFORE_SEND = "before_send", "The application's `before_send` held it back."
    BEFORE_SEND_FAILED = "before_send_failed", "`before_send` raised an error."
    QUEUE_FULL = "queue_full", "The client's queue was full."
    CLOSED = "closed", "It was captured after the client had been shut down."
    BATCH_REFUSED = "batch_refused", "Its batch was refused by the service."
    EVENT_REFUSED = "event_refused", "It was refused by the service."
    UNCONFIRMED = "unconfirmed", "Something else than Headwater took its batch."
    UNDELIVERED = "undelivered", "It was still queued when the client ended."
    OTHER = "other", "A reason that this version of the service does not know."


SERVER_KNOWS: Final = frozenset({ClientLoss.BATCH_REFUSED, ClientLoss.EVENT_REFUSED})
"""Losses that the service has counted itself, so no client tells it of them."""
