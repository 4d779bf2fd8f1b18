import tomllib
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from headwater_ingest.enrich.sources import Category
from headwater_ingest.enrich.sources_file import load_sources, packaged_sources
from headwater_ingest.errors import DataFileError

PAID = [
    "adwords",
    "facebook-ads",
    "facebook_ad",
    "facebook_ads",
    "facebook_feed_ad",
    "fb-ads",
    "fbad",
    "fbads",
    "gads",
    "google ads",
    "google-ads",
    "google_ads",
    "googleads",
    "reddit-ads",
    "tiktokads",
    "twitter-ads",
    "yt-ads",
]


def find(host: str, path: str = "", scheme: str = "https") -> str | None:
    source = packaged_sources().find_referrer(scheme, host, path)
    return source and source.name


def write(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "sources.toml"
    path.write_text(content)
    return path


def test_packaged_table_has_hundreds_of_rows_and_none_twice() -> None:
    data = files("headwater_ingest.enrich") / "data" / "sources.toml"
    table = tomllib.loads(data.read_text())
    kept = [text for texts in table.pop("as_sent").values() for text in texts]
    rows = [row for rows in table.values() for row in rows.items()]
    assert len(rows) + len(kept) > 400
    hosts = Counter(host for _, row in rows for host in row["hosts"])
    hosts.update(text for text in kept if "." in text)
    assert hosts.most_common(1)[0][1] == 1
    texts = Counter(name.lower() for name, _ in rows)
    for name, row in rows:
        texts.update({*row.get("tags", ()), *row.get("ads", ())} - {name.lower()})
    texts.update(text for text in kept if "." not in text)
    assert texts.most_common(1)[0][1] == 1


@pytest.mark.parametrize(
    "host, name",
    [
        ("google.co.uk", "Google"),
        ("maps.google.com", "Google"),
        ("mail.google.com", "Gmail"),
        ("gemini.google.com", "Google Gemini"),
        ("ntp.msn.com", "Bing"),
        ("yandex.com.tr", "Yandex"),
        ("search.yahoo.co.jp", "Yahoo!"),
        ("mail.yahoo.com", "Yahoo! Mail"),
        ("wap.sogou.com", "Sogou"),
        ("lm.facebook.com", "Facebook"),
        ("lnkd.in", "LinkedIn"),
        ("t.co", "X (Twitter)"),
        ("go.bsky.app", "Bluesky"),
        ("fosstodon.org", "Mastodon"),
        ("webk.telegram.org", "Telegram"),
        ("statics.teams.cdn.office.net", "Microsoft Teams"),
        ("de.pinterest.com", "Pinterest"),
        ("pinterest.co.uk", "Pinterest"),
        ("m.youtube.com", "Youtube"),
        ("en.m.wikipedia.org", "Wikipedia"),
        ("linktr.ee", "Linktree"),
        ("chat.openai.com", "ChatGPT"),
        ("www.office.com", "Microsoft 365"),
        ("temu.com", None),
        ("producthunt.com", None),
        ("google.evil.example", None),
    ],
)
def test_packaged_table_knows_hosts(host: str, name: str | None) -> None:
    assert find(host) == name


@pytest.mark.parametrize(
    "package, name",
    [
        ("com.google.android.gm", "Gmail"),
        ("com.google.android.googlequicksearchbox", "Google"),
        ("com.reddit.frontpage", "Reddit"),
        ("com.linkedin.android", "LinkedIn"),
        ("org.example.unknown", None),
    ],
)
def test_packaged_table_knows_apps(package: str, name: str | None) -> None:
    assert find(package, scheme="android-app") == name


@pytest.mark.parametrize(
    "tag, name",
    [
        ("fb", "Facebook"),
        ("FCB", "Facebook"),
        ("ig", "Instagram"),
        ("yt", "Youtube"),
        ("Google Ads", "Google"),
        ("chatgpt.com", "ChatGPT"),
        ("twitter", "X (Twitter)"),
        ("tik.tok", "TikTok"),
        ("linktree", "Linktree"),
        ("linktr.ee", "Linktree"),
        ("pt.m.wikipedia.org", "Wikipedia"),
        ("ptb.discord.com", "Discord"),
        ("telegram", "Telegram"),
        ("producthunt", "producthunt"),
        ("linkedin-ads", "linkedin-ads"),
    ],
)
def test_packaged_table_knows_tags(tag: str, name: str) -> None:
    assert packaged_sources().name_of(tag) == name


@pytest.mark.parametrize("tag", PAID)
def test_packaged_table_knows_paid_tags(tag: str) -> None:
    assert packaged_sources().is_paid(tag)


@pytest.mark.parametrize("tag", ["fb", "yt", "threads", "linkedin-ads", "ads", ""])
def test_packaged_table_takes_other_tags_for_unpaid(tag: str) -> None:
    assert not packaged_sources().is_paid(tag)


@pytest.mark.parametrize(
    "category, names",
    [
        ("ai", ["Perplexity", "chatgpt", "chatgpt.com", "claude", "phind", "deepseek"]),
        ("ai", ["copilot", "Microsoft Copilot", "Grok", "Google Gemini"]),
        ("social", ["telegram", "slack", "producthunt", "github", "discord", "Reddit"]),
        ("social", ["steamcommunity.com", "statics.teams.cdn.office.net", "Threads"]),
        ("social", ["Hacker News", "Microsoft Teams", "X (Twitter)", "Vkontakte"]),
        ("social", ["Bluesky", "Mastodon", "tiktok"]),
        ("search", ["yahoo!", "yahoo", "ecosia", "brave", "sogou", "kagi", "msn"]),
        ("search", ["Google", "bing", "DuckDuckGo", "Yandex", "Baidu"]),
        ("shopping", ["temu.com", "amazon.com", "amazon.de", "shopify", "walmart"]),
        ("video", ["youtube", "vimeo", "twitch", "netflix", "dailymotion"]),
        ("email", ["gmail"]),
    ],
)
def test_packaged_table_knows_categories(category: str, names: list[str]) -> None:
    table = packaged_sources()
    assert {table.category_of(name) for name in names} == {Category(category)}


def test_rows_of_the_operator_are_added_and_win(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [social]
        Club = { hosts = ["Club.Example"], tags = ["CLB"], ads = ["clb-ads"] }
        [search]
        "My Google" = { hosts = ["google.*"] }
        [as_sent]
        video = ["clips", "clips.example"]
        """,
    )
    table = load_sources(path)
    assert table.name_of("clb") == "Club"
    assert table.is_paid("CLB-ads")
    assert table.category_of("a.clips.example") == Category.VIDEO
    assert table.category_of("clips") == Category.VIDEO
    for host, name in [("google.de", "My Google"), ("bing.com", "Bing")]:
        source = table.find_referrer("https", host, "")
        assert source is not None
        assert source.name == name


def test_rows_of_the_operator_leave_the_packaged_table_alone(tmp_path: Path) -> None:
    load_sources(write(tmp_path, '[social]\nClub = { tags = ["google"] }'))
    assert packaged_sources().name_of("google") == "Google"


@pytest.mark.parametrize(
    "content, problem",
    [
        ("[serch]", "unknown field `serch`"),
        ("[search]\nA = { host = [] }", "unknown field `host`"),
        ("[search]\nA = { hosts = 'a' }", "Expected `array`"),
        ("[as_sent]\nfoo = []", "Invalid enum value 'foo'"),
        ("no toml", "is no table of sources"),
        ("\x00", "is no table of sources"),
    ],
)
def test_broken_file_is_refused_with_its_fault(
    tmp_path: Path, content: str, problem: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataFileError, match=problem) as caught:
        load_sources(path)
    assert caught.value.path == path


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sources.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataFileError, match="is no table of sources"):
        load_sources(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="cannot be read: No such file"):
        load_sources(tmp_path / "sources.toml")
