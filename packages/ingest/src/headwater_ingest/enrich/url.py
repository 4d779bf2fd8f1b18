"""URLs, split as RFC 3986, appendix B, does it: anything is a URL, nothing raises.

    https://user@www.Example.com:8080/a%20b?q=1#top
    scheme       host                path   query fragment

A URL longer than `MAX_URL_CHARS` is cut before it is read, so that work is bounded.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from headwater_schema.values import clean_text

NO_HOSTNAME: Final = "(none)"
MAX_URL_CHARS: Final = 2000
_PARTS: Final = re.compile(
    r"(?:([^:/?#]+):)?"
    r"(?://([^/?#]*))?"
    r"([^?#]*)"
    r"(?:\?([^#]*))?"
    r"(?:\#(.*))?",
    re.DOTALL,
)
# Of most URLs this says the same in a third of the time.
_USUAL: Final = re.compile(r"https?://([a-z0-9.-]+)(?::[0-9]*)?(/[^?#]*)?(?=[?#]|\Z)")


class UrlParts(NamedTuple):
    """The parts of a URL.

    Attributes:
        scheme: In lower case, None when there is none.
        host: In lower case, without user, port, brackets and blanks around it. Empty
            for an empty authority (`file:///x`), None when there is no authority.
        path: As sent, maybe empty.
        query: As sent, without the question mark. None when there is none.
        fragment: As sent, without the hash. None when there is none.
    """

    scheme: str | None
    host: str | None
    path: str
    query: str | None
    fragment: str | None

    @property
    def hostname(self) -> str:
        """The host without a leading `www.`; empty when there is none."""
        return (self.host or "").removeprefix("www.")


class Page(NamedTuple):
    """The page an event happened on.

    Attributes:
        hostname: The host without a leading `www.`, or `(none)`.
        pathname: The path, percent-decoded; `/` where the URL has none.
    """

    hostname: str
    pathname: str


def split_url(url: str) -> UrlParts:
    """Returns the parts of `url`."""
    match = _PARTS.match(url, 0, MAX_URL_CHARS)
    if match is None:  # pragma: no cover  # every part of the pattern is optional
        raise AssertionError(url)
    scheme, authority, path, query, fragment = match.groups()
    return UrlParts(
        scheme and scheme.lower(),
        authority and _read_host(authority),
        path,
        query,
        fragment,
    )


def read_page(url: str) -> Page:
    """Returns the page that `url` names, without its fragment."""
    usual = _USUAL.match(url, 0, MAX_URL_CHARS)
    if usual is None:
        return _make_page(split_url(url))
    host, path = usual.groups("/")
    return Page(host.removeprefix("www.") or NO_HOSTNAME, _decode(path).rstrip())


def read_hash_page(url: str) -> Page:
    """Returns the page that `url` names, for a site that routes by fragment."""
    parts = split_url(url)
    page = _make_page(parts)
    if parts.fragment is None:
        return page
    return page._replace(pathname=f"{page.pathname}#{_decode(parts.fragment)}")


def read_query(query: str | None) -> dict[str, str]:
    """Returns the form-decoded parameters; of a repeated one the last."""
    parameters = {}
    for part in (query or "").split("&"):
        name, _, value = part.partition("=")
        parameters[_decode_form(name)] = _decode_form(value)
    return parameters


def _make_page(parts: UrlParts) -> Page:
    return Page(parts.hostname or NO_HOSTNAME, _decode(parts.path or "/").rstrip())


def _read_host(authority: str) -> str:
    host = authority.rpartition("@")[2]
    if host.startswith("[") and "]" in host:
        host = host[1:].partition("]")[0]
    else:
        host = host.partition(":")[0].strip("[]")
    return host.strip().lower()


def _decode_form(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    return _decode(text)


def _decode(text: str) -> str:
    """Decodes percents, which can hide what no text may have."""
    return clean_text(unquote(text)) if "%" in text else text
