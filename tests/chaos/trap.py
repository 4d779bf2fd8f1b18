"""Where a process may die: named points, and a trap that is set at one of them.

The trap is a file that names a point and who is to die there. Whoever passes the point
takes the file away and kills with SIGKILL. The service knows nothing of this: `serve`
and `write` put the points into its code from outside.
"""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.support.waiting import wait_for

VARIABLE: Final = "CHAOS_TRAP"

SERVICE_POINTS: Final = (
    "before append",
    "after append",
    "after fsync",
    "before the answer",
)
"""In the process that answers requests."""

WRITER_POINTS: Final = (
    "block frozen",
    "insert sent",
    "insert done but no checkpoint",
    "checkpoint done",
    "during delete",
)
"""In the process that writes to ClickHouse."""

MIGRATION_POINT: Final = "during migration"


@dataclass(frozen=True, slots=True)
class Trap:
    """A trap in a directory, as those see it who set it."""

    directory: Path

    @property
    def path(self) -> Path:
        return self.directory / "trap"

    @property
    def environment(self) -> dict[str, str]:
        return {VARIABLE: str(self.path)}

    def arm(self, point: str, victim: str, *, skip: int = 0) -> None:
        """Sets the trap.

        Args:
            point: Where.
            victim: `service` takes the writer with it, `writer` is alone.
            skip: How often the point is passed unharmed.
        """
        fresh = self.directory / "trap.new"
        fresh.write_text(f"{point}\n{victim}\n{skip}")
        fresh.rename(self.path)

    def wait_until_sprung(self) -> None:
        """Returns when somebody has died, and puts the trap away."""
        sprung = self.path.with_suffix(".sprung")
        wait_for(sprung.exists, what="the trap to spring", timeout_s=30)
        sprung.unlink()


def pass_point(point: str) -> None:
    """Dies, if the trap is set here."""
    path = Path(os.environ[VARIABLE])
    try:
        armed, victim, skip = path.read_text().split("\n")
    except FileNotFoundError:
        return
    if armed != point:
        return
    if int(skip):
        Trap(path.parent).arm(point, victim, skip=int(skip) - 1)
        return
    with suppress(FileNotFoundError):  # somebody else was faster
        path.rename(path.with_suffix(".sprung"))
        if victim == "service" and point in WRITER_POINTS:
            os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
