"""The id of a visitor: SipHash-2-4 of browser and address under the day's salt.

The construction is Plausible's, so that numbers can be compared.
"""

from siphashc import siphash

SALT_BYTES = 16


def make_user_id(
    salt: bytes, *, user_agent: str, address: str, domain: str, root_domain: str
) -> int:
    """Returns the visitor's id of the day, a UInt64.

    Args:
        salt: The day's salt, 16 bytes.
        user_agent: As the browser sent it; empty if it sent none.
        address: The client's address.
        domain: The site's domain as the event named it, in lower case.
        root_domain: The registrable part of the event's hostname.
    """
    return hash_visitor(salt, f"{user_agent}{address}{domain}{root_domain}")


def hash_visitor(salt: bytes, visitor: str) -> int:
    """Returns the visitor's id of the day, of what `make_user_id` joins."""
    number: int = siphash(salt, visitor.encode("utf-8", "replace"))
    return number
