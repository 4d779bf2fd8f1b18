"""The address and class of the client behind a request, as its proxies tell them.

Headers are believed only when the peer is a proxy that the operator trusts. The first
of these that is not empty names the client:

    x-plausible-ip, cf-connecting-ip,
    b-forwarded-for, x-forwarded-for    first entry of the list
    forwarded                           first `for=`
    the peer itself

The text is taken as it stands, less a port and brackets: it need not be an address.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

from headwater_ingest.enrich.networks import NetworkSet, read_address

MAX_ADDRESS_CHARS: Final = 255
"""A longer text is cut, so that no cache keyed by addresses grows beyond bounds."""

IP_CLASS_HEADER: Final = "x-plausible-ip-type"

_SINGLE: Final = ("x-plausible-ip", "cf-connecting-ip")
_LISTS: Final = ("b-forwarded-for", "x-forwarded-for")
_FORWARDED: Final = "forwarded"
CLIENT_HEADERS: Final = (*_SINGLE, *_LISTS, _FORWARDED, IP_CLASS_HEADER)
"""All that `read_client` looks at."""

_FORWARDED_FOR: Final = re.compile(r"(?:^|[;,\s])for=([^;,]*)", re.IGNORECASE)


class IpClass(StrEnum):
    """What a proxy knows about a client's address. It may say other things, too."""

    DATA_CENTRE = "dc_ip"
    THREAT = "threat_ip"
    ANONYMOUS_VPN = "anonymous_vpn_ip"


class Client(msgspec.Struct, frozen=True):
    """Who sent a request.

    Attributes:
        ip: Its address as text, or whatever a trusted proxy sent in its place.
        ip_class: The class of the address as a trusted proxy says; empty when none
            does.
    """

    ip: str
    ip_class: str


def read_client(
    headers: Mapping[str, str], peer: str, *, trusted: NetworkSet
) -> Client:
    """Returns the client of a request.

    Args:
        headers: The request's headers by lower-case name.
        peer: The address at the other end of the connection; empty for a Unix socket,
            which only a process of this machine can open.
        trusted: The proxies whose headers are believed.
    """
    text, is_trusted = _read_peer(peer, trusted)
    if not is_trusted:
        return Client(text, "")
    named = _cut_port(_named_client(headers)[:MAX_ADDRESS_CHARS])
    return Client(named or text, headers.get(IP_CLASS_HEADER, ""))


@lru_cache(maxsize=1024)
def _read_peer(peer: str, trusted: NetworkSet) -> tuple[str, bool]:
    """Returns the address of a peer as text, and whether its headers are believed."""
    address = read_address(peer)
    is_trusted = not peer or (address is not None and address in trusted)
    return str(address or peer), is_trusted


def _named_client(headers: Mapping[str, str]) -> str:
    for name in _SINGLE:
        if (text := headers.get(name)) and (text := text.strip()):
            return text
    for name in _LISTS:
        if (text := headers.get(name)) and (text := text.partition(",")[0].strip()):
            return text
    if (forwarded := headers.get(_FORWARDED)) and (
        match := _FORWARDED_FOR.search(forwarded)
    ):
        return match[1].strip().strip('"')
    return ""


def _cut_port(text: str) -> str:
    """Cuts a port after an IPv4 address or a bracket, then the brackets.

    What follows the last colon of a bare IPv6 address is no port.
    """
    if ":" not in text and "[" not in text and "]" not in text:
        return text
    host, colon, port = text.rpartition(":")
    if colon and _is_digits(port) and _may_have_port(host):
        text = host
    return text.removeprefix("[").removesuffix("]")


def _may_have_port(host: str) -> bool:
    _, dot, last = host.rpartition(".")
    return host.endswith("]") or (bool(dot) and _is_digits(last))


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()
