"""What a driver has to do besides sending."""

from enum import Enum, auto


class Chore(Enum):
    """What comes before the next batch."""

    STOP = auto()
    SPILL = auto()
    RESTORE = auto()
