"""The fields of a web event, as the Plausible tracker sends them.

Each has several names; the first that is neither absent, null nor false counts. All
faults of a request are collected, by the field's name in the answer.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from headwater_ingest.enrich.currency import read_money
from headwater_ingest.enrich.url import read_hash_page, read_page, split_url
from headwater_ingest.http.plausible_props import (
    NO_PROPS,
    WITH_PATH,
    Faults,
    fits,
    read_props,
    read_props_object,
)
from headwater_ingest.pipeline.web.request import ENGAGEMENT, WebFields

MAX_NAME_CHARS: Final = 120
MAX_URL_BYTES: Final = 2000
MAX_REFERRER_CHARS: Final = 2000
MAX_ENGAGEMENT_MS: Final = 30 * 24 * 3600 * 1000
NO_SCROLL_DEPTH: Final = 255

_SYSTEM_EVENTS: Final = frozenset(
    {
        "pageview",
        ENGAGEMENT,
        "Outbound Link: Click",
        "Cloaked Link: Click",
        "File Download",
        "404",
        "WP Form Completions",
        "Form: Submission",
    }
)
_MAX_DOMAINS: Final = 100
"""What comes after so many in a list is not looked at."""

_MAX_CODE_POINTS: Final = 16 * MAX_NAME_CHARS
_CONTINUING: Final = re.compile(
    # Joiners, vowels and finals of Hangul, tones of skin, tags of regional flags.
    "[\u200c\u200d\u1160-\u11ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
)
_MAX_DIGITS: Final = 18
_MAX_VERSION: Final = 10**_MAX_DIGITS
FORBIDDEN_SCHEME: Final = "data:"
_NO_ENGAGEMENT: Final = (
    "engagement event requires a valid integer value for at least one of 'sd' or 'e' "
    "fields"
)


def read_fields(body: Mapping[str, Any]) -> WebFields | Faults:
    """Returns the fields of a request, or what is wrong with it by field."""
    faults: Faults = {}
    name = _read_name(_first(body, "n", "name"), faults)
    url = _read_url(_first(body, "u", "url"), faults)
    domains = _read_domains(_first(body, "d", "domain"), url, faults)
    uses_hash = _read_hash_mode(_first(body, "h", "hashMode"), faults)
    scroll_depth, engagement_time = _read_engagement(body, name, faults)
    page = (read_hash_page if uses_hash else read_page)(url)
    if not page.pathname and "url" not in faults:
        faults["pathname"] = ["can't be blank"]
    sent = _first(body, "m", "meta")
    sent = read_props_object(_first(body, "p", "props") if sent is None else sent)
    props, truncated = NO_PROPS
    if sent or name in WITH_PATH:
        props, truncated = read_props(sent, name=name, page=page, faults=faults)
    if faults:
        return faults
    return WebFields(
        name=name,
        url=url,
        page=page,
        domains=domains,
        referrer=cut_referrer(_first(body, "r", "referrer")),
        props=props,
        truncated_props=truncated,
        money=read_money(_first(body, "revenue", "$")),
        is_interactive=_is_interactive(body, name),
        scroll_depth=scroll_depth,
        engagement_time_ms=engagement_time,
        script_version=read_version(body.get("v")),
    )


def _first(body: Mapping[str, Any], name: str, other: str) -> Any:
    value = body.get(name)
    if value is None or value is False:
        value = body.get(other)
    return None if value is False else value


def _read_name(value: object, faults: Faults) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        faults["event_name"] = ["can't be blank"]
    elif not isinstance(value, str):
        faults["event_name"] = ["is invalid"]
    elif _count_characters(value) > MAX_NAME_CHARS:
        faults["event_name"] = [f"should be at most {MAX_NAME_CHARS} character(s)"]
    else:
        return value
    return ""


def _count_characters(text: str) -> int:
    """Counts what a reader takes for characters, nearly as Unicode's Annex 29 does."""
    if not MAX_NAME_CHARS < len(text) <= _MAX_CODE_POINTS:
        return len(text)
    count, letters, is_joined = 0, 0, False
    for char in text:
        # Two letters of a flag are one character.
        letters = letters + 1 if "\U0001f1e6" <= char <= "\U0001f1ff" else 0
        is_second = letters > 0 and letters % 2 == 0
        count += not (is_joined or is_second or _continues(char))
        is_joined = char == "\u200d"
    return count


def _continues(char: str) -> bool:
    """Whether it is a part of the character before it: an accent, a tone of skin."""
    is_mark = unicodedata.category(char).startswith("M")
    return is_mark or _CONTINUING.fullmatch(char) is not None


def _read_url(value: object, faults: Faults) -> str:
    if value is None:
        faults["url"] = ["is required"]
    elif not isinstance(value, str) or not fits(value, MAX_URL_BYTES):
        faults["url"] = ["must be a valid url"]
    elif value[: len(FORBIDDEN_SCHEME)].lower() == FORBIDDEN_SCHEME:
        faults["url"] = ["scheme is not allowed"]
    else:
        return value
    return ""


def _read_domains(value: object, url: str, faults: Faults) -> tuple[str, ...]:
    """Returns the domains, each once; without any, the host of the URL."""
    if isinstance(value, str) and (text := value.strip()):
        if "," not in text:
            return (clean_domain(text),)
        parts = text.split(",", _MAX_DOMAINS)[:_MAX_DOMAINS]
        return tuple(dict.fromkeys(map(clean_domain, parts)))
    host = None if isinstance(value, str) else split_url(url).host
    if host is None:
        faults["domain"] = ["can't be blank"]
        return ()
    return (clean_domain(host),)


def clean_domain(name: str) -> str:
    """Returns the domain of a site as it is looked up."""
    return name.strip().lower().removeprefix("www.")


def _read_hash_mode(value: object, faults: Faults) -> bool:
    if value is None:
        return False
    if isinstance(value, str):
        value = _read_integer(value)
    if not isinstance(value, int) or isinstance(value, bool):
        faults["hash_mode"] = ["is invalid"]
        return False
    return value == 1


def _read_integer(text: str) -> int | None:
    digits = text[1:] if text.startswith(("-", "+")) else text
    is_integer = digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS
    return int(text) if is_integer else None


def _read_engagement(
    body: Mapping[str, Any], name: str, faults: Faults
) -> tuple[int, int]:
    """Returns scroll depth and time, which only an engagement has."""
    if name != ENGAGEMENT:
        return 0, 0
    depth, time = _read_count(body.get("sd")), _read_count(body.get("e"))
    scroll_depth = NO_SCROLL_DEPTH if depth is None else min(depth, 100)
    engagement_time = time if time is not None and time < MAX_ENGAGEMENT_MS else 0
    if scroll_depth == NO_SCROLL_DEPTH and not engagement_time:
        faults["event_name"] = [_NO_ENGAGEMENT]
    return scroll_depth, engagement_time


def _read_count(value: object) -> int | None:
    """Returns a number from 0 up, or None; one of very many digits is cut."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdecimal()):
            return None
        return int(value.lstrip("0")[:_MAX_DIGITS] or "0")
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return None
    return value


def read_version(value: object) -> int:
    """Returns a version of the tracker; whatever is no integer is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if abs(value) < _MAX_VERSION else 0


def cut_referrer(value: object) -> str:
    """Returns a referrer; empty if there is none."""
    return value[:MAX_REFERRER_CHARS] if isinstance(value, str) else ""


def _is_interactive(body: Mapping[str, Any], name: str) -> bool:
    if name in _SYSTEM_EVENTS:
        return True
    return body.get("i") is not False and body.get("interactive") is not False
