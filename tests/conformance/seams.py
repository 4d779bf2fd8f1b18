"""Functions of the service that cases name, each through a small adapter."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from siphashc import siphash
from tests.conformance.world import make_shields

from headwater_ingest.enrich.channels import Visit, find_channel
from headwater_ingest.enrich.city_overrides import find_city
from headwater_ingest.enrich.root_domain import root_domain
from headwater_ingest.enrich.sources_file import packaged_sources
from headwater_ingest.visitors.salts import DAY_MS, Salts
from headwater_ingest.visitors.user_id import make_user_id

Args = Mapping[str, Any]
Answer = Mapping[str, Any]

WITHOUT_SEAM: Mapping[str, str] = {
    "shield.page_pattern": "patterns have no text form here",
    "write_buffer": "the journal takes the place of upstream's write buffer",
    "counters.bucket_10s": "counters are per minute",
    "counters.aggregate": "counters are per minute",
}


def call(function: str, args: Args) -> Answer | None:
    """Returns what a function answers; None if there is no seam for it."""
    adapter = _ADAPTERS.get(function)
    return adapter(args) if adapter else None


def _channel(args: Args) -> Answer:
    visit = Visit(
        args.get("referrer_source") or "",
        args.get("utm_medium") or "",
        args.get("utm_campaign") or "",
        args.get("utm_source") or "",
        args.get("click_id_param") or "",
    )
    return {"value": str(find_channel(visit, packaged_sources()))}


def _hostname_allowed(args: Args) -> Answer:
    shields = make_shields(hostname=args["rules"])
    return {"value": not shields.blocks_hostname(args["input"])}


def _page_blocked(args: Args) -> Answer:
    return {"value": make_shields(page=args["rules"]).blocks_page(args["input"])}


def _ip_blocked(args: Args) -> Answer:
    return {"value": make_shields(ip=args["rules"]).blocks_address(args["input"])}


def _country_blocked(args: Args) -> Answer:
    shields = make_shields(country=args["rules"])
    code = "" if args["input"] in {None, "ZZ"} else args["input"]
    return {"value": shields.blocks_country(code)}


def _city_override(args: Args) -> Answer:
    return {"value": find_city(args["geoname_id"])}


def _siphash(args: Args) -> Answer:
    return {"value": siphash(args["key_ascii"].encode(), args["input"].encode())}


def _user_id(args: Args) -> Answer:
    root = root_domain(args["hostname"])
    number = make_user_id(
        args["salt_ascii"].encode(),
        user_agent=args.get("user_agent") or "",
        address=args["remote_ip"],
        domain=args["domain"],
        root_domain=root,
    )
    return {"value": number, "root_domain": root}


def _salts(args: Args) -> Answer:
    ops = [tuple(op) for op in args["ops"]]
    if all(name in {"start", "rotate"} for name, _ in ops):
        return _salts_over_time([at for _, at in ops])
    return _salts_of_nodes(ops)


def _salts_over_time(times: list[str]) -> Answer:
    salts = Salts()
    for at in times:
        now_ms = round(datetime.fromisoformat(at).timestamp() * 1000)
        salts.current(now_ms)
        salts.forget(now_ms=now_ms)
    return {"stored": len(salts.known)}


def _salts_of_nodes(ops: list[tuple[str, ...]]) -> Answer:
    """Nodes that share a table; a rotation is the next day."""
    nodes: dict[str, Salts] = {}
    table: dict[int, bytes] = {}
    day = 20_000
    for name, node in ops:
        salts = nodes.setdefault(node, Salts())
        day += name == "rotate_node"
        now_ms = day * DAY_MS
        for each, salt in salts.offers(now_ms=now_ms).items():
            table.setdefault(each, salt)
        salts.adopt(table, now_ms=now_ms)
    now_ms = day * DAY_MS
    return {
        "equal_after_refresh": len({each.current(now_ms) for each in nodes.values()})
        == 1
    }


_ADAPTERS: Mapping[str, Callable[[Args], Answer]] = {
    "acquisition_channel": _channel,
    "shield.hostname_allowed": _hostname_allowed,
    "shield.page_blocked": _page_blocked,
    "shield.ip_blocked": _ip_blocked,
    "shield.country_blocked": _country_blocked,
    "city_override": _city_override,
    "siphash24": _siphash,
    "user_id": _user_id,
    "salts": _salts,
}
