"""Where the tables are that all nodes share: sites and salts."""

from collections.abc import Callable
from dataclasses import dataclass

from headwater_ingest.clickhouse.url import ClickHouseUrl


@dataclass(frozen=True, slots=True)
class SharedTables:
    """The tables, as those see them who keep a node in step.

    Attributes:
        url: The ClickHouse that has them.
        are_ready: Whether they have been made.
    """

    url: ClickHouseUrl
    are_ready: Callable[[], bool]
