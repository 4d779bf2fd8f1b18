"""All sites as they are written down, and what each change of them would write.

Nothing is written here: a method returns the new records, or raises and changes
nothing. A site that a sites file keeps is changed in that file and by nothing else.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from headwater_ingest.errors import (
    InvalidSiteError,
    SiteExistsError,
    SiteKeptInFileError,
    UnknownSiteError,
)
from headwater_ingest.sites.fields import read_fields
from headwater_ingest.sites.model import bare_domain, derive_site_id
from headwater_ingest.sites.record import SiteRecord, WriteKey
from headwater_ingest.suggest import did_you_mean

_HOUR_MS: Final = 60 * 60 * 1000
_LISTED: Final = 20
_SHOWN_CHARS: Final = 100


class SiteBook:
    """The records of all sites at one moment, removed ones included."""

    def __init__(self, records: Iterable[SiteRecord], *, now_ms: int) -> None:
        self._by_id = {record.id: record for record in records}
        self._now_ms = now_ms

    @property
    def sites(self) -> list[SiteRecord]:
        """The records that are not removed, by domain."""
        live = [each for each in self._by_id.values() if not each.removed]
        return sorted(live, key=lambda record: record.domain)

    def find(self, domain: str) -> SiteRecord:
        """Return the record of a site.

        Raises:
            UnknownSiteError: There is none of this name.
        """
        bare = bare_domain(domain)
        for record in self.sites:
            if bare_domain(record.domain) == bare:
                return record
        known = [record.domain for record in self.sites]
        hint = f": {did_you_mean(domain, known)}" if 0 < len(known) <= _LISTED else ""
        raise UnknownSiteError(f"there is no site {domain[:_SHOWN_CHARS]}{hint}")

    def add(
        self,
        given: Mapping[str, object],
        *,
        new_id: Callable[[], int] = lambda: secrets.randbits(63) + 1,
    ) -> SiteRecord:
        """Return the record of a new site.

        Args:
            given: Its fields as they were written.
            new_id: Chooses a number when the one of the domain is taken.

        Raises:
            InvalidSiteError: A field is wrong.
            SiteExistsError: There is such a site.
        """
        values = _read(given)
        domain = values.get("domain")
        if domain is None:
            raise InvalidSiteError(['give `domain` as a host name: "example.com"'])
        if any(bare_domain(each.domain) == bare_domain(domain) for each in self.sites):
            raise SiteExistsError(f"there is a site {domain} already: edit it")
        values.setdefault("id", self._choose_id(domain, new_id))
        self._check_id(values["id"])
        record = msgspec.structs.replace(SiteRecord(id=0, domain=domain), **values)
        return self._finish(record)

    def edit(self, domain: str, given: Mapping[str, object]) -> SiteRecord:
        """Return the record of a site with some fields changed.

        A site that gets a new domain keeps its number, its events, and the old domain
        as its former one.

        Raises:
            UnknownSiteError: There is no such site.
            SiteKeptInFileError: It is not changed here.
            InvalidSiteError: A field is wrong.
        """
        record = self._find_free(domain)
        values = _read(given)
        if values.get("id", record.id) != record.id:
            raise InvalidSiteError(
                ["`id` cannot change: the events of the site bear it"]
            )
        if values.get("domain", record.domain) != record.domain:
            values.setdefault("former_domain", record.domain)
        return self._finish(msgspec.structs.replace(record, **values))

    def rotate_key(
        self, domain: str, new_key: str, *, overlap_hours: float
    ) -> SiteRecord:
        """Return the record of a site with a new key, the old ones coming to their end.

        Raises:
            UnknownSiteError: There is no such site.
            SiteKeptInFileError: It is not changed here.
        """
        record = self._find_free(domain)
        end_ms = self._now_ms + round(overlap_hours * _HOUR_MS)
        old = [_end_by(key, end_ms) for key in record.write_keys]
        keys = (WriteKey.of(new_key), *old)
        return self._finish(msgspec.structs.replace(record, write_keys=keys))

    def remove(self, domain: str) -> SiteRecord:
        """Return the record that says that a site is none any more.

        Raises:
            UnknownSiteError: There is no such site.
            SiteKeptInFileError: It is not changed here.
        """
        return self._removed(self._find_free(domain))

    def release(self, domain: str) -> SiteRecord:
        """Return the record of a site without the file that kept it.

        Raises:
            UnknownSiteError: There is no such site.
        """
        return self._finish(msgspec.structs.replace(self.find(domain), kept_in=""))

    def apply(
        self,
        wanted: Sequence[SiteRecord],
        *,
        file: str,
        dropped: Collection[int] | None = None,
    ) -> list[SiteRecord]:
        """Return what must be written so that a sites file is the truth.

        Args:
            wanted: Every site of the file.
            file: The file, as `kept_in` names it.
            dropped: Sites that were in the file before. Of those that it keeps, the
                ones it no longer names are removed: all, or only these.

        Raises:
            InvalidSiteError: A site cannot be had beside one that is kept elsewhere.
        """
        wanted = [msgspec.structs.replace(each, kept_in=file) for each in wanted]
        named = {record.id for record in wanted}
        gone = [
            self._removed(record)
            for record in self.sites
            if record.kept_in == file
            and record.id not in named
            and (dropped is None or record.id in dropped)
        ]
        after = {each.id: each for each in self.sites}
        for each in (*gone, *wanted):
            after[each.id] = each
        problems = [*self._find_split(wanted), *_find_clashes(after.values(), named)]
        if problems:
            raise InvalidSiteError(problems)
        changed = [each for each in wanted if self._is_news(each)]
        return [*gone, *map(self._stamp, changed)]

    def _find_free(self, domain: str) -> SiteRecord:
        """Return the record of a site that may be changed here."""
        record = self.find(domain)
        if record.kept_in:
            raise SiteKeptInFileError(
                f"{record.domain} is kept in {record.kept_in}: change it there, or let "
                f"it go from there with `headwater-ingest sites release "
                f"{record.domain}`"
            )
        return record

    def _choose_id(self, domain: str, new_id: Callable[[], int]) -> int:
        """Return a new site's number: that of a removed one of its name, if any."""
        for record in self._by_id.values():
            if record.removed and record.domain == domain:
                return record.id
        derived = derive_site_id(domain)
        return new_id() if derived in self._by_id else derived

    def _check_id(self, site_id: int) -> None:
        holder = self._by_id.get(site_id)
        if holder and not holder.removed:
            raise InvalidSiteError([f"`id`: {holder.domain} has the number {site_id}"])

    def _finish(self, record: SiteRecord) -> SiteRecord:
        """Check a record against the others, and make it the one that counts."""
        after = {each.id: each for each in self.sites} | {record.id: record}
        if problems := _find_clashes(after.values(), {record.id}):
            raise InvalidSiteError(problems)
        valid = tuple(key for key in record.write_keys if self._is_valid(key))
        return self._stamp(msgspec.structs.replace(record, write_keys=valid))

    def _removed(self, record: SiteRecord) -> SiteRecord:
        return self._stamp(
            msgspec.structs.replace(record, removed=True, write_keys=(), kept_in="")
        )

    def _stamp(self, record: SiteRecord) -> SiteRecord:
        """Return a record that is newer than the one it takes the place of.

        The clocks of two nodes may differ, so the time alone does not do.
        """
        before = self._by_id.get(record.id)
        version = max(self._now_ms, before.version + 1 if before else 0)
        return msgspec.structs.replace(record, version=version)

    def _is_news(self, record: SiteRecord) -> bool:
        before = self._by_id.get(record.id)
        return before is None or record.differs_from(before)

    def _is_valid(self, key: WriteKey) -> bool:
        return key.valid_until_ms is None or key.valid_until_ms > self._now_ms

    def _find_split(self, wanted: Iterable[SiteRecord]) -> list[str]:
        """Find sites that are known under another number, and would lose their past."""
        ids = {record.domain: record.id for record in self.sites}
        return [
            f"{record.domain}: its events are under the number {known}: add "
            f"`id = {known}`"
            for record in wanted
            if record.id not in self._by_id
            for known in [ids.get(record.domain) or ids.get(record.former_domain)]
            if known
        ]


def _read(given: Mapping[str, object]) -> dict[str, Any]:
    found = read_fields(given)
    if found.problems:
        raise InvalidSiteError(found.problems)
    return found.values


def _end_by(key: WriteKey, end_ms: int) -> WriteKey:
    """Return a key that ends then, if it does not end before."""
    before = key.valid_until_ms
    return WriteKey(key.digest, end_ms if before is None else min(before, end_ms))


def _find_clashes(records: Iterable[SiteRecord], changed: Collection[int]) -> list[str]:
    """Find domains and keys that a changed site would share with another one."""
    live = [record for record in records if not record.removed]
    holders: Counter[tuple[str, str]] = Counter()
    for record in live:
        holders.update(_claims(record))
    return [
        f"{record.domain}: {what} belongs to another site"
        for record in live
        if record.id in changed
        for kind, value in _claims(record)
        if holders[kind, value] > 1
        for what in [kind if kind == "a write key" else f"{kind} {value}"]
    ]


def _claims(record: SiteRecord) -> set[tuple[str, str]]:
    """Return what no other site may have."""
    claims = {("a write key", key.digest) for key in record.write_keys}
    claims.add(("the domain", bare_domain(record.domain)))
    if record.former_domain:
        claims.add(("the former domain", bare_domain(record.former_domain)))
    return claims
