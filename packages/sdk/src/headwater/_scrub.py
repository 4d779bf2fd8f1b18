"""Secrets out of texts that nobody has looked at, such as messages of exceptions."""

from __future__ import annotations

import re
from typing import Final

REDACTED: Final = "[redacted]"
_MAX_CHARS: Final = 8192

# Nothing in these repeats without a bound where it could be tried from every place.
_URL_SECRET: Final = re.compile(
    r"(?P<before>[a-z][a-z0-9+.-]{0,20}://[^\s:/@]{0,256}:)[^\s@/]{1,256}(?=@)",
    re.IGNORECASE,
)
_NAMED_SECRET: Final = re.compile(
    r"""(?P<before>
        (?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|authorization
               |credential|cookie|private[_-]?key|access[_-]?key)[\w-]{0,40}
        ["']?\s*(?:=>|[:=])\s*
        (?:bearer\s+|basic\s+)?
    )
    (?: "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | [^\s,;&)}\]]+ )""",
    re.IGNORECASE | re.VERBOSE,
)
_BEARER: Final = re.compile(
    r"(?P<before>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.IGNORECASE
)


def scrub(text: str) -> str:
    """Returns `text` without what looks like a secret, and no longer than 8,192.

    Passwords in URLs, values of names such as `password`, `token` or `api_key`, and
    bearer tokens are replaced by `[redacted]`. No pattern finds every secret.
    """
    text = text[:_MAX_CHARS]
    for pattern in (_URL_SECRET, _NAMED_SECRET, _BEARER):
        text = pattern.sub(rf"\g<before>{REDACTED}", text)
    return text
