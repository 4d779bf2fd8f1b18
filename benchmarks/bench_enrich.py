"""What enrichment costs per call: cold, for inputs never seen, and warm, from caches.

Run with `python -m benchmarks.bench_enrich [--runs N] [--city FILE.mmdb]`; one row per
reader, each cell the median of the runs with the smallest and largest. Cold is a first
pass over distinct inputs, warm are further passes over some of them. A new row is an
entry of `rows`.
"""

import argparse
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from headwater_ingest.enrich.address import read_client
from headwater_ingest.enrich.attribution import Attributor
from headwater_ingest.enrich.channels import Visit, find_channel
from headwater_ingest.enrich.client_hints import ClientHints
from headwater_ingest.enrich.currency import make_revenue, read_money
from headwater_ingest.enrich.geo import GeoDatabase, RegistryCountries
from headwater_ingest.enrich.networks import NetworkSet
from headwater_ingest.enrich.rates import packaged_rates
from headwater_ingest.enrich.root_domain import root_domain
from headwater_ingest.enrich.sources_file import packaged_sources
from headwater_ingest.enrich.spam import packaged_spam
from headwater_ingest.enrich.url import read_page, split_url
from headwater_ingest.enrich.user_agent import DeviceReader
from headwater_ingest.settings import Settings
from headwater_ingest.sites.shields import Shields

COLD = 2000
"""Distinct inputs of a run."""

WARM = 500
"""Inputs among them that come again."""

PASSES = 4

AGENTS = Path(__file__).parents[1] / "packages/ingest/tests/enrich/data/agents.tsv"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: What is measured.
        inputs: Makes the inputs of one run; no two runs share one.
        call: Takes one input. What it prepares is prepared before.
    """

    name: str
    inputs: Callable[[random.Random], Iterable[object]]
    call: Callable[..., object]


def rows(city: Path | None) -> Iterator[Row]:
    sources = packaged_sources()
    trusted = NetworkSet.parse(Settings().trusted_proxies)
    rates = packaged_rates()
    yield Row("url split (never cached)", urls, split_url)
    yield Row("page", urls, read_page)
    yield Row(
        "client address",
        addresses,
        lambda ip: read_client({"x-forwarded-for": ip}, "10.0.0.1", trusted=trusted),
    )
    yield Row("root domain", hostnames, root_domain)
    yield Row("spam referrer", referrers, packaged_spam().has)
    yield Row(
        "source of a referrer (never cached)",
        hostnames,
        lambda host: sources.find_referrer("https", host, "/a"),
    )
    yield Row(
        "channel (never cached)",
        visits,
        lambda visit: find_channel(visit, sources),
    )
    attribute = Attributor(sources).attribute
    yield Row("attribution, direct", urls, lambda url: attribute(url, ""))
    yield Row(
        "attribution, referrer", visited, lambda pair: attribute(pair[0], pair[1])
    )
    yield Row("attribution, tags", tagged, lambda url: attribute(url, ""))
    yield Row("country, registries", addresses, RegistryCountries().locate)
    devices = DeviceReader()
    yield Row("device", agents, devices.read)
    yield Row("device, with hints", hinted, lambda pair: devices.read(*pair))
    if city:
        yield Row("place, city database", addresses, GeoDatabase.open(city).locate)
    yield Row("shields of 40 rules", urls, ask_shields(make_shields()))
    yield Row(
        "revenue, converted (never cached)",
        amounts,
        lambda value: make_revenue(read_money(value) or (), "EUR", rates),  # type: ignore[arg-type]
    )


def urls(chance: random.Random) -> Iterable[str]:
    for _ in range(COLD):
        product = chance.getrandbits(64)
        yield f"https://www.shop.example.com/de/products/{product:x}?page=2#reviews"


def tagged(chance: random.Random) -> Iterable[str]:
    for url in urls(chance):
        source = chance.choice(["newsletter", "google", "facebook", "partner"])
        medium = chance.choice(["email", "cpc", "social", "referral"])
        tags = f"utm_source={source}&utm_medium={medium}&utm_campaign=spring+2026"
        yield url.replace("page=2", tags)


def hostnames(chance: random.Random) -> Iterable[str]:
    known = ["google.co.uk", "m.facebook.com", "github.com", "en.m.wikipedia.org"]
    for _ in range(COLD):
        name = f"{chance.getrandbits(64):x}.example.org"
        yield f"{name}.{chance.choice(known)}" if chance.random() < 0.5 else name


def referrers(chance: random.Random) -> Iterable[str]:
    for host in hostnames(chance):
        yield f"https://www.{host}/some/path?q=1"


def visited(chance: random.Random) -> Iterable[tuple[str, str]]:
    known = ["https://www.google.com/", "https://t.co/", "https://duckduckgo.com/"]
    for url, other in zip(urls(chance), referrers(chance), strict=True):
        yield url, chance.choice(known) if chance.random() < 0.8 else other


def visits(chance: random.Random) -> Iterable[Visit]:
    for _ in range(COLD):
        source = chance.choice(["Google", "Facebook", "", "news.example", "ChatGPT"])
        medium = chance.choice(["", "", "cpc", "email", "referral"])
        yield Visit(source, medium, f"{chance.getrandbits(64):x}", source)


def agents(chance: random.Random) -> Iterable[str]:
    """Yields agents of the corpus of the tests, each with a version of its own."""
    lines = AGENTS.read_text(encoding="utf-8").splitlines()[1:]
    for line in chance.choices(lines, k=COLD):
        *_, agent = line.split("\t")
        yield re.sub(r"\d+(?= |$)", str(chance.getrandbits(32)), agent, count=1)


def hinted(chance: random.Random) -> Iterable[tuple[str, ClientHints]]:
    brands = '"Chromium";v="126", "Not/A)Brand";v="8", "Google Chrome";v="126"'
    hints = ClientHints(brands, "", '"Windows"', '"15.0.0"', "?0", '""')
    for agent in agents(chance):
        yield agent, hints


def addresses(chance: random.Random) -> Iterable[str]:
    for _ in range(COLD):
        numbers = [chance.randrange(1, 224), *(chance.randrange(256) for _ in "abc")]
        yield ".".join(map(str, numbers))


def amounts(chance: random.Random) -> Iterable[dict[str, object]]:
    for _ in range(COLD):
        yield {"amount": chance.randrange(10**6) / 100, "currency": "USD"}


def make_shields() -> Shields:
    return Shields.from_rules(
        addresses=[f"198.51.{third}.0/24" for third in range(10)],
        countries=["AQ", "BV", "HM", "TF", "IO", "UM", "GS", "PN", "SJ", "ZZ"],
        pages=[f"/internal/*/{number}*" for number in range(10)],
        hostnames=[f"*.site{number}.example" for number in range(9)] + ["*.com"],
    )


def ask_shields(shields: Shields) -> Callable[[str], object]:
    def ask(url: str) -> object:
        return (
            shields.blocks_hostname("shop.example.com")
            or shields.blocks_page(url)
            or shields.blocks_address("203.0.113.7")
            or shields.blocks_country("DE")
        )

    return ask


def measure(row: Row, run: int) -> tuple[float, float]:
    """Returns the microseconds per call of a first pass, and of later ones."""
    chance = random.Random(f"{row.name} {run}")
    inputs = list(row.inputs(chance))
    cold = time_calls(row.call, inputs)
    again = inputs[-WARM:]
    warm = min(time_calls(row.call, again) for _ in range(PASSES))
    return cold, warm


def time_calls(call: Callable[..., object], inputs: Sequence[object]) -> float:
    started = time.perf_counter()
    for each in inputs:
        call(each)
    return (time.perf_counter() - started) / len(inputs) * 1e6


def cell(values: Sequence[float]) -> str:
    return f"{median(values):6.2f} ({min(values):.2f}-{max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--city", type=Path, help="a city database (.mmdb)")
    arguments = parser.parse_args()
    print(f"{'µs per call':38} {'cold':>22} {'warm':>22}")
    for row in rows(arguments.city):
        next(iter(row.inputs(random.Random(0))))
        row.call(next(iter(row.inputs(random.Random(-1)))))
        runs = [measure(row, run) for run in range(arguments.runs)]
        cold, warm = zip(*runs, strict=True)
        print(f"{row.name:38} {cell(cold):>22} {cell(warm):>22}")


if __name__ == "__main__":
    main()
