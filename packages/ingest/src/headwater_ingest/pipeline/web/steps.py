"""The steps that a web event takes, in their order; the first drop ends its way.

A step is a method that adds to the event, or returns the reason why it is dropped.
"""

from collections.abc import Callable
from typing import Final, Protocol

from headwater_ingest.enrich.address import IpClass
from headwater_ingest.enrich.currency import make_revenue
from headwater_ingest.enrich.root_domain import root_domain
from headwater_ingest.pipeline.enrichment import Enrichment
from headwater_ingest.pipeline.web.event import WebEvent
from headwater_ingest.sites.model import Site
from headwater_ingest.visitors.user_id import hash_visitor
from headwater_schema.outcomes import Reason

Step = Callable[[WebEvent], Reason | None]

VERIFICATION_AGENT: Final = (
    "Plausible Verification Agent - if abused, contact support@plausible.io"
)

_DATA_CENTRE: Final = IpClass.DATA_CENTRE
_THREAT: Final = IpClass.THREAT


class Sites(Protocol):
    """Where a site is found by its name."""

    def by_domain(self, domain: str) -> Site | None:
        """Returns the site that has, or had, this domain."""


class Gate(Protocol):
    """What decides whether a site may have one more event."""

    def check(self, site: Site, *, now_ms: int) -> Reason | None:
        """Returns why it may not, or None."""


class Salts(Protocol):
    """The salts of the days."""

    def current(self, now_ms: int) -> bytes:
        """Returns the salt of today."""

    def previous(self, now_ms: int) -> bytes | None:
        """Returns the salt of yesterday, if it is known."""


class WebSteps:
    """The steps, over the tables that they look things up in."""

    def __init__(
        self, enrichment: Enrichment, *, sites: Sites, gate: Gate, salts: Salts
    ) -> None:
        self._enrichment = enrichment
        self._sites = sites
        self._gate = gate
        self._salts = salts

    def ordered(self) -> tuple[tuple[str, Step], ...]:
        """Returns name and function of each step, in order."""
        steps = (
            self.drop_spam_referrer,
            self.put_site,
            self.drop_refused,
            self.drop_verification_agent,
            self.drop_data_centre_ip,
            self.drop_threat_ip,
            self.drop_shield_hostname,
            self.drop_shield_page,
            self.drop_shield_ip,
            self.put_place,
            self.drop_shield_country,
            self.put_device,
            self.put_attribution,
            self.put_revenue,
            self.put_user_id,
        )
        return tuple((step.__name__, step) for step in steps)

    def drop_spam_referrer(self, event: WebEvent) -> Reason | None:
        """Drops visits that were made up to be seen in reports."""
        referrer = event.request.fields.referrer
        if referrer and self._enrichment.spam.has(referrer):
            return Reason.SPAM_REFERRER
        return None

    def put_site(self, event: WebEvent) -> Reason | None:
        """Finds the site; one that only sums up others never receives."""
        site = self._sites.by_domain(event.domain)
        if site is None or site.is_consolidated:
            return Reason.NOT_FOUND
        event.site = site
        return None

    def drop_refused(self, event: WebEvent) -> Reason | None:
        """Drops what the site's plan, block, rate limit or quota does not admit."""
        return self._gate.check(event.site, now_ms=event.request.received_at_ms)

    def drop_verification_agent(self, event: WebEvent) -> Reason | None:
        """Drops the visits of a checker of installations."""
        if event.request.user_agent == VERIFICATION_AGENT:
            return Reason.VERIFICATION_AGENT
        return None

    def drop_data_centre_ip(self, event: WebEvent) -> Reason | None:
        """Drops what comes from a data centre, where programs are."""
        client = event.request.client
        if client.ip_class == _DATA_CENTRE:
            return Reason.DC_IP
        return (
            Reason.DC_IP if self._enrichment.data_centres.contain(client.ip) else None
        )

    def drop_threat_ip(self, event: WebEvent) -> Reason | None:
        """Drops what comes from an address known for attacks."""
        is_threat = event.request.client.ip_class == _THREAT
        return Reason.THREAT_IP if is_threat else None

    def drop_shield_hostname(self, event: WebEvent) -> Reason | None:
        """Drops hostnames that the site does not list."""
        hostname = event.request.fields.page.hostname
        is_blocked = event.site.shields.blocks_hostname(hostname)
        return Reason.SITE_HOSTNAME_ALLOWLIST if is_blocked else None

    def drop_shield_page(self, event: WebEvent) -> Reason | None:
        """Drops pages that the site does not want to count."""
        is_blocked = event.site.shields.blocks_page(event.request.fields.page.pathname)
        return Reason.SITE_PAGE_BLOCKLIST if is_blocked else None

    def drop_shield_ip(self, event: WebEvent) -> Reason | None:
        """Drops addresses that the site does not want to count."""
        is_blocked = event.site.shields.blocks_address(event.request.client.ip)
        return Reason.SITE_IP_BLOCKLIST if is_blocked else None

    def put_place(self, event: WebEvent) -> None:
        """Takes what knows where the visitor is, which not every event has to tell."""
        event.locator = self._enrichment.locator

    def drop_shield_country(self, event: WebEvent) -> Reason | None:
        """Drops countries that the site does not want to count."""
        shields = event.site.shields
        if not shields.countries:
            return None
        is_blocked = shields.blocks_country(event.place.country_code)
        return Reason.SITE_COUNTRY_BLOCKLIST if is_blocked else None

    def put_device(self, event: WebEvent) -> Reason | None:
        """Finds out what the visitor uses; drops bots and headless browsers."""
        request = event.request
        device = self._enrichment.devices.read(request.user_agent, request.hints)
        if device is None:
            return Reason.BOT
        event.device = device
        return None

    def put_attribution(self, event: WebEvent) -> None:
        """Takes what knows where the visitor came from; likewise."""
        event.attributor = self._enrichment.attributor

    def put_revenue(self, event: WebEvent) -> None:
        """Reckons what the event earned, if the site has a goal of this name."""
        request = event.request
        if request.fields.money is None:
            return
        currency = event.site.revenue_goals.get(request.fields.name)
        if currency:
            rates = self._enrichment.rates
            event.revenue = make_revenue(request.fields.money, currency, rates)

    def put_user_id(self, event: WebEvent) -> None:
        """Makes the visitor's ids of today and, for visits over midnight, yesterday."""
        request = event.request
        client, now_ms = request.client, request.received_at_ms
        root = root_domain(request.fields.page.hostname)
        visitor = f"{request.user_agent}{client.ip}{event.domain}{root}"
        event.user_id = hash_visitor(self._salts.current(now_ms), visitor)
        salt = self._salts.previous(now_ms)
        if salt is not None:
            event.previous_user_id = hash_visitor(salt, visitor)
