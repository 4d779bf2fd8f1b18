"""A node without a service, on a real ClickHouse, for the commands that act on both."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from click.testing import CliRunner

from headwater_ingest.archive import ArchiveWriter, Keeping
from headwater_ingest.cli import cli as commands
from headwater_ingest.clickhouse.client import ClickHouseUrl, Client, connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.journal import Count, Entry, Journal, JournalReader
from headwater_ingest.journal.dead_letters import open_dead_letters
from headwater_ingest.rows import Rows, encode_rows
from headwater_ingest.sites.known_sites import KnownSites
from headwater_ingest.sites.record import SiteRecord
from headwater_ingest.writer.control import Control
from headwater_ingest.writer.loop import WriterLoop
from headwater_ingest.writer.progress import Progress
from headwater_ingest.writer.sink import ClickHouseSink
from headwater_schema.batch import BatchResult

NOW_MS = 1_790_000_000_000
YEAR_MS = 366 * 86_400_000
_numbers = count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    with EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture
def url(server: EmbeddedClickHouse) -> ClickHouseUrl:
    url = replace(server.url, database=f"commands_{next(_numbers)}")
    migrate(url)
    return url


@pytest.fixture
def client(url: ClickHouseUrl) -> Iterator[Client]:
    with connect(url) as client:
        client.execute("SYSTEM STOP MERGES events")
        yield client


class Node:
    """A data directory, its journal and its writer, without a service."""

    def __init__(self, directory: Path, url: ClickHouseUrl) -> None:
        self.directory = directory
        self.url = url
        sites = (SiteRecord(id=7, domain="a.example"),)
        KnownSites(sites).write(directory)

    def accept(
        self,
        rows: int,
        *,
        path: str = "/",
        site_id: int = 7,
        years: int = 1,
        **columns: object,
    ) -> list[UUID]:
        """Take rows as one batch, and return their ids."""
        ids = [uuid4() for _ in range(rows)]
        times = [NOW_MS - each % years * YEAR_MS for each in range(rows)]
        constants = {"site_id": site_id, "pathname": path, "received_at": NOW_MS}
        entry = Entry(
            site_id=site_id,
            batch_id=uuid4().bytes,
            event_ids=b"".join(each.bytes for each in ids),
            rows=encode_rows(
                Rows(
                    [each.bytes for each in ids],
                    {**constants, "session_id": 3, **columns},
                    {"timestamp": times},
                )
            ),
            row_count=rows,
            answer=msgspec.json.encode(BatchResult(accepted=rows)),
            ids_digest=b"",
            counts=(Count(site_id, "accepted", "", rows),),
        )
        with closing(Journal.open(self.directory, max_bytes=1 << 30)) as journal:
            asyncio.run(journal.append(entry))
        return ids

    def write(self) -> None:
        """Write all that is pending."""
        control = Control()
        control.drain(30)
        archive = ArchiveWriter(
            self.directory / "archive",
            Keeping(days=9, max_bytes=1 << 30),
            clock_ms=lambda: NOW_MS,
        )
        sink = ClickHouseSink(partial(connect, self.url), lambda _: None)
        with closing(JournalReader(self.directory)) as reader, closing(sink):
            WriterLoop(
                reader,
                sink,
                control=control,
                progress=Progress(lambda _: None),
                block_rows=1000,
                block_age_ms=0,
                archive=archive,
            ).run()

    def run(self, *arguments: str) -> str:
        """Run a command that must work, and return what it printed."""
        result = CliRunner().invoke(
            commands,
            arguments,
            env={
                "HEADWATER_CLICKHOUSE_URL": self.url.with_password(),
                "HEADWATER_DATA_DIR": str(self.directory),
            },
            catch_exceptions=False,
            standalone_mode=False,
        )
        assert result.exit_code == 0, result.output
        return result.stdout

    def dead(self) -> list[UUID]:
        with open_dead_letters(self.directory) as letters:
            return [each.event_id for each in letters.read()]


@pytest.fixture
def node(tmp_path: Path, url: ClickHouseUrl) -> Node:
    return Node(tmp_path, url)


@pytest.fixture
def stored(client: Client) -> Callable[[], list[UUID]]:
    """Returns a function that tells the ids of all rows of the table."""
    return lambda: [row[0] for row in client.execute("SELECT event_id FROM events")]
