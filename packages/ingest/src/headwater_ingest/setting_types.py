"""What settings are made of: their special types, and the rules for their values."""

from msgspec import Meta


class Networks(tuple[str, ...]):
    """Some addresses and networks, as texts that spell them."""

    __slots__ = ()


class Secret(str):
    """A text that is never shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def setting(meaning: str, *, expected: str) -> Meta:
    """Describes a setting that takes what `expected` says."""
    return Meta(description=meaning, extra={"expected": expected})


def whole(meaning: str, *, ge: int, le: int | None = None) -> Meta:
    """Describes a whole number, both bounds included."""
    bounds = f"from {ge} up" if le is None else f"from {ge} to {le}"
    expected = {"expected": f"a whole number {bounds}"}
    return Meta(description=meaning, ge=ge, le=le, extra=expected)


def seconds(meaning: str, *, ge: float = 0, le: float = 3600) -> Meta:
    """Describes a time in seconds, both bounds included."""
    expected = {"expected": f"seconds from {ge} to {le}"}
    return Meta(description=meaning, ge=ge, le=le, extra=expected)


def share(meaning: str) -> Meta:
    """Describes a part of a whole, from 0 to 1."""
    expected = {"expected": "a number from 0 to 1"}
    return Meta(description=meaning, ge=0, le=1, extra=expected)
