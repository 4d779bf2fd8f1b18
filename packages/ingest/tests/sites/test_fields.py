from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.sites.fields import FIELDS, read_fields
from headwater_ingest.sites.record import SiteRecord, WriteKey, to_site

KEY = "hw_0123456789abcdef"
DIGEST = f"sha256:{'0f' * 32}"
EAST = timezone(timedelta(hours=2))

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def value_of(name: str, written: object) -> object:
    found = read_fields({name: written})
    assert found.problems == []
    (value,) = found.values.values()
    return value


def problem_of(name: str, written: object) -> str:
    found = read_fields({name: written})
    assert found.values == {}
    (problem,) = found.problems
    return problem


@pytest.mark.parametrize(
    "name,written,value",
    [
        ("domain", "Shop.Example", "shop.example"),
        ("former_domain", "old.example", "old.example"),
        ("id", 2**64 - 1, 2**64 - 1),
        ("id", "18446744073709551615", 2**64 - 1),
        ("consolidated", True, True),
        ("rate_limit", 0, 0),
        ("rate_window_seconds", 86_400, 86_400),
        ("accept_traffic_until", date(2026, 12, 31), date(2026, 12, 31)),
        ("accept_traffic_until", "2026-12-31", date(2026, 12, 31)),
        ("monthly_quota", 0, 0),
        ("blocked_addresses", [" 192.0.2.1/32"], ("192.0.2.1",)),
        ("blocked_addresses", ["192.0.2.7/24"], ("192.0.2.0/24",)),
        ("blocked_addresses", ["2001:DB8:0::1"], ("2001:db8::1",)),
        ("blocked_addresses", ["::ffff:192.0.2.1", "192.0.2.1"], ("192.0.2.1",)),
        ("blocked_countries", ["de", "ZZ", "XK"], ("DE", "ZZ", "XK")),
        ("blocked_pages", ["/admin/**", "/x"], ("/admin/**", "/x")),
        ("allowed_hostnames", ["*.Example.com", "(none)"], ("*.example.com", "(none)")),
        ("allowed_props", ["plan", "plan"], ("plan",)),
        ("revenue_goals", {"Purchase": "EUR"}, {"Purchase": "EUR"}),
        ("time_zone", "Europe/Berlin", "Europe/Berlin"),
        ("retention_days", 90, 90),
        ("write_key", KEY, (WriteKey.of(KEY),)),
        ("write_keys", [KEY, KEY], (WriteKey.of(KEY),)),
        ("key_digests", [DIGEST], (WriteKey("0f" * 32),)),
        ("key_digests", [{"digest": DIGEST}], (WriteKey("0f" * 32),)),
        (
            "key_digests",
            [{"digest": DIGEST, "valid_until": "1970-01-01T00:00:01.5Z"}],
            (WriteKey("0f" * 32, 1500),),
        ),
        (
            "key_digests",
            [{"digest": DIGEST, "valid_until": datetime(1970, 1, 1, 3, tzinfo=EAST)}],
            (WriteKey("0f" * 32, 3_600_000),),
        ),
    ],
)
def test_a_field_is_read(name: str, written: object, value: object) -> None:
    assert value_of(name, written) == value


@pytest.mark.parametrize(
    "name,written,problem",
    [
        ("domain", "https://a", 'give `domain` as a host name: domain = "example.com"'),
        ("domain", "a b", 'give `domain` as a host name: domain = "example.com"'),
        ("domain", "a/b", 'give `domain` as a host name: domain = "example.com"'),
        ("domain", "a\ud800", 'give `domain` as a host name: domain = "example.com"'),
        ("domain", None, 'give `domain` as a host name: domain = "example.com"'),
        ("id", 0, f"give `id` as a whole number from 1 to {2**64 - 1}"),
        ("id", True, f"give `id` as a whole number from 1 to {2**64 - 1}"),
        ("id", "²", f"give `id` as a whole number from 1 to {2**64 - 1}"),
        ("consolidated", 1, "give `consolidated` as true or false"),
        (
            "rate_limit",
            -1,
            (
                "give `rate_limit` as a whole number from 0, which blocks the site, to "
                "4294967295"
            ),
        ),
        (
            "rate_window_seconds",
            0,
            "give `rate_window_seconds` as a whole number from 1 to 86400",
        ),
        ("monthly_quota", 1.5, "give `monthly_quota` as a whole number from 0 up"),
        (
            "accept_traffic_until",
            "tomorrow",
            "give `accept_traffic_until` as a day from 1970-01-01 to 2149-06-06",
        ),
        (
            "accept_traffic_until",
            date(2150, 1, 1),
            "give `accept_traffic_until` as a day from 1970-01-01 to 2149-06-06",
        ),
        (
            "blocked_addresses",
            "192.0.2.1",
            'give `blocked_addresses` as a list: ["192.0.2.1", "2001:db8::/32"]',
        ),
        (
            "blocked_addresses",
            ["192.0.2"],
            (
                "`blocked_addresses`: `192.0.2` is no address; write one such as "
                "`192.0.2.1`, or a network such as `192.0.2.0/24` or `2001:db8::/32`"
            ),
        ),
        (
            "blocked_countries",
            ["EU"],
            (
                "`blocked_countries`: `EU` is no country: write two letters such as "
                "`DE`, or `ZZ` for visitors whose country is not known"
            ),
        ),
        (
            "blocked_pages",
            ["admin"],
            "`blocked_pages`: `admin` is no page: write a path such as `/blog/*`",
        ),
        (
            "blocked_pages",
            ["/" + "a" * 250],
            "`blocked_pages`: `/" + "a" * 39 + "…` is too long: 250 characters are "
            "allowed",
        ),
        (
            "allowed_hostnames",
            ["a b"],
            (
                "`allowed_hostnames`: `a b` is no hostname: write one such as "
                "`*.example.com`"
            ),
        ),
        (
            "allowed_hostnames",
            [""],
            "`allowed_hostnames`: `` is no hostname: write one such as `*.example.com`",
        ),
        (
            "allowed_props",
            ["é" * 151],
            "`allowed_props`: `" + "é" * 40 + "…` is no name of a property: it has 1 "
            "to 300 bytes",
        ),
        ("allowed_props", [1], 'give `allowed_props` as a list: ["plan", "author"]'),
        (
            "revenue_goals",
            {"Purchase": "eur"},
            "`revenue_goals`: `eur` is no currency: write a code such as `EUR`",
        ),
        (
            "revenue_goals",
            {" ": "EUR"},
            "`revenue_goals`: ` ` is no name of an event: it has 1 to 200 characters",
        ),
        (
            "revenue_goals",
            ["Purchase"],
            'give `revenue_goals` as a table: { Purchase = "EUR" }',
        ),
        (
            "retention_days",
            0,
            "give `retention_days` as a whole number from 1 to 36500",
        ),
        ("time_zone", "Mars", 'give `time_zone` as a name such as "Europe/Berlin"'),
        ("time_zone", "../etc", 'give `time_zone` as a name such as "Europe/Berlin"'),
        ("time_zone", "", 'give `time_zone` as a name such as "Europe/Berlin"'),
        (
            "write_key",
            "short",
            "`write_key`: a write key is a text of 16 or more characters",
        ),
        (
            "write_keys",
            KEY,
            'give `write_keys` as a list: ["hw_...", "hw_..."]',
        ),
        (
            "key_digests",
            [KEY],
            'give `key_digests` as a list: ["sha256:0123...", ...]',
        ),
        (
            "key_digests",
            [{"digest": DIGEST, "valid_until": "2026-01-01T00:00:00"}],
            (
                "`key_digests`: `valid_until` is a time with its zone: "
                "2026-12-31T12:00:00Z"
            ),
        ),
        (
            "key_digests",
            [{"digest": DIGEST, "valid_until": "9999-01-01T00:00:00Z"}],
            "`key_digests`: `valid_until` lies too far away",
        ),
        ("colour", "red", "`colour` is unknown: known are"),
    ],
)
def test_a_mistake_says_what_to_write(name: str, written: object, problem: str) -> None:
    assert problem_of(name, written).startswith(problem)


@pytest.mark.parametrize(
    "name,rule,most",
    [
        ("blocked_addresses", "192.0.2.{}", 30),
        ("blocked_pages", "/{}", 30),
        ("allowed_hostnames", "{}.example", 10),
        ("allowed_props", "{}", 300),
    ],
)
def test_a_list_has_as_many_rules_as_are_allowed(
    name: str, rule: str, most: int
) -> None:
    rules = [rule.format(number) for number in range(most + 1)]

    assert value_of(name, rules[:most]) == tuple(rules[:most])
    assert value_of(name, rules[:most] * 2) == tuple(rules[:most])
    problem = f"`{name}`: {most + 1} are too many: {most} are allowed"
    assert problem_of(name, rules) == problem


def test_thirty_countries_may_be_blocked() -> None:
    codes = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ"
    more = [*codes.split(), "BL", "BM", "BN", "BO", "BQ"]

    assert value_of("blocked_countries", more) == tuple(more)
    assert "31 are too many" in problem_of("blocked_countries", [*more, "ZZ"])


def test_keys_and_digests_go_together() -> None:
    found = read_fields({"key_digests": [DIGEST], "write_key": KEY, "write_keys": []})

    assert found.values == {"write_keys": (WriteKey.of(KEY), WriteKey("0f" * 32))}


@pytest.mark.parametrize("name", sorted(FIELDS.keys() - {"domain", "id"}))
def test_null_is_the_value_of_a_new_site(name: str) -> None:
    new = SiteRecord(id=1, domain="a.example")

    found = read_fields({name: None})

    assert found.problems == []
    for target, value in found.values.items():
        assert value == getattr(new, target)


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), ANYTHING))
def test_whatever_is_written_is_read_or_explained(written: dict[str, object]) -> None:
    found = read_fields(written)

    assert found.problems or len(found.values) >= min(1, len(written))
    if not found.problems:
        to_site(SiteRecord(**{"id": 1, "domain": "a.example", **found.values}))


@given(st.text(min_size=16))
def test_no_message_repeats_a_key(key: str) -> None:
    found = read_fields({"write_key": [key], "write_keys": key, "key_digests": [key]})

    assert len(found.problems) == 3
    assert key not in "".join(found.problems)
