"""The end user behind a native event, as far as its properties tell of one.

The request itself comes from a server, whose address and agent mean nothing. What is
known of the end user's side travels in properties, each of which may be missing; a step
looks only at what is there.

| property | steps |
| --- | --- |
| `$referrer` | spam, attribution |
| `$ip` | data centres, address and country shields, place |
| `$current_url` | page and hostname shields, hostname, pathname, attribution |
| `$user_agent` | bots, device |

Events whose name begins with `$` say who somebody is. No bot and no shield may keep
that from being known, so they skip these steps, and that of spam.
"""

from collections.abc import Mapping
from typing import Any, Final

from headwater_ingest.enrich.client_hints import NO_HINTS
from headwater_ingest.enrich.url import read_page
from headwater_ingest.pipeline.enrichment import Enrichment
from headwater_ingest.sites.shields import Shields
from headwater_schema.events import Event
from headwater_schema.outcomes import Reason

IP: Final = "$ip"
USER_AGENT: Final = "$user_agent"
URL: Final = "$current_url"
REFERRER: Final = "$referrer"
END_USER: Final = frozenset({IP, USER_AGENT, URL, REFERRER})
"""The properties that tell of an end user."""

Facts = dict[str, str | int]
"""Columns of a row, without those that have their default."""

_NO_SHIELDS: Final = Shields()


class EndUserSteps:
    """The steps, over the tables that they look things up in."""

    def __init__(self, enrichment: Enrichment) -> None:
        self._enrichment = enrichment

    def describe(self, event: Event, shields: Shields) -> Facts | Reason:
        """Returns what an event tells of its end user, or why it is dropped.

        Args:
            event: The event.
            shields: Those of its site.
        """
        properties, is_reserved = event.properties, event.event[0] == "$"
        url, referrer = _text(properties, URL), _text(properties, REFERRER)
        ip, agent = _text(properties, IP), _text(properties, USER_AGENT)
        shields = _NO_SHIELDS if is_reserved else shields
        facts: Facts = {}
        reason = (
            (referrer and not is_reserved and self._drop_spam(referrer))
            or (ip and self._drop_data_centre(ip))
            or (url and self._put_page(url, shields, facts))
            or (ip and self._put_place(ip, shields, facts))
            or (agent and self._put_device(agent, facts, drops_bots=not is_reserved))
        )
        if reason:
            return reason
        if url or referrer:
            found = self._enrichment.attributor.attribute(url, referrer)
            _put(facts, found._fields, found)
        return facts

    def _drop_spam(self, referrer: str) -> Reason | None:
        return Reason.SPAM_REFERRER if self._enrichment.spam.has(referrer) else None

    def _drop_data_centre(self, ip: str) -> Reason | None:
        return Reason.DC_IP if self._enrichment.data_centres.contain(ip) else None

    def _put_page(self, url: str, shields: Shields, facts: Facts) -> Reason | None:
        page = read_page(url)
        if shields.blocks_hostname(page.hostname):
            return Reason.SITE_HOSTNAME_ALLOWLIST
        if shields.blocks_page(page.pathname):
            return Reason.SITE_PAGE_BLOCKLIST
        _put(facts, page._fields, page)
        return None

    def _put_place(self, ip: str, shields: Shields, facts: Facts) -> Reason | None:
        if shields.blocks_address(ip):
            return Reason.SITE_IP_BLOCKLIST
        place = self._enrichment.locator.locate(ip)
        if shields.blocks_country(place.country_code):
            return Reason.SITE_COUNTRY_BLOCKLIST
        _put(facts, place._fields, place)
        return None

    def _put_device(
        self, agent: str, facts: Facts, *, drops_bots: bool
    ) -> Reason | None:
        device = self._enrichment.devices.read(agent, NO_HINTS)
        if device is not None:
            _put(facts, device._fields, device)
        return Reason.BOT if device is None and drops_bots else None


def _text(properties: Mapping[str, Any], name: str) -> str:
    value = properties.get(name)
    return value if isinstance(value, str) else ""


def _put(facts: Facts, names: tuple[str, ...], values: tuple[str | int, ...]) -> None:
    for name, value in zip(names, values, strict=True):
        if value:
            facts[name] = value
