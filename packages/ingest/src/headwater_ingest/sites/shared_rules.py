"""Rules that several sites have, held once for as long as one of them has them."""

import hashlib
from collections.abc import Callable
from typing import Final, Generic, TypeVar
from weakref import WeakValueDictionary

Rules = TypeVar("Rules")

_DIGEST_BYTES: Final = 16  # fit for what one service has: no two lists have the same


class SharedRules(Generic[Rules]):
    """Makes rules of their texts, and returns the same ones for the same texts."""

    def __init__(self, make: Callable[[tuple[str, ...]], Rules]) -> None:
        """Begin with none.

        Args:
            make: Makes rules, which nobody may change.
        """
        self._make = make
        # By a digest: the texts themselves would take as much memory as the rules.
        self._held: WeakValueDictionary[bytes, Rules] = WeakValueDictionary()

    def get(self, texts: tuple[str, ...]) -> Rules:
        """Return the rules that are written so."""
        key = hashlib.blake2b(repr(texts).encode(), digest_size=_DIGEST_BYTES).digest()
        rules = self._held.get(key)
        if rules is None:
            rules = self._held[key] = self._make(texts)
        return rules
