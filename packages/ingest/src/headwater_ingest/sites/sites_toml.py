"""The sites file: TOML, written by the operator, read as a whole or not at all.

    [[site]]
    domain = "example.com"
    write_key = "hw_..."              # or, while a key is being changed:
    # write_keys = ["hw_new...", "hw_old..."]
    # id = 42                         # only to keep a number from elsewhere

All mistakes are reported at once. No message repeats a write key.
"""

import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path

from headwater_ingest.errors import SitesFileError
from headwater_ingest.sites.model import Site, derive_site_id, digest_key
from headwater_ingest.suggest import did_you_mean

MIN_KEY_CHARS = 16
FIRST_DOMAIN = "example.com"

_FIELDS = ("domain", "id", "write_key", "write_keys")
_ENTRY = re.compile(r"^[ \t]*\[\[[ \t]*site[ \t]*\]\]", re.MULTILINE)
_DOMAIN = re.compile(r"(?!.*://)[^\s,]+")
_MAX_ID = 2**64 - 1

_FIRST_FILE = """\
# The sites that may send events, each with its write key. A change is live within a
# few seconds; no restart is needed.

[[site]]
domain = "{domain}"
write_key = "{key}"
"""


def read_sites(path: Path) -> list[Site]:
    """Read all sites of a file.

    Raises:
        SitesFileError: With one line for every mistake.
    """
    try:
        text = path.read_text("utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError as error:
        raise SitesFileError(
            [f"sites file {path} does not exist: write it, or correct `sites_file`"]
        ) from error
    except OSError as error:
        raise SitesFileError(
            [f"sites file {path} cannot be read: {error.strerror}"]
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SitesFileError([f"sites file {path} is not TOML: {error}"]) from error
    return _Reader(path, text).read(table)


def write_first_file(path: Path) -> None:
    """Write a file with one site and a fresh key that only the owner can read.

    Raises:
        SitesFileError: If it cannot be written.
    """
    text = _FIRST_FILE.format(domain=FIRST_DOMAIN, key=new_write_key())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SitesFileError(
            [f"sites file {path} cannot be written: {error.strerror}"]
        ) from error


def new_write_key() -> str:
    """Return a fresh random write key."""
    return "hw_" + secrets.token_urlsafe(24)


class _Reader:
    """Reads one file: collects its sites and its mistakes."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = [
            text.count("\n", 0, found.start()) + 1 for found in _ENTRY.finditer(text)
        ]
        self._problems: list[str] = []
        self._seen: dict[object, str] = {}  # domain, id or digest → entry that has it

    def read(self, table: Mapping[str, object]) -> list[Site]:
        for name in table.keys() - {"site"}:
            self._note(f"`{name}` is unknown: {did_you_mean(name, ['site'])}")
        entries = table.get("site", [])
        if not isinstance(entries, list) or not entries:
            self._note("has no site: add `[[site]]` with `domain` and `write_key`")
            entries = []
        sites = [self._site(entry, number) for number, entry in enumerate(entries, 1)]
        if self._problems:
            raise SitesFileError(self._problems)
        return [site for site in sites if site]

    def _site(self, entry: object, number: int) -> Site | None:
        where = self._where(number)
        if not isinstance(entry, dict):
            self._note(f"{where}: is no table: write `[[site]]`")
            return None
        for name in entry.keys() - set(_FIELDS):
            self._note(f"{where}: `{name}` is unknown: {did_you_mean(name, _FIELDS)}")
        domain = self._domain(entry.get("domain"), where)
        digests = self._digests(entry, where)
        if "id" in entry:
            return Site(self._id(entry["id"], where), domain, digests)
        return Site(derive_site_id(domain), domain, digests) if domain else None

    def _domain(self, value: object, where: str) -> str:
        if not isinstance(value, str) or not _DOMAIN.fullmatch(value):
            self._note(f'{where}: give `domain` as a host name: domain = "example.com"')
            return ""
        domain = value.lower()
        self._claim(("domain", domain), where, f"the domain {domain}")
        return domain

    def _id(self, value: object, where: str) -> int:
        if type(value) is not int or not 1 <= value <= _MAX_ID:
            self._note(f"{where}: give `id` as a whole number from 1 to {_MAX_ID}")
            return 0
        self._claim(("id", value), where, f"the id {value}")
        return value

    def _digests(self, entry: Mapping[str, object], where: str) -> frozenset[bytes]:
        digests = [
            digest
            for key in self._keys(entry, where)
            if (digest := self._digest(key, where))
        ]
        return frozenset(digests)

    def _keys(self, entry: Mapping[str, object], where: str) -> list[object]:
        several = entry.get("write_keys", [])
        if not isinstance(several, list):
            self._note(f'{where}: give `write_keys` as a list: ["hw_...", "hw_..."]')
            several = []
        elif not several and "write_key" not in entry:
            self._note(f'{where}: has no write key: write_key = "{new_write_key()}"')
        return [*([entry["write_key"]] if "write_key" in entry else []), *several]

    def _digest(self, key: object, where: str) -> bytes | None:
        if not isinstance(key, str) or len(key) < MIN_KEY_CHARS:
            self._note(
                f"{where}: a write key is a text of {MIN_KEY_CHARS} or more characters"
            )
            return None
        digest = digest_key(key)
        self._claim(digest, where, "a write key")
        return digest

    def _claim(self, value: object, where: str, what: str) -> None:
        """Note a problem if an earlier entry has the value already."""
        if (first := self._seen.setdefault(value, where)) is not where:
            self._note(f"{where}: has {what} of {first}: each must have its own")

    def _where(self, number: int) -> str:
        if number <= len(self._lines):
            return f"site {number} (line {self._lines[number - 1]})"
        return f"site {number}"

    def _note(self, problem: str) -> None:
        self._problems.append(f"sites file {self._path}: {problem}")
