import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.enrich.channels import Channel, Visit, find_channel
from headwater_ingest.enrich.sources_file import packaged_sources

TEXT = st.sampled_from(["", "Google", "email", "cpc", "shop", "Reddit"]) | st.text(
    st.characters(codec=None)
)


def channel_of(visit: Visit) -> Channel:
    return find_channel(visit, packaged_sources())


@pytest.mark.parametrize(
    "visit, channel",
    [
        (Visit(), "Direct"),
        (Visit(campaign="My-Cross-Network-1"), "Cross-network"),
        (Visit(campaign="cross-network", medium="cpm"), "Cross-network"),
        (Visit("Google", medium="CPM"), "Display"),
        (Visit("Google", medium="expandable"), "Display"),
        (Visit(medium="interstitial"), "Display"),
        (Visit("shopify", medium="paid", tag="shopify"), "Paid Shopping"),
        (Visit(campaign="eshop", medium="cpc"), "Paid Shopping"),
        (Visit("Google", medium="cpc"), "Paid Search"),
        (Visit("Google", tag="adwords"), "Paid Search"),
        (Visit("Google", click_id_param="gclid"), "Paid Search"),
        (Visit("google", click_id_param="gclid"), "Paid Search"),
        (Visit("Bing", click_id_param="msclkid"), "Paid Search"),
        (Visit("Bing", click_id_param="gclid"), "Organic Search"),
        (Visit("DuckDuckGo", click_id_param="gclid"), "Organic Search"),
        (Visit("Facebook", tag="fbad"), "Paid Social"),
        (Visit("tiktok", medium="paid", tag="tiktok"), "Paid Social"),
        (Visit("Youtube", medium="paid"), "Paid Video"),
        (Visit("Youtube", tag="yt-ads"), "Paid Video"),
        (Visit(medium="ppc"), "Paid Other"),
        (Visit(medium="retargeting"), "Paid Other"),
        (Visit(medium="Paid-Search"), "Paid Other"),
        (Visit(medium="xcpx"), "Paid Other"),
        (Visit("Perplexity", medium="paid"), "Paid Other"),
        (Visit(medium="appc"), "Direct"),
        (Visit(medium="xppc"), "Direct"),
        (Visit(medium="unpaid"), "Direct"),
        (Visit(medium="retargeting-x"), "Direct"),
        (Visit("temu.com"), "Organic Shopping"),
        (Visit(campaign="shop2024"), "Organic Shopping"),
        (Visit(campaign="my-shop"), "Organic Shopping"),
        (Visit(campaign="eshop"), "Organic Shopping"),
        (Visit(campaign="workshopping"), "Organic Shopping"),
        (Visit(campaign="a\nshop"), "Organic Shopping"),
        (Visit(campaign="workshop"), "Direct"),
        (Visit(campaign="barbershop"), "Direct"),
        (Visit("Reddit"), "Organic Social"),
        (Visit("Reddit", medium="email"), "Organic Social"),
        (Visit(medium="Social Network"), "Organic Social"),
        (Visit(medium="sm"), "Organic Social"),
        (Visit(medium="socials"), "Direct"),
        (Visit("Vimeo"), "Organic Video"),
        (Visit(medium="shortvideo"), "Organic Video"),
        (Visit("Perplexity"), "AI Assistants"),
        (Visit("ChatGPT", medium="video"), "Organic Video"),
        (Visit("copilot"), "AI Assistants"),
        (Visit("Kagi"), "Organic Search"),
        (Visit("Yahoo!"), "Organic Search"),
        (Visit("Google", medium="email"), "Organic Search"),
        (Visit("Gmail"), "Email"),
        (Visit("Newsletter-UK", tag="Newsletter-UK"), "Email"),
        (Visit("x", tag="my e-mail"), "Email"),
        (Visit(medium="e_mail"), "Email"),
        (Visit(medium="E Mail 1"), "Email"),
        (Visit(medium="affiliate"), "Affiliates"),
        (Visit(medium="affiliates"), "Direct"),
        (Visit(medium="audio"), "Audio"),
        (Visit("sms", tag="sms"), "SMS"),
        (Visit(medium="SMS"), "SMS"),
        (Visit(medium="app-push"), "Mobile Push Notifications"),
        (Visit(medium="example-mobile"), "Mobile Push Notifications"),
        (Visit(medium="web-notification"), "Mobile Push Notifications"),
        (Visit("Firebase"), "Mobile Push Notifications"),
        (Visit(medium="pushed"), "Direct"),
        (Visit(medium="app"), "Referral"),
        (Visit(medium="link"), "Referral"),
        (Visit(medium="referral"), "Referral"),
        (Visit("linkedin-ads", tag="linkedin-ads"), "Referral"),
        (Visit("Linktree"), "Referral"),
        (Visit(click_id_param="gclid"), "Direct"),
    ],
)
def test_first_rule_that_holds_names_the_channel(visit: Visit, channel: str) -> None:
    assert channel_of(visit) == channel


@given(st.builds(Visit, TEXT, TEXT, TEXT, TEXT, TEXT))
def test_every_visit_has_a_channel(visit: Visit) -> None:
    assert channel_of(visit) in Channel


def test_campaign_of_1_mb_takes_no_time() -> None:
    assert channel_of(Visit(campaign="sho" * 350_000)) == Channel.DIRECT
