"""A web request that is understood: every field read, in range and of its type."""

from typing import Final

import msgspec

from headwater_ingest.enrich.address import Client
from headwater_ingest.enrich.client_hints import ClientHints
from headwater_ingest.enrich.currency import Money
from headwater_ingest.enrich.url import Page

ENGAGEMENT: Final = "engagement"
"""Name of the event that prolongs a session and never begins one."""


class WebFields(msgspec.Struct, frozen=True, kw_only=True):
    """What the body of a request says.

    A Struct, because it takes 3 µs to make a frozen dataclass of so many fields.

    Attributes:
        name: The event's name.
        url: The page, as sent.
        page: Hostname and pathname of it.
        domains: The sites it is for, each once.
        referrer: As sent; empty if there is none.
        props: Properties as text, by name, in the order of their bytes.
        truncated_props: How many were left out as too many.
        money: What it earned, if it says so.
        is_interactive: It counts as an interaction of the visitor.
        scroll_depth: Percent of the page, 255 if unknown; 0 but for engagement.
        engagement_time_ms: Time on the page; 0 but for engagement.
        script_version: Of the tracker; 0 if it does not say. Not stored.
    """

    name: str
    url: str
    page: Page
    domains: tuple[str, ...]
    referrer: str
    props: dict[str, str]
    truncated_props: int
    money: Money | None
    is_interactive: bool
    scroll_depth: int
    engagement_time_ms: int
    script_version: int


class WebRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a browser, for one site or several.

    Attributes:
        received_at_ms: When it arrived.
        time_s: When it happened: the same, cut to seconds.
        fields: What its body says.
        user_agent: As sent, maybe empty.
        hints: What the browser says of itself besides.
        client: Who sent it.
    """

    received_at_ms: int
    time_s: int
    fields: WebFields
    user_agent: str
    hints: ClientHints
    client: Client
