"""What has become of the INSERTs of the block in hand that were refused.

A verdict is on disk before anything follows from it, and ends with its block.
"""

from dataclasses import dataclass

from headwater_ingest.journal.connection import Connection
from headwater_ingest.journal.database import transaction


@dataclass(frozen=True, slots=True)
class Verdict:
    """What has become of an INSERT that was refused.

    Attributes:
        error: Why its only row is dead; None: it was cut in two.
        at_ms: When.
    """

    error: str | None
    at_ms: int


def read_verdicts(connection: Connection) -> dict[str, Verdict]:
    """Return the verdicts on the block in hand, by token."""
    rows = connection.execute("SELECT token, error, at_ms FROM verdicts")
    return {token: Verdict(error, at_ms) for token, error, at_ms in rows}


def add_verdict(connection: Connection, token: str, verdict: Verdict) -> None:
    """Put a verdict on disk."""
    with transaction(connection):
        connection.execute(
            "INSERT INTO verdicts VALUES (?, ?, ?)",
            (token, verdict.error, verdict.at_ms),
        )
