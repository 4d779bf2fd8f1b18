"""Every error that the service raises on purpose.

HeadwaterError
├── SettingsError            a setting is wrong; nothing has been started
├── SitesFileError           the sites file is wrong; the last good one stays in force
├── AddressUnavailableError  the address to listen on cannot be bound
└── JournalError             the journal cannot do what was asked of it
    ├── JournalLockedError       another process uses it; nothing was touched
    ├── JournalDamagedError      its file cannot be understood; nothing was touched
    ├── JournalUnwritableError   the disk refuses; what was acknowledged is safe
    ├── JournalFullError         no room; nothing of the entry was taken
    └── JournalClosedError       it is closing; nothing of the entry was taken

A message is one line that a person can act upon: what is wrong, and what to do. The
command line prints it as it is, so no message carries a secret.
"""

from collections.abc import Sequence


class HeadwaterError(Exception):
    """The root: whatever is caught as this one has a message for the operator."""


class SettingsError(HeadwaterError):
    """One or more settings are wrong. Nothing has been started or written.

    Attributes:
        problems: One line per wrong setting, all found at once.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class SitesFileError(HeadwaterError):
    """The sites file is missing or wrong.

    Attributes:
        problems: One line per mistake, all found at once.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class AddressUnavailableError(HeadwaterError):
    """The address to listen on is taken or does not exist on this machine."""


class JournalError(HeadwaterError):
    """The journal cannot do what was asked of it."""


class JournalLockedError(JournalError):
    """Another process uses the journal. Nothing was touched."""


class JournalDamagedError(JournalError):
    """A file of the journal cannot be understood. It is left as it is."""


class JournalUnwritableError(JournalError):
    """The disk refuses to take rows.

    What was acknowledged before is safe. The entry that met this error may still be
    found in the journal after a crash, so it must be retried with the same ids.
    """


class JournalFullError(JournalError):
    """There is no room until ClickHouse takes rows. Nothing of the entry was taken."""


class JournalClosedError(JournalError):
    """The journal is closing. Nothing of the entry was taken."""
