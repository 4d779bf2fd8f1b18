"""Several services on one ClickHouse: what is said to one of them holds for all."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.e2e.conftest import MakeService
from tests.e2e.support.clickhouse import Database
from tests.e2e.support.processes import INGEST, Processes, clean_environment
from tests.e2e.support.relay import Relay
from tests.e2e.support.service import KEY as FILE_KEY
from tests.e2e.support.service import SITE as FILE_SITE
from tests.e2e.support.service import Service
from tests.e2e.support.waiting import wait_for

TOKEN = "an-admin-token-of-the-test"
LIVE_S = 10.0  # by when a change holds everywhere
PAGEVIEW = {"name": "pageview", "url": "https://shop.example/", "domain": FILE_SITE}

Nodes = list[Service]


@pytest.fixture
def nodes(database: Database, processes: Processes, tmp_path: Path) -> Nodes:
    """Two services with directories of their own."""
    nodes = [
        Service(processes, tmp_path / name, database.url, {"admin_token": TOKEN})
        for name in ("first", "second")
    ]
    for node in nodes:
        node.start()
    return nodes


def run_sites(database: Database, *arguments: str) -> str:
    """Runs a command on sites from a machine that has no data directory."""
    done = subprocess.run(
        [INGEST, "sites", *arguments],
        env=clean_environment({"clickhouse_url": database.url}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def new_key(output: str) -> str:
    found = re.search(r"write key: (hw_\S+)", output)
    assert found, output
    return found[1]


def ask_admin(node: Service, method: str, path: str = "", body: object = None) -> Any:
    answer = httpx.request(
        method,
        f"{node.url}/admin/sites{path}",
        json=body,
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def post_status(node: Service, key: str) -> int:
    """Posts an event that nobody has seen before."""
    body = {"events": [{"event": "clicked", "distinct_id": str(uuid4())}]}
    return node.post(body, headers={"X-Headwater-Key": key}).status_code


def post_web(node: Service, **fields: object) -> httpx.Response:
    return httpx.post(
        f"{node.url}/api/event",
        json={**PAGEVIEW, **fields},
        headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0"},
        timeout=30,
    )


def wait_everywhere(nodes: Nodes, holds: Callable[[Service], bool], what: str) -> None:
    wait_for(lambda: all(map(holds, nodes)), what=what, timeout_s=LIVE_S)


def test_a_site_is_added_changed_and_removed_on_all_nodes(
    nodes: Nodes, database: Database
) -> None:
    def wait_for_status(status: int, key: str) -> None:
        wait_everywhere(
            nodes, lambda node: post_status(node, key) == status, f"{status} everywhere"
        )

    key = new_key(run_sites(database, "add", "shop.example"))
    wait_for_status(200, key)

    ask_admin(nodes[0], "PATCH", "/shop.example", {"rate_limit": 0})
    wait_for_status(403, key)

    ask_admin(nodes[1], "PATCH", "/shop.example", {"rate_limit": None})
    wait_for_status(200, key)

    run_sites(database, "remove", "shop.example")
    wait_for_status(401, key)


def test_a_key_is_replaced_on_all_nodes(nodes: Nodes, database: Database) -> None:
    old = new_key(run_sites(database, "add", "shop.example"))

    new = ask_admin(nodes[0], "POST", "/shop.example/rotate-key", {"overlap_hours": 1})[
        "write_key"
    ]
    wait_everywhere(nodes, lambda node: post_status(node, new) == 200, "the new key")
    assert [post_status(node, old) for node in nodes] == [200, 200]

    newest = new_key(
        run_sites(database, "rotate-key", "shop.example", "--overlap-hours", "0")
    )
    wait_everywhere(nodes, lambda node: post_status(node, newest) == 200, "the newest")
    assert [post_status(node, each) for node in nodes for each in (old, new)] == (
        [401] * 4
    )


def test_a_renamed_site_takes_events_under_both_names(
    nodes: Nodes, database: Database
) -> None:
    run_sites(database, "add", "old.example")
    run_sites(database, "edit", "old.example", "domain=new.example")

    for domain in ("old.example", "new.example"):
        wait_everywhere(
            nodes,
            lambda node, domain=domain: (  # type: ignore[misc]  # it binds the name
                "x-headwater-dropped" not in post_web(node, domain=domain).headers
            ),
            f"events for {domain}",
        )

    [(number,)] = database.query("SELECT uniqExact(id) FROM sites WHERE NOT removed")
    assert number == 2  # it and that of the sites files


def test_a_quota_is_spent_by_all_nodes_together(
    nodes: Nodes, database: Database
) -> None:
    first, second = nodes
    key = new_key(run_sites(database, "add", "shop.example", "monthly_quota=2000"))
    events = [
        {"event": "clicked", "distinct_id": str(number)} for number in range(2000)
    ]
    headers = {"X-Headwater-Key": key}
    wait_for(
        lambda: first.post({"events": events}, headers=headers).status_code == 200,
        what="the site",
        timeout_s=LIVE_S,
    )

    assert post_status(first, key) == 402  # its own events count at once
    # Far fewer events fit into this time than would spend the quota once more.
    wait_everywhere([second], lambda node: post_status(node, key) == 402, "the end")


def test_a_change_of_a_sites_file_reaches_the_other_nodes(nodes: Nodes) -> None:
    first, second = nodes
    path = first.data_dir / "sites.toml"
    text = path.read_text()
    path.write_text(
        text + '[[site]]\ndomain = "more.example"\nwrite_key = "hw_of_the_file_alone"\n'
    )

    wait_everywhere(
        nodes, lambda node: post_status(node, "hw_of_the_file_alone") == 200, "the site"
    )

    path.write_text(text)
    wait_everywhere(
        nodes, lambda node: post_status(node, "hw_of_the_file_alone") == 401, "its end"
    )
    assert post_status(second, FILE_KEY) == 200


def test_a_site_of_a_file_is_not_changed_over_http(nodes: Nodes) -> None:
    answer = httpx.patch(
        f"{nodes[0].url}/admin/sites/{FILE_SITE}",
        json={"rate_limit": 0},
        headers={"Authorization": f"Bearer {TOKEN}"},
    )

    assert answer.status_code == 409
    assert "sites.toml: change it there" in answer.json()["message"]


def test_without_a_token_there_is_no_admin_api(service: Service) -> None:
    assert httpx.get(f"{service.url}/admin/sites").status_code == 404


def test_a_visitor_is_the_same_on_all_nodes(nodes: Nodes, database: Database) -> None:
    for node in nodes:
        assert "x-headwater-dropped" not in post_web(node).headers
    database.wait_for_rows(2)

    assert len(set(database.column("SELECT user_id FROM events"))) == 1
    assert [node.readiness()["degraded"] for node in nodes] == [[], []]


def test_sites_and_salts_outlive_a_start_without_clickhouse(
    make_service: MakeService, database: Database
) -> None:
    with Relay(database.address) as relay:
        service = make_service(database.at(relay.port).url)
        service.start()
        key = new_key(run_sites(database, "add", "shop.example"))
        wait_everywhere(
            [service], lambda node: post_status(node, key) == 200, "the site"
        )
        post_web(service)
        service.stop()

        relay.cut()
        service.start()
        assert post_status(service, key) == 200
        assert "local_salt" not in service.readiness()["degraded"]
        post_web(service)

        relay.restore()
        database.wait_for_rows(4)

    visitors = database.column("SELECT user_id FROM events WHERE name = 'pageview'")
    assert len(visitors) == 2
    assert len(set(visitors)) == 1


def test_a_new_node_that_starts_without_clickhouse_leaves_the_sites_as_they_are(
    processes: Processes, tmp_path: Path, database: Database
) -> None:
    key = new_key(run_sites(database, "add", "example.com"))
    with Relay(database.address) as relay:
        relay.cut()
        url = database.at(relay.port).url
        service = Service(processes, tmp_path / "new", url, sites="")
        service.launch()
        service.wait_to_listen()

        assert service.ready_status() == 503
        assert post_status(service, key) == 503
        assert post_web(service, domain="example.com").status_code == 503

        relay.restore()
        wait_everywhere([service], lambda node: node.ready_status() == 200, "its sites")
        assert post_status(service, key) == 200

    assert not (service.data_dir / "sites.toml").exists()
    kept = database.query("SELECT domain, kept_in FROM sites FINAL")
    assert kept == [("example.com", "")]
