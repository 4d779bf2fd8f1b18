"""The salts of the days: how all nodes come to have the same one, and when it is gone.

A visitor's id is a hash under the salt of the UTC day; the salt of yesterday is looked
up too, for visits over midnight. When a day is two days past, nobody has its salt any
more, and nobody can tell who its visitors were.

    12:00 of the day before   a node that sees no salt for tomorrow writes one to the
                              shared table, after a random delay of up to a minute
    then, every half minute   all nodes read the table, where one rule says which salt
                              of a day counts; it may still change
    23:55                     what a node has for tomorrow is fixed
    00:00                     it is today's
    00:00, a day later        it is yesterday's
    00:00, two days later     it is gone

A day that has begun without a salt in the table, as on the first start of a fleet, gets
one at once. It is fixed a moment later, when nodes that start together have read it
again. While the table is away, a node makes a salt of its own for today, which the
shared one replaces.

Nothing here does I/O. The loop owns a `Salts`; look-ups are two accesses to a dict.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from headwater_ingest.visitors.user_id import SALT_BYTES

DAY_MS: Final = 24 * 60 * 60 * 1000
AGREE_MS: Final = 2_000
"""How long after writing a salt for today a node reads it again."""

_CREATE_MS: Final = DAY_MS // 2
_FIX_BEFORE_MS: Final = 5 * 60 * 1000
_SETTLE_MS: Final = 2 * AGREE_MS

Day = int
"""A UTC day, in days since 1970-01-01."""


class DaySalt(msgspec.Struct, frozen=True):
    """The salt that this node has for a day.

    Attributes:
        day: The day.
        salt: 16 random bytes.
        is_local: No other node has it.
        fixed_at_ms: From when on it does not change any more.
    """

    day: Day
    salt: bytes
    is_local: bool
    fixed_at_ms: int


class Salts:
    """The salts that this node has. Owned by the loop."""

    def __init__(
        self,
        known: Iterable[DaySalt] = (),
        *,
        delay_ms: int | None = None,
        make_salt: Callable[[], bytes] = lambda: secrets.token_bytes(SALT_BYTES),
    ) -> None:
        """Begins with what is known.

        Args:
            known: What this node had when it was last running.
            delay_ms: How long after noon it makes tomorrow's salt, should there be
                none; random by default, so that the nodes do not all do it.
            make_salt: Makes a new salt.
        """
        self._by_day = {each.day: each for each in known}
        self._delay_ms = secrets.randbelow(60_000) if delay_ms is None else delay_ms
        self._make_salt = make_salt

    @property
    def known(self) -> tuple[DaySalt, ...]:
        """What is to be kept for the next start."""
        return tuple(self._by_day.values())

    def take_over(self, known: Iterable[DaySalt]) -> None:
        """Have what the service has that this process works for, and nothing else."""
        self._by_day = {each.day: each for each in known}

    def current(self, now_ms: int) -> bytes:
        """Return the salt of today; a local one, if there is no other."""
        day = now_ms // DAY_MS
        found = self._by_day.get(day)
        if found is None:
            found = DaySalt(day, self._make_salt(), is_local=True, fixed_at_ms=now_ms)
            self._by_day[day] = found
        return found.salt

    def previous(self, now_ms: int) -> bytes | None:
        """Return the salt of yesterday, if it is known."""
        found = self._by_day.get(now_ms // DAY_MS - 1)
        return found.salt if found else None

    def is_shared(self, now_ms: int) -> bool:
        """Whether other nodes tell today's visitors apart by the same salt."""
        found = self._by_day.get(now_ms // DAY_MS)
        return found is not None and not found.is_local

    def adopt(self, shared: Mapping[Day, bytes], *, now_ms: int) -> None:
        """Take over what the table says, where this node's salt is not fixed.

        Args:
            shared: The salt that counts, by day.
            now_ms: The time.
        """
        for day, salt in shared.items():
            if not self._is_needed(day, now_ms=now_ms):
                continue
            have = self._by_day.get(day)
            if have is None or have.is_local:
                fixed_at_ms = max(day * DAY_MS - _FIX_BEFORE_MS, now_ms + _SETTLE_MS)
                adopted = DaySalt(day, salt, is_local=False, fixed_at_ms=fixed_at_ms)
                self._by_day[day] = adopted
            elif have.salt != salt and now_ms < have.fixed_at_ms:
                self._by_day[day] = msgspec.structs.replace(have, salt=salt)

    def offers(self, *, now_ms: int) -> dict[Day, bytes]:
        """Return what is to be written to the table where it has no salt for a day.

        What this node has goes first, a local salt too: visitors keep their ids then.
        """
        today, time_ms = divmod(now_ms, DAY_MS)
        is_afternoon = time_ms >= _CREATE_MS + self._delay_ms
        days = (today, today + 1) if is_afternoon else (today,)
        return {day: self._offer(day) for day in days}

    def forget(self, *, now_ms: int) -> None:
        """Drop the salts of all days but yesterday, today and tomorrow."""
        self._by_day = {
            day: salt
            for day, salt in self._by_day.items()
            if self._is_needed(day, now_ms=now_ms)
        }

    def _offer(self, day: Day) -> bytes:
        have = self._by_day.get(day)
        return have.salt if have else self._make_salt()

    def _is_needed(self, day: Day, *, now_ms: int) -> bool:
        return abs(day - now_ms // DAY_MS) <= 1
