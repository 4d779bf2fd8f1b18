"""The "did you mean" of our error messages."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the known word that was probably meant, else list them all.

    Args:
        word: What was written.
        known: What could have been written.

    Returns:
        The end of a sentence, such as ``did you mean `port`?``.
    """
    words = sorted(known)
    if close := get_close_matches(word, words, n=1):
        return f"did you mean `{close[0]}`?"
    return "known are " + ", ".join(f"`{each}`" for each in words)
