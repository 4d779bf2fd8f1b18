"""The sites of a service under load, and the rules that they have."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

DOMAIN: Final = "bench.example"


class Site(NamedTuple):
    """A site that gets events.

    Attributes:
        domain: Its domain.
        key: Its write key.
    """

    domain: str
    key: str


SITE: Final = Site(DOMAIN, "hw_bench_0123456789abcdef")
MANY: Final = tuple(Site(f"s{n}.example", f"hw_bench_{n:016}") for n in range(10_000))

Rules = Callable[[int], str]
"""What a site has besides its names, in TOML, by its place among the sites."""

RULES: Final = """\
blocked_addresses = [{addresses}]
blocked_countries = ["KP", "ZZ"]
blocked_pages = ["/admin/{n}/*", "/{n}", "/drafts/{n}/*", "/in/*/{n}", "/a{n}", "/b{n}"]
allowed_hostnames = ["{n}.example", "*.example"]
"""
"""Thirty of them, none of which any request breaks."""


def no_rules(_site: int) -> str:
    """Returns nothing."""
    return ""


def own_rules(site: int) -> str:
    """Returns rules that no other site has."""
    addresses = [f'"198.{site >> 8}.{site & 255}.{n}"' for n in range(20)]
    return RULES.format(n=site, addresses=", ".join(addresses))


def same_rules(_site: int) -> str:
    """Returns rules that all sites have."""
    return own_rules(0)


def write_sites(path: Path, sites: Iterable[Site], rules: Rules = no_rules) -> None:
    """Writes a sites file."""
    path.write_text(
        "".join(
            f'[[site]]\ndomain = "{each.domain}"\nwrite_key = "{each.key}"\n'
            f"{rules(number)}\n"
            for number, each in enumerate(sites)
        ),
        "utf-8",
    )
