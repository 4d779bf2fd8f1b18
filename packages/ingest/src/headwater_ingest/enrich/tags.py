"""The tags of a campaign in the URL of a page, and the click ids of ad networks."""

from collections.abc import Mapping
from typing import Final, NamedTuple

CLICK_IDS: Final = ("gclid", "gbraid", "wbraid", "msclkid", "fbclid", "twclid")
"""Parameters that ad networks add, in the order in which they are looked for."""


class Tags(NamedTuple):
    """The tags of a URL; each is empty when it is not there.

    Attributes:
        source: The source as typed: `utm_source`, else `source`, else `ref`.
        medium: `utm_medium`.
        campaign: `utm_campaign`.
        content: `utm_content`.
        term: `utm_term`.
        click_id_param: The name of the first click id that is there.
    """

    source: str
    medium: str
    campaign: str
    content: str
    term: str
    click_id_param: str


NO_TAGS: Final = Tags("", "", "", "", "", "")
"""What a URL without parameters has."""


def read_tags(parameters: Mapping[str, str]) -> Tags:
    """Returns the tags among the parameters of a URL."""
    get = parameters.get
    return Tags(
        get("utm_source") or get("source") or get("ref") or "",
        get("utm_medium", ""),
        get("utm_campaign", ""),
        get("utm_content", ""),
        get("utm_term", ""),
        _first_click_id(parameters),
    )


def _first_click_id(parameters: Mapping[str, str]) -> str:
    for name in CLICK_IDS:
        if name in parameters:
            return name
    return ""
