"""Referrers: which page, or which Android app, a visitor came from."""

from typing import Final, NamedTuple

from headwater_ingest.enrich.sources import ANDROID_APP
from headwater_ingest.enrich.url import split_url

_SCHEMES: Final = frozenset({"http", "https", ANDROID_APP})


class Referrer(NamedTuple):
    """A valid referrer.

    Attributes:
        scheme: `http`, `https` or `android-app`.
        host: In lower case without a leading `www.`; for an app its package.
        path: As sent, without slashes at its end.
    """

    scheme: str
    host: str
    path: str

    @property
    def text(self) -> str:
        """The referrer as it is stored, without query and fragment."""
        return self.source + self.path

    @property
    def source(self) -> str:
        """What its source is called when no table knows better."""
        app = self.scheme == ANDROID_APP
        return f"{ANDROID_APP}://{self.host}" if app else self.host


def read_referrer(referrer: str) -> Referrer | None:
    """Returns a referrer as the browser sent it, or None if it is none from outside."""
    parts = split_url(referrer)
    host = parts.hostname
    if parts.scheme not in _SCHEMES or host in {"", "localhost"}:
        return None
    return Referrer(parts.scheme, host, parts.path.rstrip("/"))
