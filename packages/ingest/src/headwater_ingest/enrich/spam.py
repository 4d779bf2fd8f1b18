"""Referrer spam: hosts that send made-up visits to be seen in reports."""

from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from headwater_ingest.enrich.packaged import read_packaged
from headwater_ingest.enrich.url import split_url
from headwater_ingest.errors import DataFileError

_MAX_CACHED_CHARS: Final = 512


class SpamList:
    """A list of hosts, looked up as they are: their sub-domains are not on it."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = frozenset(_read_hosts(hosts))
        self._cached = lru_cache(maxsize=4096)(self._has)
        self.cache_info = self._cached.cache_info

    def has(self, referrer: str) -> bool:
        """Tells whether the host of a referrer is on the list."""
        if len(referrer) <= _MAX_CACHED_CHARS:
            return self._cached(referrer)
        return self._has(referrer)

    def _has(self, referrer: str) -> bool:
        return split_url(referrer).hostname in self._hosts


@cache
def packaged_spam() -> SpamList:
    """Returns the list that comes with Headwater: the most notorious hosts."""
    return SpamList(_packaged_lines())


def load_spam(path: Path) -> SpamList:
    """Returns our list with the hosts of the file at `path`, one a line, added.

    That is the form of Matomo's list `spammers.txt`. Lines that begin with `#` are
    passed over.

    Raises:
        DataFileError: If the file cannot be read or is no text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataFileError(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataFileError(path, f"is no text in UTF-8: {error}") from error
    return SpamList([*_packaged_lines(), *lines])


def _packaged_lines() -> list[str]:
    return read_packaged("spam_hosts.txt").splitlines()


def _read_hosts(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        host = line.strip().lower().removeprefix("www.")
        if host and not host.startswith("#"):
            yield host
