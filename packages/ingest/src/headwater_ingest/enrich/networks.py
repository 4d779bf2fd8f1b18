"""IP addresses and networks, compared in canonical form.

`2001:DB8:0::1` and `2001:db8::1` are one address, and so are `::ffff:192.0.2.1` and
`192.0.2.1`.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import (
    IPV4LENGTH,
    IPV6LENGTH,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from socket import AF_INET, inet_pton
from typing import Final, Self

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_Lengths = tuple[tuple[int, int], ...]
"""For prefixes of each length: how far to shift an address, and the 1 to put before."""

_MAX_CHARS: Final = 64
"""Nothing longer is an address, a scope and a prefix length included."""

_MAPPED_BITS: Final = 96
"""Leading bits of an IPv6 address that maps an IPv4 one."""


def read_address(text: str) -> Address | None:
    """Returns the address that `text` spells, or None."""
    return _read_address(text) if len(text) <= _MAX_CHARS else None


def read_network(text: str) -> Network:
    """Returns the network that `text` spells: an address, or one with a prefix length.

    Raises:
        ValueError: If it spells none; the message says what was expected.
    """
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(
            f"`{text[:_MAX_CHARS]}` is no address; write one such as `192.0.2.1`, or "
            "a network such as `192.0.2.0/24` or `2001:db8::/32`"
        ) from None
    mapped = isinstance(network, IPv6Network) and network[0].ipv4_mapped
    if mapped and network.prefixlen >= _MAPPED_BITS:
        return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


class NetworkSet:
    """A set of networks that tells whether an address is in one of them. Immutable.

    It takes one look-up per prefix length, however many networks there are.
    """

    __slots__ = ("__weakref__", "_v4", "_v4_lengths", "_v6", "_v6_lengths")

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        given = tuple(networks)
        v4 = [each for each in given if each.version == 4]
        v6 = [each for each in given if each.version == 6]
        self._v4_lengths, self._v4 = _find_prefixes(v4, bits=IPV4LENGTH)
        self._v6_lengths, self._v6 = _find_prefixes(v6, bits=IPV6LENGTH)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Returns the set of the networks that `texts` spell.

        Raises:
            ValueError: If one spells none.
        """
        return cls(read_network(text) for text in texts)

    def __contains__(self, address: Address) -> bool:
        if address.version == 4:
            return _has_prefix(self._v4, self._v4_lengths, int(address))
        return _has_prefix(self._v6, self._v6_lengths, int(address))

    def covers(self, text: str) -> bool:
        """Tells whether `text` spells an address that is in one of the networks."""
        if ":" not in text:
            # Half of what it takes to find the address in a cache.
            try:
                packed = inet_pton(AF_INET, text)
            except (OSError, ValueError):
                return False
            return _has_prefix(self._v4, self._v4_lengths, int.from_bytes(packed))
        address = read_address(text)
        return address is not None and address in self

    def __bool__(self) -> bool:
        return bool(self._v4 or self._v6)


def _has_prefix(prefixes: frozenset[int], lengths: _Lengths, number: int) -> bool:
    for shift, mark in lengths:
        prefix = number >> shift | mark
        if prefix in prefixes:
            return True
    return False


def _find_prefixes(
    networks: Iterable[Network], *, bits: int
) -> tuple[_Lengths, frozenset[int]]:
    """Returns the lengths of prefixes that there are, and the prefixes.

    A prefix is a number that has a 1 before its bits, which tells its length.

    Args:
        networks: All of one version.
        bits: Of its addresses.
    """
    prefixes = frozenset(
        int(each.network_address) >> bits - each.prefixlen | 1 << each.prefixlen
        for each in networks
    )
    lengths = sorted({prefix.bit_length() - 1 for prefix in prefixes})
    return _share_lengths(bits, tuple(lengths)), prefixes


@lru_cache
def _share_lengths(bits: int, lengths: tuple[int, ...]) -> _Lengths:
    """Returns the one copy that all have who have prefixes of the same lengths."""
    return tuple((bits - length, 1 << length) for length in lengths)


@lru_cache(maxsize=32_768)
def _read_address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            address = IPv6Address(int(address))
        return address.ipv4_mapped or address
    return address


address_cache_info: Final = _read_address.cache_info
"""How often `read_address` knew its answer."""
