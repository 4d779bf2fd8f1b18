"""The "did you mean" of our error messages."""

from collections.abc import Iterable
from difflib import get_close_matches


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
    if close := get_close_matches(word.removeprefix(prefix), words, n=1):
        return f"did you mean `{words[close[0]]}`?"
    return "known are " + ", ".join(f"`{each}`" for each in words.values())
