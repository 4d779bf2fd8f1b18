"""A person is taken out of tables, dead letters and archive; others keep theirs."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click import UsageError

from headwater_ingest.archive import list_files, read_rows
from headwater_ingest.clickhouse.client import Client
from headwater_ingest.erasure import wait_until_written
from headwater_ingest.errors import RowsPendingError, UnknownSiteError
from headwater_ingest.journal.dead_letters import open_dead_letters

pytestmark = pytest.mark.clickhouse

CONSTRAINT = "ALTER TABLE events ADD CONSTRAINT c CHECK pathname != '/bad'"
TABLES = ("events", "person_ops", "person_aliases", "group_ops")

Stored = Callable[[], list[UUID]]
Node = Any  # of this folder's conftest, which cannot be imported


def archived(directory: Path) -> list[UUID]:
    return [
        UUID(bytes=event_id)
        for path in list_files(directory / "archive")
        for rows in read_rows(path, 0, 1 << 60)
        for event_id in rows.event_id
    ]


def accept_person(node: Node, person: str, **columns: object) -> list[UUID]:
    """Take what a person may leave everywhere."""
    statement = json.dumps({"$set": {"plan": person}})
    group = {"$group_type": "company", "$group_key": "acme"}
    ids = node.accept(4, name="pageview", distinct_id=person, **columns)
    ids += node.accept(
        1,
        name="$identify",
        distinct_id=person,
        properties=statement,
        props={"$anon_distinct_id": f"anon {person}"},
        **columns,
    )
    ids += node.accept(
        1,
        name="$groupidentify",
        distinct_id=person,
        properties=json.dumps({"$group_set": {person: 1}}),
        props=group,
        **columns,
    )
    return [*ids]


@pytest.fixture
def merging(client: Client) -> Client:
    client.execute("SYSTEM START MERGES events")  # without which nothing is deleted
    return client


def test_a_person_is_gone_from_everywhere_and_others_keep_theirs(
    node: Node, merging: Client, stored: Stored
) -> None:
    merging.execute(CONSTRAINT)
    accept_person(node, "ann", session_id=1)
    shared = node.accept(2, name="pageview", distinct_id="ann", session_id=2)
    node.accept(1, path="/bad", distinct_id="ann")
    bob = accept_person(node, "bob", session_id=2)
    bob += node.accept(1, name="pageview", distinct_id="bob", session_id=3)
    bob_elsewhere = node.accept(2, distinct_id="ann", site_id=8, session_id=1)
    node.accept(1, path="/bad", distinct_id="bob")
    node.write()
    assert len(shared) == 2

    dry = node.run("erase", "--site", "a.example", "--distinct-id", "ann", "--dry-run")
    assert dry.startswith("would erase 8 events of ann\n")
    receipt = node.run("erase", "--site", "a.example", "--distinct-id", "ann")

    assert re.search(r"^  events +8 rows$", receipt, re.MULTILINE)
    assert re.search(r"^  dead letters +1 rows$", receipt, re.MULTILINE)
    assert re.search(r"^  archive +9 rows$", receipt, re.MULTILINE)
    assert "0 events have come since" in receipt
    assert receipt.endswith("other ids of this person (--linked): anon ann\n")
    assert sorted(stored()) == sorted(bob + bob_elsewhere)
    for table in TABLES:
        text = str(merging.execute(f"SELECT * FROM {table} WHERE site_id = 7"))
        assert "ann" not in text
        assert table == "group_ops" or "bob" in text
    assert merging.execute("SELECT DISTINCT key FROM group_ops") == [("bob",)]
    sessions = (
        "SELECT site_id, session_id, events, pageviews FROM sessions ORDER BY ALL"
    )
    assert merging.execute(sessions) == [(7, 2, 6, 4), (7, 3, 1, 1), (8, 1, 2, 0)]
    with open_dead_letters(node.directory) as letters:
        assert [each.distinct_id for each in letters.read()] == ["bob"]
    assert len(archived(node.directory)) == len(bob + bob_elsewhere) + 1


def test_what_is_erased_stays_away_in_a_replay(
    node: Node, merging: Client, stored: Stored
) -> None:
    node.accept(3, distinct_id="ann")
    bob = node.accept(3, distinct_id="bob")
    node.write()
    node.run("erase", "--site", "7", "--distinct-id", "ann")

    node.run("replay", "--from", "2026-09-21", "--to", "2026-09-22")

    assert sorted(stored()) == sorted(bob)


def test_an_erasure_that_was_cut_short_is_done_by_the_next(
    node: Node, merging: Client, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.accept(2, name="pageview", distinct_id="ann", session_id=2)
    bob = node.accept(3, name="pageview", distinct_id="bob", session_id=2)
    node.write()

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    command = ("erase", "--site", "7", "--distinct-id", "ann")
    with monkeypatch.context() as patch:
        patch.setattr("headwater_ingest.clickhouse.people._restore_sessions", crash)
        with pytest.raises(BaseException):  # noqa: B017, PT011 - click makes it Abort
            node.run(*command)
    assert merging.execute("SELECT * FROM sessions") == []
    node.run(*command)

    assert sorted(stored()) == sorted(bob)
    assert merging.execute("SELECT session_id, events FROM sessions") == [(2, 3)]


def test_linked_ids_go_too_when_asked(
    node: Node, merging: Client, stored: Stored
) -> None:
    accept_person(node, "ann")
    node.accept(2, distinct_id="anon ann")
    bob = node.accept(1, distinct_id="bob")
    node.write()

    node.run("erase", "--site", "7", "--distinct-id", "anon ann", "--linked")

    assert stored() == bob


def test_rows_that_wait_in_the_journal_are_written_first(
    node: Node, merging: Client, stored: Stored
) -> None:
    node.accept(2, distinct_id="ann")
    node.write()
    node.accept(1, distinct_id="ann")
    writer = threading.Timer(0.3, node.write)
    writer.start()

    node.run("erase", "--site", "7", "--distinct-id", "ann")

    writer.join()
    assert stored() == []


def test_without_a_writer_nothing_is_erased_and_the_message_says_what_to_do(
    node: Node,
) -> None:
    node.accept(1, distinct_id="ann")

    with pytest.raises(RowsPendingError, match="let the service run"):
        wait_until_written(node.directory, timeout_s=0.1, wait=lambda _: None)


def test_a_site_that_nobody_knows_and_a_person_without_a_name_are_refused(
    node: Node,
) -> None:
    with pytest.raises(UnknownSiteError, match="sites list"):
        node.run("erase", "--site", "b.example", "--distinct-id", "ann")
    with pytest.raises(UsageError):
        node.run("erase", "--site", "7", "--distinct-id", "")
