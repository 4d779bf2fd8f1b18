"""The "did you mean" of our error messages."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Final

_CLOSE: Final = 0.6


def did_you_mean(word: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Name the known word that was probably meant, else list them all.

    Args:
        word: What was written.
        known: What could have been written.
        prefix: How all of them begin, which says nothing about their likeness.

    Returns:
        The end of a sentence, such as ``did you mean `port`?``.
    """
    words = {each.removeprefix(prefix): each for each in sorted(known)}
    bare = word.removeprefix(prefix)
    likeness, closest = max((_compare(bare, each), each) for each in words)
    if likeness >= _CLOSE:
        return f"did you mean `{words[closest]}`?"
    return "known are " + ", ".join(f"`{each}`" for each in words.values())


def _compare(word: str, known: str) -> float:
    """Return how alike two words are, leaving out the labels in which domains end."""
    labels, others = word.split("."), known.split(".")
    while len(labels) > 1 and len(others) > 1 and labels[-1] == others[-1]:
        del labels[-1], others[-1]
    return SequenceMatcher(None, ".".join(others), ".".join(labels)).ratio()
