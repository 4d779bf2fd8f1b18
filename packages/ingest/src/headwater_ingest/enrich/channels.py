"""Acquisition channels: the rules that name the way a visit came, first match first.

They are those that Google published for GA4's default channel group, in the order that
Plausible's database applies them (profile of June 2026).
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

from headwater_ingest.enrich.sources import Category, SourceTable


class Channel(StrEnum):
    """The acquisition channels."""

    CROSS_NETWORK = "Cross-network"
    DISPLAY = "Display"
    PAID_SHOPPING = "Paid Shopping"
    PAID_SEARCH = "Paid Search"
    PAID_SOCIAL = "Paid Social"
    PAID_VIDEO = "Paid Video"
    PAID_OTHER = "Paid Other"
    ORGANIC_SHOPPING = "Organic Shopping"
    ORGANIC_SOCIAL = "Organic Social"
    ORGANIC_VIDEO = "Organic Video"
    AI_ASSISTANTS = "AI Assistants"
    ORGANIC_SEARCH = "Organic Search"
    EMAIL = "Email"
    AFFILIATES = "Affiliates"
    AUDIO = "Audio"
    SMS = "SMS"
    PUSH = "Mobile Push Notifications"
    REFERRAL = "Referral"
    DIRECT = "Direct"


class Visit(NamedTuple):
    """What is known of the way a visit came; each is empty when it is not.

    Attributes:
        source: The source as it is stored.
        medium: The tag `utm_medium`.
        campaign: The tag `utm_campaign`.
        tag: The tag `utm_source`.
        click_id_param: The name of the click id.
    """

    source: str = ""
    medium: str = ""
    campaign: str = ""
    tag: str = ""
    click_id_param: str = ""


class _Facts(NamedTuple):
    """What the rules look at, all texts in lower case."""

    source: str
    category: Category | None
    medium: str
    campaign: str
    tag: str
    click_id: str
    paid_medium: bool
    paid: bool

    def is_of(self, category: Category) -> bool:
        return self.category is category

    def is_shopping(self) -> bool:
        found = _SHOPPING_CAMPAIGN.search(self.campaign)
        return self.is_of(Category.SHOPPING) or found is not None

    def is_paid_search(self) -> bool:
        searched = self.paid and self.is_of(Category.SEARCH)
        return searched or (self.source, self.click_id) in _PAID_CLICKS

    def is_email(self) -> bool:
        return any(word in self.tag or word in self.medium for word in _EMAIL_WORDS)

    def is_push(self) -> bool:
        return (
            self.medium.endswith("push")
            or "mobile" in self.medium
            or "notification" in self.medium
            or self.source == "firebase"
        )


_SHOPPING_CAMPAIGN: Final = re.compile(r"(?:[^a-df-z]|^)shop|shopping", re.DOTALL)
_PAID_CLICKS: Final = frozenset({("google", "gclid"), ("bing", "msclkid")})
_DISPLAY_MEDIA: Final = frozenset(
    {"display", "banner", "expandable", "interstitial", "cpm"}
)
_SOCIAL_MEDIA: Final = frozenset(
    {"social", "social-network", "social-media", "sm", "social network", "social media"}
)
_REFERRAL_MEDIA: Final = frozenset({"referral", "app", "link"})
_EMAIL_WORDS: Final = ("email", "e-mail", "e_mail", "e mail", "newsletter")

_RULES: Final[tuple[tuple[Channel, Callable[[_Facts], bool]], ...]] = (
    (Channel.CROSS_NETWORK, lambda f: "cross-network" in f.campaign),
    (Channel.DISPLAY, lambda f: f.medium in _DISPLAY_MEDIA),
    (Channel.PAID_SHOPPING, lambda f: f.paid_medium and f.is_shopping()),
    (Channel.PAID_SEARCH, _Facts.is_paid_search),
    (Channel.PAID_SOCIAL, lambda f: f.paid and f.is_of(Category.SOCIAL)),
    (Channel.PAID_VIDEO, lambda f: f.paid and f.is_of(Category.VIDEO)),
    (Channel.PAID_OTHER, lambda f: f.paid_medium),
    (Channel.ORGANIC_SHOPPING, _Facts.is_shopping),
    (
        Channel.ORGANIC_SOCIAL,
        lambda f: f.is_of(Category.SOCIAL) or f.medium in _SOCIAL_MEDIA,
    ),
    (Channel.ORGANIC_VIDEO, lambda f: f.is_of(Category.VIDEO) or "video" in f.medium),
    (Channel.AI_ASSISTANTS, lambda f: f.is_of(Category.AI)),
    (Channel.ORGANIC_SEARCH, lambda f: f.is_of(Category.SEARCH)),
    (Channel.EMAIL, lambda f: f.is_of(Category.EMAIL) or f.is_email()),
    (Channel.AFFILIATES, lambda f: f.medium == "affiliate"),
    (Channel.AUDIO, lambda f: f.medium == "audio"),
    (Channel.SMS, lambda f: "sms" in {f.tag, f.medium}),
    (Channel.PUSH, _Facts.is_push),
    (Channel.REFERRAL, lambda f: bool(f.source) or f.medium in _REFERRAL_MEDIA),
)


def find_channel(visit: Visit, table: SourceTable) -> Channel:
    """Returns the channel of a visit.

    Args:
        visit: What is known of it.
        table: Tells the category of sources and which tags are paid ones.
    """
    facts = _find_facts(visit, table)
    for channel, holds in _RULES:
        if holds(facts):
            return channel
    return Channel.DIRECT


def _find_facts(visit: Visit, table: SourceTable) -> _Facts:
    medium = visit.medium.lower()
    paid_medium = _is_paid_medium(medium)
    return _Facts(
        visit.source.lower(),
        table.category_of(visit.source),
        medium,
        visit.campaign.lower(),
        visit.tag.lower(),
        visit.click_id_param,
        paid_medium,
        paid_medium or table.is_paid(visit.tag),
    )


def _is_paid_medium(medium: str) -> bool:
    return (
        "cp" in medium or medium.startswith("paid") or medium in {"ppc", "retargeting"}
    )
