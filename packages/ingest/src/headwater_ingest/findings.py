"""What `doctor` finds: lines of its table."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    level: Level
    subject: str
    detail: str


def ok(subject: str, detail: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(Level.OK, subject, detail)


def warn(subject: str, detail: str) -> Finding:
    """Return what somebody should know about."""
    return Finding(Level.WARN, subject, detail)


def fail(subject: str, detail: str) -> Finding:
    """Return what somebody must mend."""
    return Finding(Level.FAIL, subject, detail)
