from datetime import date

from structlog.testing import capture_logs

from headwater_ingest.sites.model import digest_key
from headwater_ingest.sites.record import SiteRecord, WriteKey, to_site, to_sites

KEY, OTHER = "hw_0123456789abcdef", "hw_fedcba9876543210"


def test_a_record_becomes_a_site_that_can_be_asked() -> None:
    site = to_site(
        SiteRecord(
            id=7,
            domain="a.example",
            former_domain="old.example",
            write_keys=(WriteKey.of(KEY), WriteKey(WriteKey.of(OTHER).digest, 5)),
            consolidated=True,
            rate_limit=3,
            rate_window_seconds=10,
            accept_traffic_until=date(2026, 12, 31),
            monthly_quota=9,
            blocked_addresses=("192.0.2.0/24",),
            blocked_countries=("DE",),
            blocked_pages=("/admin/*",),
            allowed_hostnames=("*.a.example",),
            revenue_goals={"Purchase": "EUR"},
            allowed_props=("plan",),
            time_zone="Europe/Berlin",
        )
    )

    assert (site.id, site.domain, site.former_domain) == (7, "a.example", "old.example")
    assert site.key_digests == {digest_key(KEY), digest_key(OTHER)}
    assert site.key_ends == {digest_key(OTHER): 5}
    assert site.is_consolidated
    assert (site.rate_limit, site.rate_window_s, site.monthly_quota) == (3, 10, 9)
    assert site.accept_traffic_until == date(2026, 12, 31)
    assert site.shields.blocks_address("192.0.2.9")
    assert site.shields.blocks_country("DE")
    assert site.shields.blocks_page("/admin/x")
    assert site.shields.blocks_hostname("a.example")
    assert site.revenue_goals == {"Purchase": "EUR"}
    assert (site.allowed_props, site.time_zone) == (("plan",), "Europe/Berlin")


def test_a_site_that_never_had_another_name_has_no_former_one() -> None:
    assert to_site(SiteRecord(id=1, domain="a.example")).former_domain is None


def test_a_record_that_somebody_spoilt_costs_that_site_only() -> None:
    good = SiteRecord(id=1, domain="a.example")
    spoilt = SiteRecord(id=2, domain="b.example", blocked_addresses=("nowhere",))
    bad_key = SiteRecord(id=3, domain="c.example", write_keys=(WriteKey("xyz"),))
    removed = SiteRecord(id=4, domain="d.example", removed=True)

    with capture_logs() as logs:
        sites = to_sites([spoilt, good, bad_key, removed])

    assert [site.domain for site in sites] == ["a.example"]
    assert [line["domain"] for line in logs] == ["b.example", "c.example"]
