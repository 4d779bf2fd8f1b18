"""Dead letters and archive, sent once more into a real ClickHouse by the commands."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest
from click import UsageError

from headwater_ingest.clickhouse.client import Client, connect
from headwater_ingest.errors import JournalLockedError, ReplayInterruptedError
from headwater_ingest.journal import JournalReader
from headwater_ingest.journal.dead_letters import open_dead_letters
from headwater_ingest.replay import Replayer, alone_with_letters, items_of_letters
from headwater_ingest.writer.block import Insert
from headwater_ingest.writer.sink import ClickHouseSink

pytestmark = pytest.mark.clickhouse

CONSTRAINT = "ALTER TABLE events ADD CONSTRAINT c CHECK pathname != '/bad'"

Stored = Callable[[], list[UUID]]
Node = Any  # of this folder's conftest, which cannot be imported


@pytest.fixture
def two_dead(
    node: Node,
    client: Client,
    *,
    stored: Stored,
) -> tuple[list[UUID], list[UUID]]:
    """Three good rows in ClickHouse, two dead ones of two sites."""
    client.execute(CONSTRAINT)
    good = node.accept(3)
    bad = node.accept(1, path="/bad") + node.accept(1, path="/bad", site_id=8)
    node.write()
    assert sorted(stored()) == sorted(good)
    return good, bad


def test_dead_letters_are_listed_and_shown(
    node: Node, two_dead: tuple[list[UUID], list[UUID]]
) -> None:
    listed = node.run("deadletters", "list").splitlines()

    assert "a.example" in listed[0]
    assert "code 469: Constraint `c`" in listed[0]
    assert listed[-1] == "2 of 2 dead letters"
    assert node.run("deadletters", "list", "--site", "8").endswith(
        "1 of 2 dead letters\n"
    )
    shown = msgspec.json.decode(node.run("deadletters", "show", "1"))
    assert shown["row"]["event_id"] == str(two_dead[1][0])
    assert shown["row"]["pathname"] == "/bad"


def test_dead_letters_that_are_good_by_now_are_written_once(
    node: Node,
    client: Client,
    two_dead: tuple[list[UUID], list[UUID]],
    *,
    stored: Stored,
) -> None:
    good, bad = two_dead
    assert node.run("deadletters", "replay", "--all") == (
        "0 rows written, 0 were in ClickHouse already, 2 are refused and stay\n"
    )
    client.execute("ALTER TABLE events DROP CONSTRAINT c")
    dry = node.run("deadletters", "replay", "--all", "--dry-run")
    assert dry == "would send 2 of 2 rows\n"
    assert node.dead() == bad

    assert node.run("deadletters", "replay", "--site", "a.example").startswith("1 rows")
    assert node.run("deadletters", "replay", "2").startswith("1 rows written")

    assert sorted(stored()) == sorted(good + bad)
    assert client.execute("SELECT sum(events) FROM sessions") == [(5,)]
    assert node.dead() == []
    assert node.run("deadletters", "replay", "--all").startswith("0 rows written")


def test_dead_letters_are_discarded_only_when_it_is_said_which(
    node: Node, two_dead: tuple[list[UUID], list[UUID]]
) -> None:
    with pytest.raises(UsageError):
        node.run("deadletters", "discard")
    dry = node.run("deadletters", "discard", "--all", "--dry-run")
    assert dry == "would discard 2 rows\n"
    assert node.run("deadletters", "discard", "1") == "discarded 1 rows\n"
    assert node.dead() == two_dead[1][1:]


def test_a_dead_letter_that_came_by_another_way_is_not_doubled(
    node: Node,
    client: Client,
    two_dead: tuple[list[UUID], list[UUID]],
    *,
    stored: Stored,
) -> None:
    client.execute("ALTER TABLE events DROP CONSTRAINT c")
    at = "fromUnixTimestamp64Milli(toInt64(1790000000000))"
    other = two_dead[1][0]
    client.execute(
        f"INSERT INTO events (site_id, event_id, timestamp) SELECT 7, '{other}', {at}"
    )

    output = node.run("deadletters", "replay", "--all")

    assert output.startswith("1 rows written, 1 were in ClickHouse already")
    assert len(stored()) == 5
    assert node.dead() == []


def test_a_replay_that_is_killed_is_ended_by_the_next_and_doubles_nothing(
    node: Node,
    client: Client,
    two_dead: tuple[list[UUID], list[UUID]],
    *,
    stored: Stored,
) -> None:
    client.execute("ALTER TABLE events DROP CONSTRAINT c")

    class Killed(BaseException):
        pass

    class DyingSink:
        def __init__(self, sink: ClickHouseSink) -> None:
            self._sink = sink

        def insert(self, insert: Insert) -> None:
            self._sink.insert(insert)
            raise Killed

    sink = ClickHouseSink(partial(connect, node.url), lambda _: None)
    with closing(sink), open_dead_letters(node.directory) as letters:
        chosen = [*items_of_letters(letters.read())]
        with pytest.raises(Killed):
            Replayer(node.url, letters, DyingSink(sink)).send(chosen)
    assert len(node.dead()) == 2

    node.run("deadletters", "replay", "1")

    assert len(stored()) == 5
    assert node.dead() == []


def test_one_replay_at_a_time(node: Node, two_dead: tuple[list[UUID], ...]) -> None:
    with alone_with_letters(node.directory), pytest.raises(JournalLockedError):
        node.run("deadletters", "discard", "--all")


def test_an_outage_interrupts_a_replay_and_the_message_says_what_to_do(
    node: Node, two_dead: tuple[list[UUID], ...]
) -> None:
    class Away:
        def insert(self, _insert: Insert) -> None:
            raise ConnectionRefusedError

    waits: list[float] = []
    with (
        open_dead_letters(node.directory) as letters,
        pytest.raises(ReplayInterruptedError, match="run the command again"),
    ):
        Replayer(node.url, letters, Away(), patience_s=0.1, wait=waits.append).send(
            [*items_of_letters(letters.read())]
        )
    assert waits


def test_rows_that_are_gone_come_back_from_the_archive_and_no_other_is_doubled(
    node: Node,
    client: Client,
    *,
    stored: Stored,
) -> None:
    ids = node.accept(30, years=3) + node.accept(10)
    other = node.accept(5, site_id=8)
    node.write()
    sums = client.execute("SELECT sum(count) FROM ingest_counters")
    gone = ids[:7]
    client.execute("SYSTEM START MERGES events")  # without which nothing is deleted
    client.execute(
        "ALTER TABLE events DELETE WHERE event_id IN %(ids)s",
        {"ids": gone},
        settings={"mutations_sync": 2},
    )
    client.execute("SYSTEM STOP MERGES events")
    range_ = ("--from", "2026-09-21", "--to", "2026-09-22")

    dry = node.run("replay", *range_, "--dry-run")
    assert dry == "45 rows found, 38 of them in ClickHouse\n"
    assert node.run("replay", *range_, "--site", "8").endswith(
        "0 rows written, 0 refused\n"
    )
    output = node.run("replay", *range_, "--site", "a.example", "--rate", "1000")

    assert output.endswith("7 rows written, 0 refused\n")
    assert sorted(stored()) == sorted(ids + other)
    assert client.execute("SELECT sum(events) FROM sessions") == [(45,)]
    assert client.execute("SELECT sum(count) FROM ingest_counters") == sums
    outside = node.run("replay", "--from", "2026-09-23T00:00")
    assert outside.startswith("0 rows found")


def test_a_range_that_ends_before_it_begins_is_refused(node: Node) -> None:
    node.accept(1)

    with pytest.raises(UsageError, match="--from must be before --to"):
        node.run("replay", "--from", "2026-09-22", "--to", "2026-09-21")


def test_the_archive_has_dead_letters_too_and_says_that_they_are_refused(
    node: Node, two_dead: tuple[list[UUID], ...]
) -> None:
    output = node.run("replay", "--from", "2026-09-21", "--to", "2026-09-22")

    assert (
        output == "5 rows found, 3 of them in ClickHouse\n0 rows written, 2 refused\n"
    )


def test_a_writer_killed_between_archive_and_checkpoint_archives_once(
    node: Node,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    *,
    stored: Stored,
) -> None:
    ids = node.accept(5)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(JournalReader, "checkpoint", crash)
        with pytest.raises(KeyboardInterrupt):
            node.write()
    node.write()
    more = node.accept(2)
    node.write()

    output = node.run("replay", "--from", "2026-09-21", "--to", "2026-09-22")
    assert output.startswith("7 rows found, 7 of them in ClickHouse")
    assert sorted(stored()) == sorted(ids + more)
