"""What the readers of both formats put in the place of what they cannot read."""

from typing import Final

from headwater_schema.limits import MAX_DEPTH

KEPT_DEPTH: Final = MAX_DEPTH + 8
"""Levels that are kept of a value without end: enough to be refused for its depth."""


class UnreadableValue:
    """Stands for a value that Python has no place for; it has no wire form either."""
