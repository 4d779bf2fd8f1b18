"""Web events through a real service: sessions over a restart, drops, counters."""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import httpx
from tests.e2e.support.processes import INGEST
from tests.e2e.support.service import KEY, SITE
from tests.e2e.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeService
    from tests.e2e.support.clickhouse import Database
    from tests.e2e.support.service import Service

SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)


def send(
    service: Service, name: str, path: str, *, agent: str = SAFARI, **fields: object
) -> httpx.Response:
    body = {"n": name, "u": f"https://{SITE}{path}", "d": SITE, **fields}
    return service.post(
        body,
        path="/api/event",
        headers={
            "content-type": "text/plain",
            "user-agent": agent,
            "x-forwarded-for": "81.2.69.142",
        },
    )


def counters(database: Database) -> Counter[tuple[str, str]]:
    rows = database.query(
        "SELECT outcome, reason, sum(count) FROM ingest_counters GROUP BY ALL"
    )
    return Counter({(outcome, reason): count for outcome, reason, count in rows})


def test_a_visit_is_one_session_even_over_a_restart(
    service: Service, database: Database
) -> None:
    first = send(service, "pageview", "/a?utm_source=news", r="https://t.co/x")
    service.stop()
    service.start()
    send(service, "engagement", "/a", sd=40, e=1200)
    send(service, "pageview", "/b?utm_source=other")
    database.wait_for_rows(3)
    service.wait_until_written()  # the view's tables get their rows after `events`

    assert (first.status_code, first.text) == (202, "ok")
    rows = {row["name"] + row["pathname"]: row for row in database.rows()}
    assert len({row["session_id"] for row in rows.values()}) == 1
    assert len({row["user_id"] for row in rows.values()}) == 1
    for row in rows.values():
        assert (row["utm_source"], row["referrer"]) == ("news", "t.co/x")
        assert (row["country_code"], row["browser"]) == ("GB", "Safari")
        assert row["screen_size"] == "Mobile"
    assert rows["engagement/a"]["scroll_depth"] == 40
    told = "SELECT entry_page, exit_page, pageviews, events, is_bounce FROM sessions"
    # The view has a row a moment after the table of events.
    wait_for(
        lambda: database.query(told) == [("/a", "/b", 2, 2, 0)],
        what="the whole session",
    )


def test_nothing_of_address_and_agent_is_left_on_disk(
    service: Service, database: Database
) -> None:
    send(service, "pageview", "/a", agent=f"{SAFARI} unmistakable")
    database.wait_for_rows(1)
    service.stop()

    for path in service.data_dir.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"81.2.69.142" not in content, path
            assert b"unmistakable" not in content, path


def test_what_becomes_of_every_event_is_counted_in_clickhouse(
    service: Service, database: Database
) -> None:
    for number in range(5):
        send(service, "pageview", f"/{number}")
    send(service, "pageview", "/", agent="Googlebot/2.1")
    unknown = send(service, "pageview", "/", d="nowhere.example,elsewhere.example")
    send(service, "engagement", "/", agent="Firefox", e=1)
    batch = {
        "batch_id": "01970000-0000-7000-8000-000000000001",
        "events": [
            {"event": "a", "distinct_id": "ada"},
            {"event": "b", "distinct_id": "ada", "properties": {"$ip": "192.0.2.1"}},
            {"event": "c", "distinct_id": "ada", "timestamp": 0},
            {
                "event": "d",
                "distinct_id": "ada",
                "properties": {"$user_agent": "Googlebot/2.1"},
            },
        ],
    }
    answers = [service.post(batch).json()["data"] for _ in range(2)]
    expected = {
        ("accepted", ""): 7,
        ("dropped", "bot"): 2,
        ("dropped", "not_found"): 2,
        ("dropped", "no_session_for_engagement"): 1,
        ("invalid", "timestamp_out_of_range"): 1,
        ("duplicate", ""): 4,
    }

    wait_for(lambda: counters(database) == expected, what="the counters")

    assert unknown.headers["x-plausible-dropped"] == "2"
    assert unknown.headers["x-headwater-dropped"] == "not_found"
    assert answers[0]["dropped"] == {"bot": 1}
    assert answers[1]["duplicates"] == 2
    assert database.query(
        "SELECT sum(count) FROM ingest_counters WHERE site_id = 0"
    ) == [(2,)]
    for (outcome, reason), count in expected.items():
        told = service.metric("headwater_events_total", outcome=outcome, reason=reason)
        assert told == count, (outcome, reason)


def test_counters_outlast_a_kill_and_a_stop(
    service: Service, database: Database
) -> None:
    for _ in range(3):
        send(service, "pageview", "/")
        service.kill_writer()
    send(service, "pageview", "/", agent="Googlebot/2.1")
    service.stop()
    service.start()

    expected = {("accepted", ""): 3, ("dropped", "bot"): 1}
    wait_for(lambda: counters(database) == expected, what="the counters")
    database.wait_for_rows(3)
    assert len(database.stored_ids()) == 3


def test_a_broken_data_file_is_told_and_changes_nothing(
    make_service: MakeService, database: Database
) -> None:
    service = make_service(spam_file="/no/such/file.txt")
    service.start()

    send(service, "pageview", "/")
    database.wait_for_rows(1)

    assert service.readiness()["degraded"] == ["data_file_broken"]
    assert service.readiness()["checks"]["data_files"] == "data_file_broken"
    assert KEY not in service.running.log


def test_a_trace_is_of_the_row_that_is_stored(
    service: Service, database: Database
) -> None:
    answer = service.post(
        {"n": "pageview", "u": f"https://{SITE}/traced", "d": SITE},
        path="/api/event?debug=1",
        headers={"content-type": "text/plain", "user-agent": SAFARI},
    )
    database.wait_for_rows(1)

    told = answer.json()["events"][0]["row"]
    [row] = database.rows()
    assert told["event_id"] == str(row["event_id"])
    assert (told["pathname"], told["browser"]) == (row["pathname"], row["browser"])


def test_explain_finds_a_repeat_beside_a_service_that_runs(
    service: Service, database: Database
) -> None:
    body = '{"events": [{"event": "order", "distinct_id": "user-1"}]}'
    service.post(body.encode(), headers={"content-type": "application/json"})
    request = f"POST /ingest-events\nX-Headwater-Key: {KEY}\n\n{body}"

    done = subprocess.run(
        [INGEST, "explain"],
        input=request,
        env=service.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "#0 order: it is stored already" in done.stdout
    assert "sites: 1, as ClickHouse has them" in done.stdout
