"""Every error that the service raises on purpose.

HeadwaterError
├── SettingsError            a setting is wrong; nothing has been started
├── SitesFileError           the sites file is wrong; the last good one stays in force
├── SiteChangeError          the sites cannot be changed so; nothing was changed
│   ├── InvalidSiteError             a field is wrong, or taken by another site
│   ├── UnknownSiteError             there is no site of this name
│   ├── SiteExistsError              there is one already
│   └── SiteKeptInFileError          it is to be changed in its sites file
├── DataFileError            a file for enrichment is wrong; the last good one stays
├── SessionStoreError        sessions cannot be shared through Redis
│   ├── RedisNotInstalledError       its client is not there; nothing was tried
│   ├── RedisUrlError                the URL is wrong; nothing was tried
│   └── RedisUnreachableError        nobody answers there, or not to us
├── AddressUnavailableError  the address to listen on cannot be bound
├── WorkersNotStartedError   no process that takes requests has come up
├── DataDirectoryUnwritableError  the disk refuses; what was acknowledged is safe
├── ClickHouseError          something between us and ClickHouse
│   ├── ClickHouseUrlError           the URL is wrong; nothing was tried
│   ├── ClickHouseUnreachableError   nobody answers there; nothing was done
│   ├── ClickHouseRefusedError       it answers and will not have us; nothing was done
│   ├── ClickHouseTooOldError        it lacks what exactly-once inserts need
│   ├── SchemaError                  tables and code do not fit; nothing was changed
│   │   ├── SchemaNewerError         the tables are newer than the code
│   │   ├── SchemaChangedError       an applied migration is not the one in the code
│   │   └── TopologyChangedError     the tables were made for another topology
│   ├── MigrationFailedError         ClickHouse refused a statement; run it again
│   ├── QueryRefusedError            ClickHouse refused a query of ours
│   ├── MutationFailedError          it cannot delete rows; some may be gone
│   └── EmbeddedClickHouseError      the server in a child process
│       ├── EmbeddedNotInstalledError    chdb-core is not there
│       ├── DataDirectoryInUseError      another process has the data directory
│       ├── PortInUseError               another process listens on the port
│       └── EmbeddedStartError           it ended, or was not ready in time
├── ArchiveDamagedError      a file of the archive cannot be understood
├── ArchiveUnwritableError   the disk refuses; the rows stay in the journal
├── ReplayInterruptedError   ClickHouse takes no rows now; what was begun is on disk
├── RowsPendingError         rows of the journal do not get to ClickHouse
├── TooManyDeadLettersError  ClickHouse refuses too many rows to be given up one by one
└── JournalError             the journal cannot do what was asked of it
    ├── JournalLockedError       another process uses it; nothing was touched
    ├── JournalDamagedError      its file cannot be understood; nothing was touched
    ├── JournalUnwritableError   the disk refuses; what was acknowledged is safe
    │   └── OwnerGoneError               the process that has the journal is gone
    ├── JournalFullError         no room; nothing of the entry was taken
    │   └── JournalShareError            there is some, but not for this site
    └── JournalClosedError       it is closing; nothing of the entry was taken

A message is one line that a person can act upon: what is wrong, and what to do. The
command line prints it as it is, so no message carries a secret.
"""

from collections.abc import Sequence
from pathlib import Path


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
        problems: One line per mistake, many found at once.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class SiteChangeError(HeadwaterError):
    """The sites cannot be changed in this way. Nothing was changed."""


class InvalidSiteError(SiteChangeError):
    """What was written about a site is wrong, or belongs to another site.

    Attributes:
        problems: One line per mistake, all found at once.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class UnknownSiteError(SiteChangeError):
    """There is no site of this name."""


class SiteExistsError(SiteChangeError):
    """There is a site of this name already."""


class SiteKeptInFileError(SiteChangeError):
    """The truth about the site is its sites file, where it is to be changed."""


class DataFileError(HeadwaterError):
    """A file that enrichment reads is missing or wrong; the last good one stays.

    Attributes:
        path: The file.
        problem: What is wrong with it, and what was expected.
    """

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}")


class SessionStoreError(HeadwaterError):
    """Sessions cannot be shared through Redis."""


class RedisNotInstalledError(SessionStoreError):
    """The client for Redis, an extra, is not installed."""


class RedisUrlError(SessionStoreError):
    """The URL of Redis is wrong. The message quotes no part that may be secret."""


class RedisUnreachableError(SessionStoreError):
    """Redis does not answer, or refuses us. Worth a retry."""


class AddressUnavailableError(HeadwaterError):
    """The address to listen on is taken or does not exist on this machine."""


class WorkersNotStartedError(HeadwaterError):
    """No process that takes requests has come up in time."""


class DataDirectoryUnwritableError(HeadwaterError):
    """The data directory takes no file. What was acknowledged before is safe."""


class ArchiveDamagedError(HeadwaterError):
    """A file of the archive cannot be understood. It is left as it is."""


class ArchiveUnwritableError(HeadwaterError):
    """The disk refuses to take rows into the archive. They stay in the journal."""


class ReplayInterruptedError(HeadwaterError):
    """ClickHouse takes no rows now. What was begun is on disk; run it again."""


class RowsPendingError(HeadwaterError):
    """Rows of the journal are not in ClickHouse yet. Nothing was done."""


class TooManyDeadLettersError(HeadwaterError):
    """ClickHouse refuses so many rows that they are not at fault. No row was given up.

    Attributes:
        error: What it says of the last one.
    """

    def __init__(self, error: str, message: str) -> None:
        self.error = error
        super().__init__(message)


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


class OwnerGoneError(JournalUnwritableError):
    """The process that has the journal is gone, and this worker ends.

    What it was asked for last may have been done.
    """


class JournalFullError(JournalError):
    """There is no room until ClickHouse takes rows. Nothing of the entry was taken."""


class JournalShareError(JournalFullError):
    """What room is left belongs to other sites. Nothing of the entry was taken."""


class JournalClosedError(JournalError):
    """The journal is closing. Nothing of the entry was taken."""


class ClickHouseError(HeadwaterError):
    """Something went wrong between us and ClickHouse."""


class ClickHouseUrlError(ClickHouseError):
    """The ClickHouse URL is wrong. The message quotes no part that may be secret."""


class ClickHouseUnreachableError(ClickHouseError):
    """Nobody speaks ClickHouse's native protocol at the address. Worth a retry.

    Attributes:
        address: Host and port that were tried.
    """

    def __init__(self, address: str, message: str) -> None:
        self.address = address
        super().__init__(message)


class ClickHouseRefusedError(ClickHouseError):
    """ClickHouse answered the greeting with an error: login or database is wrong.

    Attributes:
        code: ClickHouse's error code, such as 516 for a wrong password.
    """

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class ClickHouseTooOldError(ClickHouseError):
    """The server is older than any version that keeps our promises."""


class SchemaError(ClickHouseError):
    """The tables in ClickHouse and this code do not fit. Nothing was changed."""


class SchemaNewerError(SchemaError):
    """The tables were made by a newer release than this one."""


class SchemaChangedError(SchemaError):
    """A migration that was applied differs from the one in this code."""


class TopologyChangedError(SchemaError):
    """The tables were made for another topology than the one that is asked for."""


class MigrationFailedError(ClickHouseError):
    """ClickHouse refused a statement of a migration. Those before it have run.

    Attributes:
        code: ClickHouse's error code.
    """

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class QueryRefusedError(ClickHouseError):
    """ClickHouse refused a query of ours: a right is missing, or a table.

    Attributes:
        code: ClickHouse's error code.
    """

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class MutationFailedError(ClickHouseError):
    """ClickHouse cannot delete rows that it was told to. Some may be gone."""


class EmbeddedClickHouseError(ClickHouseError):
    """The embedded ClickHouse cannot run."""


class EmbeddedNotInstalledError(EmbeddedClickHouseError):
    """The package that holds the embedded ClickHouse is not installed."""


class DataDirectoryInUseError(EmbeddedClickHouseError):
    """Another process has the data directory of the embedded ClickHouse open."""


class PortInUseError(EmbeddedClickHouseError):
    """Another process listens on a port that the embedded ClickHouse was given.

    Attributes:
        port: The port.
    """

    def __init__(self, port: int, message: str) -> None:
        self.port = port
        super().__init__(message)


class EmbeddedStartError(EmbeddedClickHouseError):
    """The embedded ClickHouse ended while it started, or was not ready in time."""
