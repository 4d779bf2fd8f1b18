"""The accounts of sites as metrics show them."""

from typing import Final, NamedTuple

PENDING: Final = "pending"
ROW_STATES: Final = (
    "written",
    "dead_lettered",
    "discarded",
    "erased_unwritten",
    PENDING,
)
"""Where the row of an accepted event may be."""


class Account(NamedTuple):
    """So many events of a site.

    Attributes:
        site: Its domain, or its number when it has none.
        account: An outcome, or one of `ROW_STATES`.
        reason: Of an outcome; empty where nothing is wrong.
        events: How many.
    """

    site: str
    account: str
    reason: str
    events: int
