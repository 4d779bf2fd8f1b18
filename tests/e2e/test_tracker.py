"""The Plausible tracker from npm, unmodified, in a real Chromium, against the service.

Page and service have different origins, so the browser's rules for that apply.
"""

import re
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from tests.e2e.support.browser import (
    Pages,
    require_browser,
    run_browser,
    windowed_agent,
)
from tests.e2e.support.clickhouse import Database
from tests.e2e.support.service import SITE, Service
from tests.e2e.support.waiting import wait_for

Row = dict[str, Any]

GUIDE = Path(__file__).parents[2] / "docs" / "web-events.md"
TAGS = {
    "utm_source": "Spring letter",
    "utm_medium": "email",
    "utm_campaign": "sale",
    "utm_content": "top",
    "utm_term": "shoes",
}
MEASURED = ("scroll_depth", "engagement_time")
SALE: Row = {
    "props": {"plan": "pro"},
    "revenue_source_amount": Decimal("49.990"),
    "revenue_reporting_amount": Decimal("49.990"),
    "revenue_source_currency": "EUR",
    "revenue_reporting_currency": "EUR",
}
# What the rows of a visit that came by the tags have in common.
ROW: Row = {
    "distinct_id": "",
    "hostname": SITE,
    "props": {},
    "properties": "",
    "groups": {},
    "interactive": True,
    "scroll_depth": 0,
    "engagement_time": 0,
    "revenue_source_amount": None,
    "revenue_reporting_amount": None,
    "revenue_source_currency": "",
    "revenue_reporting_currency": "",
    "referrer": "news.example",
    "referrer_source": "Spring letter",
    "acquisition_channel": "Email",
    "click_id_param": "gclid",
    **TAGS,
    "country_code": "",
    "subdivision1_code": "",
    "subdivision2_code": "",
    "city_geoname_id": 0,
    "screen_size": "Desktop",
    "operating_system": "GNU/Linux",
    "operating_system_version": "",
    "browser": "Chrome",
    "sdk": "",
    "sdk_version": "",
}


@pytest.fixture(autouse=True)
def _components() -> None:
    require_browser()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    """A browser with the user agent that it has when it shows a window."""
    flag = f"--user-agent={windowed_agent()}"
    with run_browser(tmp_path / "profile", flag) as browser:
        yield browser


@pytest.fixture
def headless_browser(tmp_path: Path) -> Iterator[Chrome]:
    with run_browser(tmp_path / "profile") as browser:
        yield browser


@pytest.fixture
def pages() -> Iterator[Pages]:
    pages = Pages()
    yield pages
    pages.close()


def shop(service: Service, *, options: str = "") -> str:
    """Returns a long page with the snippet of the guide, and further options."""
    found = re.search(r"```html\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert found, "the guide has no snippet"
    snippet = found[1]
    for documented, ours in (
        ("https://events.example.com", service.url),
        ('domain: "shop.example",', f'{options} domain: "{SITE}",'),
    ):
        assert documented in snippet
        snippet = snippet.replace(documented, ours)
    # The tracker is mute under automation, unless it is told to speak.
    return f"""
        <title>Shop</title>
        <script>window.__plausible = true</script>
        {snippet}
        <body style="height: 4000px">
        <button id="buy">Buy</button>
        <form id="ask" onsubmit="return false"><button>Ask</button></form>
        <a id="file" href="/files/prices.pdf?v=2" onclick="return false">Prices</a>
        <a id="out" href="http://elsewhere.example/" onclick="return false">Out</a>
    """


def come_from(browser: Chrome, pages: Pages, url: str) -> None:
    """Comes to a page by a link of another site."""
    pages.add("/article", f'<a href="{url}">Look</a>')
    browser.get(pages.url("www.news.example", "/article"))
    browser.find_element(By.TAG_NAME, "a").click()


def scroll(browser: Chrome, to: int) -> int:
    """Returns how many percent of the page have been seen then."""
    depth: int = browser.execute_async_script(
        """
        const [to, done] = arguments;
        document.addEventListener("scroll", () => {
            const seen = window.scrollY + window.innerHeight;
            done(Math.round(100 * seen / document.documentElement.scrollHeight));
        }, {once: true});
        window.scrollTo(0, to);
        """,
        to,
    )
    return depth


def rows_by_name_and_path(database: Database) -> dict[tuple[str, str], Row]:
    rows = database.rows()
    found = {(row["name"], row["pathname"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_a_visit_is_rows_of_one_session_with_every_column_filled(
    service: Service, database: Database, pages: Pages, browser: Chrome
) -> None:
    pages.add("/offers", shop(service))
    query = urlencode({**TAGS, "gclid": "x"})
    came = now_ms()
    come_from(browser, pages, pages.url(f"www.{SITE}", f"/offers?{query}"))
    database.wait_for_rows(1)
    seen = now_ms()
    depth = scroll(browser, 1500)
    leaves = now_ms()
    browser.execute_script("history.pushState({}, '', '/basket%20one')")
    left = now_ms()
    database.wait_for_rows(3)
    browser.find_element(By.ID, "buy").click()
    database.wait_for_rows(4)
    browser.get("about:blank")
    database.wait_for_rows(5)
    service.wait_until_written()

    rows = rows_by_name_and_path(database)
    [version] = re.findall(r"Chrome/(\d+\.\d+)", windowed_agent())
    offers, basket = (
        {name: rows["engagement", path][name] for name in MEASURED}
        for path in ("/offers", "/basket one")
    )
    assert offers["scroll_depth"] == basket["scroll_depth"] == depth
    assert leaves - seen <= offers["engagement_time"] <= left - came
    assert 0 < basket["engagement_time"] <= now_ms() - leaves
    for (name, path), own in {
        ("pageview", "/offers"): {},
        ("engagement", "/offers"): offers,
        ("pageview", "/basket one"): {},
        ("Purchase", "/basket one"): SALE,
        ("engagement", "/basket one"): basket,
    }.items():
        row = rows.pop((name, path))
        assert row.pop("event_id").version == 7
        assert came // 1000 <= row.pop("timestamp").timestamp() <= now_ms() / 1000
        assert came <= row.pop("received_at").timestamp() * 1000 <= now_ms()
        assert row.pop("browser_version") == version
        assert row == ROW | whose(database) | {"name": name, "pathname": path} | own
    assert rows == {}


def whose(database: Database) -> Row:
    """Returns the ids of the only session, as the view of sessions has them."""
    [(site, user, session, *visit)] = database.query(
        "SELECT site_id, user_id, session_id, entry_page, exit_page, pageviews, "
        "events, is_bounce FROM sessions"
    )
    assert [site] == database.column("SELECT sipHash64(%(site)s)", {"site": SITE})
    assert user
    assert session
    assert visit == ["/offers", "/basket one", 2, 3, 0]
    return {"site_id": site, "user_id": user, "session_id": session}


def test_clicks_and_forms_on_localhost_are_events_with_their_properties(
    service: Service, database: Database, pages: Pages, browser: Chrome
) -> None:
    options = (
        "captureOnLocalhost: true, outboundLinks: true, formSubmissions: true, "
        "fileDownloads: true,"
    )
    pages.add("/", shop(service, options=options))
    come_from(browser, pages, pages.url("localhost", "/"))
    database.wait_for_rows(1)

    for clicked in ("#ask button", "#file", "#out"):
        browser.find_element(By.CSS_SELECTOR, clicked).click()
    database.wait_for_rows(4)

    rows = {row["name"]: row for row in database.rows()}
    assert {name: row["props"] for name, row in rows.items()} == {
        "pageview": {},
        "Form: Submission": {"path": "/"},
        "File Download": {"url": pages.url("localhost", "/files/prices.pdf")},
        "Outbound Link: Click": {"url": "http://elsewhere.example/"},
    }
    assert {row["hostname"] for row in rows.values()} == {"localhost"}
    assert {row["referrer_source"] for row in rows.values()} == {"news.example"}
    assert {row["acquisition_channel"] for row in rows.values()} == {"Referral"}


def test_the_page_may_read_the_answer_and_may_send_what_needs_a_preflight(
    service: Service, database: Database, pages: Pages, browser: Chrome
) -> None:
    pages.add("/", shop(service))
    browser.get(pages.url(SITE, "/"))

    told = browser.execute_async_script(
        "const done = arguments[0];"
        "plausible('Signup', {interactive: false, callback: done})"
    )
    answer = browser.execute_async_script(
        """
        const [url, event, done] = arguments;
        fetch(url, {
            method: "POST",
            headers: {"Content-Type": "application/json"},
            body: JSON.stringify(event),
        }).then(async answer => done([answer.status, await answer.text()]), done);
        """,
        f"{service.url}/api/event",
        {"name": "By hand", "url": f"https://{SITE}/", "domain": SITE},
    )
    database.wait_for_rows(3)

    assert told == {"status": 202}
    assert answer == [202, "ok"]
    interactive = {row["name"]: row["interactive"] for row in database.rows()}
    assert interactive == {"pageview": True, "Signup": False, "By hand": True}


def test_a_browser_without_a_window_is_a_bot(
    service: Service, database: Database, pages: Pages, headless_browser: Chrome
) -> None:
    browser = headless_browser
    pages.add("/", shop(service))
    browser.get(pages.url(SITE, "/"))
    assert "HeadlessChrome" in browser.execute_script("return navigator.userAgent")

    wait_for(
        lambda: service.metric("headwater_events_total", reason="bot") == 1,
        what="the drop of the pageview",
    )
    told = browser.execute_async_script("plausible('Signup', {callback: arguments[0]})")

    assert told == {"status": 202}, "the page is not told"
    service.wait_until_written()
    assert database.rows() == []
    assert service.metric("headwater_events_total", reason="bot") == 2
