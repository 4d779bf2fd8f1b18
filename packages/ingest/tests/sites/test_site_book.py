from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.errors import (
    InvalidSiteError,
    SiteExistsError,
    SiteKeptInFileError,
    UnknownSiteError,
)
from headwater_ingest.sites.model import derive_site_id
from headwater_ingest.sites.record import SiteRecord, WriteKey
from headwater_ingest.sites.site_book import SiteBook

NOW_MS = 1_795_000_000_000
HOUR_MS = 3_600_000
FILE = "/etc/sites.toml"
KEY, OTHER = "hw_0123456789abcdef", "hw_fedcba9876543210"


def record(domain: str, **fields: object) -> SiteRecord:
    base = SiteRecord(id=derive_site_id(domain), domain=domain, version=1)
    return msgspec.structs.replace(base, **fields)


def book(*records: SiteRecord) -> SiteBook:
    return SiteBook(records, now_ms=NOW_MS)


A, B = record("a.example"), record("b.example")


def test_sites_are_listed_by_domain_without_the_removed_ones() -> None:
    gone = record("c.example", removed=True)

    assert book(B, gone, A).sites == [A, B]


def test_a_site_is_found_in_any_spelling_of_its_domain() -> None:
    assert book(A, B).find("WWW.A.example") == A


def test_a_site_that_is_not_there_is_told_with_a_hint() -> None:
    with pytest.raises(
        UnknownSiteError, match=r"no site a\.exmple: did you mean `a\.e"
    ):
        book(A, B).find("a.exmple")
    with pytest.raises(UnknownSiteError, match=r"no site a\.example$"):
        book().find("a.example")


def test_a_new_site_has_the_number_of_its_domain() -> None:
    added = book(B).add({"domain": "A.example", "write_key": KEY, "rate_limit": 7})

    assert added == record(
        "a.example", write_keys=(WriteKey.of(KEY),), rate_limit=7, version=NOW_MS
    )


def test_a_new_site_may_bring_its_number() -> None:
    assert book().add({"domain": "a.example", "id": 7}).id == 7
    with pytest.raises(InvalidSiteError, match=r"`id`: a\.example has the number"):
        book(A).add({"domain": "b.example", "id": A.id})


def test_a_site_can_be_added_once() -> None:
    for domain in ("a.example", "www.a.example"):
        with pytest.raises(SiteExistsError, match=f"a site {domain} already"):
            book(A).add({"domain": domain})


def test_a_site_that_was_removed_comes_back_with_its_number_and_without_its_keys() -> (
    None
):
    removed = record("a.example", id=7, removed=True, rate_limit=3, version=NOW_MS + 9)

    added = book(removed).add({"domain": "a.example"})

    assert added == SiteRecord(id=7, domain="a.example", version=NOW_MS + 10)


def test_a_domain_that_was_given_up_makes_a_site_of_its_own() -> None:
    renamed = record("new.example", id=A.id, former_domain="a.example")

    added = book(renamed).add({"domain": "a.example"}, new_id=lambda: 5)

    assert added.id == 5


@pytest.mark.parametrize(
    "given_fields,problem",
    [
        ({}, "give `domain` as a host name"),
        ({"domain": "c.example", "colour": "red"}, "`colour` is unknown"),
        ({"domain": "c.example", "write_key": KEY}, "a write key belongs to another"),
        (
            {"domain": "c.example", "former_domain": "www.x.example"},
            "c.example: the former domain x.example belongs to another site",
        ),
    ],
)
def test_a_site_that_cannot_be_is_not_added(
    given_fields: dict[str, object], problem: str
) -> None:
    holder = record(
        "a.example", write_keys=(WriteKey.of(KEY),), former_domain="x.example"
    )

    with pytest.raises(InvalidSiteError, match=problem):
        book(holder).add(given_fields)


def test_an_edit_changes_what_is_given_and_nothing_else() -> None:
    before = record("a.example", rate_limit=5, monthly_quota=9)

    edited = book(before).edit("a.example", {"rate_limit": None, "time_zone": "UTC"})

    assert edited == record("a.example", monthly_quota=9, version=NOW_MS)


def test_a_new_domain_makes_the_old_one_the_former() -> None:
    edited = book(A).edit("a.example", {"domain": "new.example"})

    assert (edited.id, edited.domain) == (A.id, "new.example")
    assert edited.former_domain == "a.example"


def test_a_new_domain_may_come_with_another_former_one() -> None:
    changes = {"domain": "new.example", "former_domain": None}

    assert book(A).edit("a.example", changes).former_domain == ""


def test_a_number_cannot_change() -> None:
    with pytest.raises(InvalidSiteError, match="`id` cannot change"):
        book(A).edit("a.example", {"id": 5})
    assert book(A).edit("a.example", {"id": A.id}).id == A.id


def test_a_domain_that_is_taken_cannot_be_had() -> None:
    with pytest.raises(InvalidSiteError, match=r"domain a\.example belongs to another"):
        book(A, B).edit("b.example", {"domain": "www.a.example"})


def test_a_change_is_newer_than_what_a_fast_clock_wrote() -> None:
    before = record("a.example", version=NOW_MS + 5000)

    assert book(before).edit("a.example", {}).version == NOW_MS + 5001


def test_old_keys_are_good_for_some_hours_more() -> None:
    before = record("a.example", write_keys=(WriteKey.of(KEY),))

    rotated = book(before).rotate_key("a.example", OTHER, overlap_hours=24)

    old = WriteKey(WriteKey.of(KEY).digest, NOW_MS + 24 * HOUR_MS)
    assert rotated.write_keys == (WriteKey.of(OTHER), old)


def test_old_keys_are_gone_at_once_without_an_overlap() -> None:
    before = record("a.example", write_keys=(WriteKey.of(KEY),))

    rotated = book(before).rotate_key("a.example", OTHER, overlap_hours=0)

    assert rotated.write_keys == (WriteKey.of(OTHER),)


def test_a_second_rotation_gives_no_key_a_longer_life() -> None:
    soon, past = NOW_MS + 5, NOW_MS
    before = record(
        "a.example", write_keys=(WriteKey("aa", soon), WriteKey("bb", past))
    )

    rotated = book(before).rotate_key("a.example", OTHER, overlap_hours=1)

    assert rotated.write_keys == (WriteKey.of(OTHER), WriteKey("aa", soon))


def test_a_site_that_is_removed_keeps_no_key() -> None:
    before = record("a.example", write_keys=(WriteKey.of(KEY),))

    removed = book(before).remove("a.example")

    assert removed == record("a.example", removed=True, version=NOW_MS)


@pytest.mark.parametrize("operation", ["edit", "remove", "rotate_key"])
def test_a_site_that_a_file_keeps_is_changed_in_the_file(operation: str) -> None:
    kept = book(record("a.example", kept_in=FILE))
    changes = {
        "edit": lambda: kept.edit("a.example", {"rate_limit": 1}),
        "remove": lambda: kept.remove("a.example"),
        "rotate_key": lambda: kept.rotate_key("a.example", OTHER, overlap_hours=1),
    }

    with pytest.raises(SiteKeptInFileError, match=f"is kept in {FILE}: change it ther"):
        changes[operation]()


def test_a_site_that_is_let_go_can_be_changed() -> None:
    released = book(record("a.example", kept_in=FILE)).release("a.example")

    assert book(released).edit("a.example", {"rate_limit": 1}).rate_limit == 1


def test_a_file_is_applied_once() -> None:
    written = book(A).apply([A, B], file=FILE)

    assert written == [
        record("a.example", kept_in=FILE, version=NOW_MS),
        record("b.example", kept_in=FILE, version=NOW_MS),
    ]
    assert book(*written).apply([A, B], file=FILE) == []


def test_a_site_that_is_no_longer_in_its_file_is_removed() -> None:
    first, second = book().apply([A, B], file=FILE)
    elsewhere, free = record("c.example", kept_in="/other"), record("d.example")

    (removed,) = book(first, second, elsewhere, free).apply([A], file=FILE)

    assert removed.domain == "b.example"
    assert removed.removed
    assert removed.version > second.version


def test_a_node_removes_only_what_its_own_file_has_named() -> None:
    known = book().apply([A, B], file=FILE)

    assert book(*known).apply([A], file=FILE, dropped=[]) == []
    (removed,) = book(*known).apply([A], file=FILE, dropped=[A.id, B.id])
    assert removed.domain == "b.example"


def test_a_site_that_was_removed_comes_back_with_the_file() -> None:
    removed = record("a.example", removed=True)

    (written,) = book(removed).apply([A], file=FILE)

    assert not written.removed
    assert written.version > removed.version


def test_a_file_that_takes_what_is_anothers_is_not_applied() -> None:
    holder = record("c.example", write_keys=(WriteKey.of(KEY),))
    wanted = record("a.example", write_keys=(WriteKey.of(KEY),))

    with pytest.raises(InvalidSiteError) as caught:
        book(holder).apply([wanted], file=FILE)

    assert caught.value.problems == ("a.example: a write key belongs to another site",)


@pytest.mark.parametrize(
    "wanted",
    [A, record("new.example", former_domain="a.example", id=derive_site_id("x"))],
)
def test_a_file_that_would_part_a_site_from_its_events_is_not_applied(
    wanted: SiteRecord,
) -> None:
    known = record("a.example", id=77)

    with pytest.raises(InvalidSiteError, match="under the number 77: add `id = 77`"):
        book(known).apply([wanted], file=FILE)


def test_two_sites_may_exchange_their_domains_in_one_file() -> None:
    swapped = [record("a.example", id=B.id), record("b.example", id=A.id)]

    assert len(book(A, B).apply(swapped, file=FILE)) == 2


@given(
    st.lists(
        st.builds(
            lambda domain, limit: record(domain, rate_limit=limit),
            st.sampled_from(["a.example", "b.example", "c.example"]),
            st.integers(0, 3),
        ),
        unique_by=lambda each: each.id,
    ),
    st.lists(
        st.builds(
            lambda domain, until: record(domain, accept_traffic_until=until),
            st.sampled_from(["a.example", "b.example", "d.example"]),
            st.none() | st.just(date(2026, 1, 1)),
        ),
        unique_by=lambda each: each.id,
    ),
)
def test_after_a_file_was_applied_it_is_the_truth(
    known: list[SiteRecord], wanted: list[SiteRecord]
) -> None:
    after = {each.id: each for each in known}
    for file in (known, wanted):
        for written in book(*after.values()).apply(file, file=FILE):
            before = after.get(written.id)
            assert before is None or written.version > before.version
            after[written.id] = written

    in_force = [
        msgspec.structs.replace(each, version=1, kept_in="")
        for each in book(*after.values()).sites
    ]
    assert in_force == sorted(wanted, key=lambda each: each.domain)
