"""What to do about each reason why an event is not there."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from headwater_ingest.explain.exchange import Answer
from headwater_ingest.explain.http_request import HttpRequest
from headwater_ingest.http.plausible_body import is_form, kind_of
from headwater_ingest.http.routes import EVENT_PATH
from headwater_ingest.pipeline.trace import EventTrace
from headwater_schema.outcomes import Outcome, Reason

_SHIELD: Final = "change `{}` of the site: `headwater-ingest sites edit DOMAIN {}`"
_STORE: Final = "see whether the store of sessions is well: `headwater-ingest doctor`"
_AGENT: Final = (
    "open the page with an ordinary browser; a program of yours names an agent that "
    "is none of a bot"
)

HINTS: Final[Mapping[Reason, str]] = {
    Reason.SPAM_REFERRER: (
        "send another referrer, or name a list of your own: `spam_file`"
    ),
    Reason.NOT_FOUND: (
        "compare the domain (`d`, or else the host of `u`) with `headwater-ingest "
        "sites list`, and add the site, or correct the `domain` of the tracker; a "
        "consolidated site takes no events"
    ),
    Reason.PAYMENT_REQUIRED: (
        "set a later `accept_traffic_until`: `headwater-ingest sites edit DOMAIN "
        "accept_traffic_until=`"
    ),
    Reason.QUOTA_EXCEEDED: (
        "wait for the next month, or raise `monthly_quota`: `headwater-ingest sites "
        "edit DOMAIN monthly_quota=`"
    ),
    Reason.BLOCK: (
        "the site's `rate_limit` is 0: `headwater-ingest sites edit DOMAIN rate_limit=`"
    ),
    Reason.THROTTLE: (
        "wait for the next window, or raise `rate_limit`: `headwater-ingest sites edit "
        "DOMAIN rate_limit=`"
    ),
    Reason.VERIFICATION_AGENT: "nothing: the checker has found what it looked for",
    Reason.DC_IP: (
        "if a proxy of yours stands between, add it to `trusted_proxies` so that its "
        "`X-Forwarded-For` is believed; visitors in data centres are left out"
    ),
    Reason.THREAT_IP: (
        "your proxy says so in `x-plausible-ip-type`: correct its list if it is wrong"
    ),
    Reason.SITE_HOSTNAME_ALLOWLIST: _SHIELD.format(
        "allowed_hostnames", "allowed_hostnames+=HOSTNAME"
    ),
    Reason.SITE_PAGE_BLOCKLIST: _SHIELD.format(
        "blocked_pages", "blocked_pages-=PATTERN"
    ),
    Reason.SITE_IP_BLOCKLIST: _SHIELD.format(
        "blocked_addresses", "blocked_addresses-=NETWORK"
    )
    + "; if it is the address of a proxy, add that to `trusted_proxies`",
    Reason.SITE_COUNTRY_BLOCKLIST: _SHIELD.format(
        "blocked_countries", "blocked_countries-=CODE"
    ),
    Reason.BOT: _AGENT,
    Reason.NO_SESSION_FOR_ENGAGEMENT: (
        "send a pageview of the same visitor first, at most half an hour before: same "
        "address, user agent and domain"
    ),
    Reason.NO_SESSION_FOR_PAGELEAVE: (
        "send a pageview of the same visitor first, at most half an hour before"
    ),
    Reason.LOCK_TIMEOUT: _STORE,
    Reason.INVALID: "compare the fields with those of the tracker",
    Reason.MALFORMED_EVENT: "correct the field that the detail names",
    Reason.EVENT_TOO_LARGE: "send less in one event: 1 MiB is the most",
    Reason.TIMESTAMP_OUT_OF_RANGE: (
        "send `timestamp` as RFC 3339 or in epoch milliseconds, not seconds"
    ),
    Reason.BLOCKED_ID: "send the id of one person, or leave the event out",
}
"""What to do, by reason."""

_DUPLICATE: Final = (
    "To do: if it is another event, give it another `event_id`, or a `timestamp` of "
    "its own where there are no ids."
)
_FORM: Final = (
    "The body looks like JSON, and was read as a form because of its type, {}."
)
_NO_FORM: Final = (
    "send `Content-Type: text/plain` or `application/json` (curl sends that of a form "
    "unless `-H` or `--json` says another)"
)
_STATUSES: Final[Mapping[int, str]] = {
    400: "nothing was taken: correct what the answer names, and send it again",
    401: "send the write key of a site: `headwater-ingest sites list` names the sites, "
    "`headwater-ingest sites rotate-key DOMAIN` gives one a new key",
    402: "wait for the next month, or raise `monthly_quota` or `accept_traffic_until`: "
    "`headwater-ingest sites edit DOMAIN monthly_quota=`",
    403: "the site's `rate_limit` is 0: `headwater-ingest sites edit DOMAIN "
    "rate_limit=`",
    404: "no such route: events go to /api/event, /ingest-events or /user-properties "
    "with POST",
    405: "send it with POST",
    415: "send `Content-Type: application/json` or `application/msgpack`, and "
    "`Content-Encoding: gzip`, `zstd` or none",
    406: "leave the `Accept` header out, or let it admit application/json",
}


def find_form_hint(request: HttpRequest, answer: Answer) -> dict[str, str]:
    """Returns what to do about JSON that says it is a form, as curl has it say."""
    is_refused = (request.path, answer.status) == (EVENT_PATH, HTTPStatus.BAD_REQUEST)
    kind = dict(request.headers).get(b"content-type", b"").decode("latin-1")
    is_json = request.body.lstrip().startswith(b"{")
    if not (is_refused and is_json and is_form(kind)):
        return {}
    told = _FORM.format(kind_of(kind))
    return {str(answer.status): f"{told} To do: {_NO_FORM}."}


def find_hints(answer: Answer, events: Sequence[EventTrace]) -> dict[str, str]:
    """Returns what to do about each reason, or about an answer that is a refusal."""
    hints = {
        each.reason: f"{each.reason.description} To do: {HINTS[each.reason]}."
        for each in events
        if each.reason
    }
    found: dict[str, str] = {str(reason): hint for reason, hint in hints.items()}
    if any(each.outcome == Outcome.DUPLICATE for each in events):
        found[Outcome.DUPLICATE.value] = f"{Outcome.DUPLICATE.description} {_DUPLICATE}"
    if not events and (hint := _STATUSES.get(answer.status)):
        found[str(answer.status)] = f"To do: {hint}."
    return found
