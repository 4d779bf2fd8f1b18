"""Every error that the service raises on purpose.

HeadwaterError
├── SettingsError            a setting is wrong; nothing has been started
├── SitesFileError           the sites file is wrong; the last good one stays in force
└── AddressUnavailableError  the address to listen on cannot be bound

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
