"""Asks the gate about a native batch, and says in HTTP what it answers."""

from typing import Final

from headwater_ingest.http.refusal import RequestRefusedError
from headwater_ingest.sites.gatekeeper import Cut, Gatekeeper, Refusal
from headwater_ingest.sites.model import Site
from headwater_schema.outcomes import ErrorCode, Reason

_ANSWERS: Final = {
    Reason.PAYMENT_REQUIRED: (
        ErrorCode.QUOTA_EXCEEDED,
        "the site takes no more events: its time is up (`accept_traffic_until`)",
    ),
    Reason.QUOTA_EXCEEDED: (
        ErrorCode.QUOTA_EXCEEDED,
        "the site has used up its events of this month (`monthly_quota`)",
    ),
    Reason.BLOCK: (
        ErrorCode.SITE_BLOCKED,
        "the site is blocked (its `rate_limit` is 0)",
    ),
    Reason.THROTTLE: (
        ErrorCode.THROTTLED,
        "the site's rate limit has no room for this batch; send it again later",
    ),
}


def admit_batch(gate: Gatekeeper, site: Site, count: int, *, now_ms: int) -> Cut | None:
    """Returns where a batch is to be cut, or None if all of it is let in.

    Raises:
        RequestRefusedError: Nothing of it is let in.
    """
    found = gate.admit(site, count, now_ms=now_ms)
    if not isinstance(found, Refusal):
        return found
    code, message = _ANSWERS[found.reason]
    raise RequestRefusedError(code, message, retry_after_s=found.retry_after_s)
