from datetime import date

import pytest

from headwater_ingest.errors import InvalidSiteError
from headwater_ingest.sites.assignments import read_assignments
from headwater_ingest.sites.fields import read_fields
from headwater_ingest.sites.record import SiteRecord

SITE = SiteRecord(
    id=1,
    domain="a.example",
    blocked_pages=("/old", "/older"),
    revenue_goals={"Purchase": "EUR", "Signup": "USD"},
)


def values(*assignments: str) -> dict[str, object]:
    found = read_fields(read_assignments(assignments, SITE))
    assert found.problems == []
    return found.values


def problem_of(assignment: str) -> str:
    with pytest.raises(InvalidSiteError) as caught:
        read_assignments([assignment], SITE)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    "assignment,name,value",
    [
        ("rate_limit=600", "rate_limit", 600),
        ("rate_limit=", "rate_limit", None),
        ("consolidated=true", "consolidated", True),
        ("accept_traffic_until=2026-12-31", "accept_traffic_until", date(2026, 12, 31)),
        ("time_zone=Europe/Berlin", "time_zone", "Europe/Berlin"),
        ('time_zone="Europe/Berlin"', "time_zone", "Europe/Berlin"),
        ("former_domain=1e5", "former_domain", "1e5"),
        ("blocked_pages=/a=b, /c", "blocked_pages", ("/a=b", "/c")),
        ('blocked_pages=["/a,b"]', "blocked_pages", ("/a,b",)),
        ("blocked_pages=", "blocked_pages", ()),
        ("blocked_pages+=/new,/old", "blocked_pages", ("/older", "/new", "/old")),
        ("blocked_pages-=/old,/never", "blocked_pages", ("/older",)),
        ("blocked_countries+=de", "blocked_countries", ("DE",)),
        ("blocked_addresses=192.0.2.1", "blocked_addresses", ("192.0.2.1",)),
        ("allowed_props=5,6", "allowed_props", ("5", "6")),
        ("revenue_goals=Buy now:EUR", "revenue_goals", {"Buy now": "EUR"}),
        ("revenue_goals=a:b:EUR", "revenue_goals", {"a:b": "EUR"}),
        ('revenue_goals={ Buy = "EUR" }', "revenue_goals", {"Buy": "EUR"}),
        (
            "revenue_goals+=Signup:EUR",
            "revenue_goals",
            {"Purchase": "EUR", "Signup": "EUR"},
        ),
        ("revenue_goals-=Signup", "revenue_goals", {"Purchase": "EUR"}),
    ],
)
def test_an_assignment_gives_a_field(assignment: str, name: str, value: object) -> None:
    assert values(assignment) == {name: value}


def test_a_later_assignment_goes_on_from_an_earlier_one() -> None:
    assert values("blocked_pages=/a", "blocked_pages+=/b", "rate_limit=1") == {
        "blocked_pages": ("/a", "/b"),
        "rate_limit": 1,
    }


@pytest.mark.parametrize(
    "assignment,problem",
    [
        ("rate_limit", "`rate_limit` is no assignment: write FIELD=VALUE"),
        ("rate_limit+=5", "`rate_limit` has no +=: write rate_limit=VALUE"),
        ("colour-=red", "`colour` has no -=: write colour=VALUE"),
        (
            "blocked_pages+=admin",
            "`blocked_pages`: `admin` is no page: write a path such as `/blog/*`",
        ),
        (
            "revenue_goals+=Buy",
            "`revenue_goals`: write Buy:EUR, with a currency",
        ),
    ],
)
def test_what_is_no_assignment_is_told(assignment: str, problem: str) -> None:
    assert problem_of(assignment) == problem


def test_what_is_no_toml_is_a_text_that_the_field_refuses() -> None:
    found = read_fields(read_assignments(["rate_limit=many"], SITE))

    assert found.problems[0].startswith("give `rate_limit` as a whole number")


def test_what_is_written_cannot_bring_other_fields() -> None:
    given = read_assignments(["rate_limit=1\nvalue2 = 2"], SITE)

    assert given == {"rate_limit": 1}
