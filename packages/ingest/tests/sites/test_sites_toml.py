import stat
from datetime import date
from pathlib import Path

import pytest

from headwater_ingest.errors import SitesFileError
from headwater_ingest.sites.model import derive_site_id
from headwater_ingest.sites.record import SiteRecord, WriteKey
from headwater_ingest.sites.sites_toml import (
    new_write_key,
    parse_sites,
    read_sites,
    write_first_file,
)

KEY = "hw_0123456789abcdef"
OTHER = "hw_fedcba9876543210"


def write(folder: Path, text: str) -> Path:
    path = folder / "sites.toml"
    path.write_text(text)
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(SitesFileError) as caught:
        read_sites(path)
    return [
        problem.removeprefix(f"sites file {path}: ")
        for problem in caught.value.problems
    ]


def test_a_site_has_a_domain_a_key_and_a_derived_id(tmp_path: Path) -> None:
    path = write(tmp_path, f'[[site]]\ndomain = "Example.com"\nwrite_key = "{KEY}"\n')

    assert read_sites(path) == [
        SiteRecord(
            id=derive_site_id("example.com"),
            domain="example.com",
            write_keys=(WriteKey.of(KEY),),
        )
    ]


def test_a_site_may_have_several_keys_and_an_id(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"""
        [[site]]
        domain = "a.example"
        id = 18446744073709551615
        write_key = "{KEY}"
        write_keys = ["{OTHER}"]
        """,
    )

    (site,) = read_sites(path)

    assert site.id == 2**64 - 1
    assert site.write_keys == (WriteKey.of(KEY), WriteKey.of(OTHER))


def test_a_renamed_site_keeps_the_number_of_its_former_domain(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"""
        [[site]]
        domain = "new.example"
        former_domain = "old.example"
        write_key = "{KEY}"
        """,
    )

    (site,) = read_sites(path)

    assert site.id == derive_site_id("old.example")
    assert site.former_domain == "old.example"


def test_a_site_may_say_all_there_is_to_say(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"""
        [[site]]
        domain = "a.example"
        write_keys = []
        key_digests = [
            "sha256:{"ab" * 32}",
            {{ digest = "sha256:{"cd" * 32}", valid_until = 2026-11-22T10:00:00Z }},
        ]
        rate_limit = 600
        rate_window_seconds = 10
        accept_traffic_until = 2026-12-31
        monthly_quota = 1_000_000
        blocked_addresses = ["192.0.2.1"]
        blocked_countries = ["ZZ"]
        blocked_pages = ["/admin/**"]
        allowed_hostnames = ["*.a.example"]
        allowed_props = ["plan"]
        time_zone = "Europe/Berlin"
        [site.revenue_goals]
        Purchase = "EUR"
        """,
    )

    (site,) = read_sites(path)

    assert site == SiteRecord(
        id=derive_site_id("a.example"),
        domain="a.example",
        write_keys=(WriteKey("ab" * 32), WriteKey("cd" * 32, 1_795_341_600_000)),
        rate_limit=600,
        rate_window_seconds=10,
        accept_traffic_until=date(2026, 12, 31),
        monthly_quota=1_000_000,
        blocked_addresses=("192.0.2.1",),
        blocked_countries=("ZZ",),
        blocked_pages=("/admin/**",),
        allowed_hostnames=("*.a.example",),
        allowed_props=("plan",),
        time_zone="Europe/Berlin",
        revenue_goals={"Purchase": "EUR"},
    )


def test_a_site_that_sums_up_others_needs_no_key(tmp_path: Path) -> None:
    path = write(tmp_path, '[[site]]\ndomain = "all.example"\nconsolidated = true\n')

    (site,) = read_sites(path)

    assert site.consolidated


def test_a_site_for_browsers_only_says_that_it_has_no_key(tmp_path: Path) -> None:
    path = write(tmp_path, '[[site]]\ndomain = "a.example"\nwrite_keys = []\n')

    (site,) = read_sites(path)

    assert site.write_keys == ()


def test_a_text_is_called_by_its_name() -> None:
    with pytest.raises(SitesFileError) as caught:
        parse_sites("[[site]]\nwrite_keys = []", name="the body")

    (problem,) = caught.value.problems
    assert problem.startswith("the body: site 1 (line 1): give `domain` as a host name")


def test_all_mistakes_are_reported_with_their_place(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"""[[site]]
domain = "a.example"
write_key = "{KEY}"

[[site]]
domain = "A.example"
write_key = "{KEY}"
colour = "red"

[[site]]
domian = "c.example"
write_key = "short"
id = 0
""",
    )

    problems = problems_of(path)

    assert problems[0].startswith("site 2 (line 5): `colour` is unknown: known are ")
    assert problems[1:] == [
        (
            "site 2 (line 5): has the domain a.example of site 1 (line 1): "
            "each must have its own"
        ),
        "site 2 (line 5): has a write key of site 1 (line 1): each must have its own",
        "site 3 (line 10): `domian` is unknown: did you mean `domain`?",
        'site 3 (line 10): give `domain` as a host name: domain = "example.com"',
        (
            "site 3 (line 10): `write_key`: a write key is a text of 16 or more "
            "characters"
        ),
        "site 3 (line 10): give `id` as a whole number from 1 to 18446744073709551615",
    ]


def test_of_very_many_mistakes_the_first_are_told_and_the_others_counted() -> None:
    with pytest.raises(SitesFileError) as caught:
        parse_sites("[[site]]\ndomain = 1\n" * 1000, name="the file")
    *first, last = caught.value.problems
    assert (len(first), last.startswith("... and "), last[-5:]) == (20, True, " more")


def test_two_sites_cannot_have_had_one_domain(tmp_path: Path) -> None:
    entry = '[[site]]\ndomain = "{}"\nid = {}\nwrite_keys = []\nformer_domain = "a"\n'
    path = write(tmp_path, entry.format("b", 1) + entry.format("c", 2))

    assert problems_of(path) == [
        (
            "site 2 (line 6): has the former domain a of site 1 (line 1): "
            "each must have its own"
        )
    ]


def test_a_domain_is_the_same_with_and_without_www(tmp_path: Path) -> None:
    entry = '[[site]]\ndomain = "{}"\nwrite_keys = []\n'
    path = write(tmp_path, entry.format("a.example") + entry.format("www.a.example"))

    assert problems_of(path) == [
        (
            "site 2 (line 4): has the domain a.example of site 1 (line 1): "
            "each must have its own"
        )
    ]


def test_an_id_that_another_site_has_is_a_mistake(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"""
        [[site]]
        domain = "a.example"
        write_key = "{KEY}"
        id = 7
        [[site]]
        domain = "b.example"
        write_key = "{OTHER}"
        id = 7
        """,
    )

    assert problems_of(path) == [
        "site 2 (line 6): has the id 7 of site 1 (line 2): each must have its own"
    ]


@pytest.mark.parametrize(
    "text,problem",
    [
        ("", "has no site: add `[[site]]` with `domain` and `write_key`"),
        ("site = 1", "has no site: add `[[site]]` with `domain` and `write_key`"),
        ("site = [1]", "site 1: is no table: write `[[site]]`"),
        (
            f'site = [{{domain = "a", write_key = "{KEY}"}}]\n[sites]',
            "`sites` is unknown: did you mean `site`?",
        ),
        (
            '[[site]]\ndomain = "a"\nwrite_keys = "x"',
            'site 1 (line 1): give `write_keys` as a list: ["hw_...", "hw_..."]',
        ),
        (
            f'[[site]]\ndomain = "https://a"\nwrite_key = "{KEY}"',
            'site 1 (line 1): give `domain` as a host name: domain = "example.com"',
        ),
    ],
)
def test_a_file_of_another_shape_is_refused(
    text: str, problem: str, tmp_path: Path
) -> None:
    assert problems_of(write(tmp_path, text)) == [problem]


def test_a_site_without_a_key_is_offered_one(tmp_path: Path) -> None:
    (problem,) = problems_of(write(tmp_path, '[[site]]\ndomain = "a"'))

    start = 'site 1 (line 1): has no write key: write_key = "hw_'
    assert problem.startswith(start)


def test_a_broken_or_missing_file_is_named(tmp_path: Path) -> None:
    broken = write(tmp_path, "[[site]")
    with pytest.raises(SitesFileError, match="is not TOML"):
        read_sites(broken)
    broken.write_bytes(b"\xff")
    with pytest.raises(SitesFileError, match="is not TOML"):
        read_sites(broken)
    with pytest.raises(SitesFileError, match="does not exist: write it, or correct"):
        read_sites(tmp_path / "missing.toml")
    with pytest.raises(SitesFileError, match="cannot be read: Is a directory"):
        read_sites(tmp_path)


def test_no_message_repeats_a_key(tmp_path: Path) -> None:
    entry = f'[[site]]\ndomain = "a"\nwrite_key = "{KEY}"\n'

    assert KEY not in "".join(problems_of(write(tmp_path, entry * 2)))


def test_the_first_file_has_a_site_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "sites.toml"

    write_first_file(path)

    (site,) = read_sites(path)
    assert site.domain == "example.com"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_first_file_never_replaces_another(tmp_path: Path) -> None:
    path = write(tmp_path, "precious")

    with pytest.raises(SitesFileError, match="File exists"):
        write_first_file(path)

    assert path.read_text() == "precious"


def test_new_keys_differ_and_have_one_form() -> None:
    keys = {new_write_key() for _ in range(100)}

    assert len(keys) == 100
    assert {(key[:3], len(key)) for key in keys} == {("hw_", 35)}
