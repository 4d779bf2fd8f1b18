"""The sites file: TOML, written by the operator, read as a whole or not at all.

    [[site]]
    domain = "example.com"
    write_key = "hw_..."              # or, while a key is being changed:
    # write_keys = ["hw_new...", "hw_old..."]
    # former_domain = "old.example"   # events may still name it
    # rate_limit = 6000               # and whatever else `fields.py` knows

A site has the number of its domain, or of its former domain if it has one, so that a
site which is renamed keeps its events; `id` gives it another one. Mistakes are reported
twenty at once. No message repeats a write key.
"""

import os
import re
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from headwater_ingest.errors import SitesFileError
from headwater_ingest.sites.fields import read_fields
from headwater_ingest.sites.model import bare_domain, derive_site_id
from headwater_ingest.sites.record import SiteRecord
from headwater_ingest.suggest import did_you_mean

FIRST_DOMAIN = "example.com"

_ENTRY = re.compile(r"[ \t]*\[\[[ \t]*site[ \t]*\]\]")
_MOST_PROBLEMS = 20

KEY_FIELDS = frozenset({"write_key", "write_keys", "key_digests"})

_FIRST_FILE = """\
# The sites that may send events, each with its write key. A change is live within a
# few seconds; no restart is needed.

[[site]]
domain = "{domain}"
write_key = "{key}"
"""


def read_sites(path: Path) -> list[SiteRecord]:
    """Read all sites of a file.

    Raises:
        SitesFileError: With one line for every mistake.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise SitesFileError(
            [f"sites file {path} does not exist: write it, or correct `sites_file`"]
        ) from error
    except OSError as error:
        raise SitesFileError(
            [f"sites file {path} cannot be read: {error.strerror}"]
        ) from error
    except UnicodeDecodeError as error:
        raise SitesFileError([f"sites file {path} is not TOML: {error}"]) from error
    return parse_sites(text, name=f"sites file {path}")


def parse_sites(text: str, *, name: str) -> list[SiteRecord]:
    """Read all sites of a text.

    Args:
        text: What a sites file holds.
        name: How messages call it.

    Raises:
        SitesFileError: With one line for every mistake.
    """
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SitesFileError([f"{name} is not TOML: {error}"]) from error
    lines = enumerate(text.split("\n"), 1)
    begins = [number for number, line in lines if _ENTRY.match(line)]
    return _Reader(name, begins).read(table)


def convert_sites(table: Mapping[str, object], *, name: str) -> list[SiteRecord]:
    """Read all sites of what is a sites file in another format.

    Args:
        table: The file's only table, with the list `site`.
        name: How messages call it.

    Raises:
        SitesFileError: With one line for every mistake.
    """
    return _Reader(name, []).read(table)


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

    def __init__(self, name: str, lines: Sequence[int]) -> None:
        self._name = name
        self._lines = lines  # where each entry begins, as far as that is known
        self._problems: list[str] = []
        self._seen: dict[object, str] = {}  # domain, id or digest → entry that has it

    def read(self, table: Mapping[str, object]) -> list[SiteRecord]:
        for name in table.keys() - {"site"}:
            self._note(f"`{name}` is unknown: {did_you_mean(name, ['site'])}")
        entries = table.get("site", [])
        if not isinstance(entries, list) or not entries:
            self._note("has no site: add `[[site]]` with `domain` and `write_key`")
            entries = []
        sites = [self._site(entry, number) for number, entry in enumerate(entries, 1)]
        if self._problems:
            raise SitesFileError(_shorten(self._problems))
        return [site for site in sites if site]

    def _site(self, entry: object, number: int) -> SiteRecord | None:
        where = self._where(number)
        if not isinstance(entry, dict):
            self._note(f"{where}: is no table: write `[[site]]`")
            return None
        found = read_fields({"domain": None} | entry)
        for problem in found.problems:
            self._note(f"{where}: {problem}")
        if not (KEY_FIELDS & entry.keys() or found.values.get("consolidated")):
            self._note(f'{where}: has no write key: write_key = "{new_write_key()}"')
        if "domain" not in found.values:
            return None
        record = msgspec.structs.replace(SiteRecord(id=0, domain=""), **found.values)
        if not record.id:
            first_domain = record.former_domain or record.domain
            record = msgspec.structs.replace(record, id=derive_site_id(first_domain))
        self._claim_all(record, where)
        return record

    def _claim_all(self, record: SiteRecord, where: str) -> None:
        """Note what an earlier entry has already."""
        domain = bare_domain(record.domain)
        is_taken = self._claim(("domain", domain), where, f"the domain {domain}")
        if not is_taken:  # the same domain has the same number
            self._claim(("id", record.id), where, f"the id {record.id}")
        if record.former_domain:
            former = bare_domain(record.former_domain)
            self._claim(("former", former), where, f"the former domain {former}")
        for key in record.write_keys:
            self._claim(key.digest, where, "a write key")

    def _claim(self, value: object, where: str, what: str) -> bool:
        first = self._seen.setdefault(value, where)
        if first is not where:
            self._note(f"{where}: has {what} of {first}: each must have its own")
        return first is not where

    def _where(self, number: int) -> str:
        if number <= len(self._lines):
            return f"site {number} (line {self._lines[number - 1]})"
        return f"site {number}"

    def _note(self, problem: str) -> None:
        self._problems.append(f"{self._name}: {problem}")


def _shorten(problems: Sequence[str]) -> list[str]:
    """Return the first problems, and how many more there are."""
    shown = list(problems[:_MOST_PROBLEMS])
    if more := len(problems) - len(shown):
        shown.append(f"... and {more} more")
    return shown
