"""What a site is: a domain with an id and the digests of its write keys.

A write key is a secret. Only its digest is kept, so that neither a memory dump nor a
log line gives it away.
"""

from dataclasses import dataclass
from hashlib import sha256

from siphashc import siphash

_ZERO_KEY = bytes(16)


@dataclass(frozen=True, slots=True)
class Site:
    """A source of events.

    Attributes:
        id: Number of the site in every table, a UInt64 other than 0.
        domain: Lower-case name, such as ``example.com``.
        key_digests: Digests of the write keys that are in force.
    """

    id: int
    domain: str
    key_digests: frozenset[bytes]


def derive_site_id(domain: str) -> int:
    """Return the id of a site that names none.

    It is ClickHouse's ``sipHash64(lower(domain))``, so queries can compute it too.
    """
    number: int = siphash(_ZERO_KEY, domain.lower().encode())
    return number


def digest_key(key: str) -> bytes:
    """Return the digest under which a write key is known."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()
