"""When the client sends, and in how many requests: counted by the service."""

import subprocess
import sys
import textwrap

from tests.e2e.conftest import MakeClient
from tests.e2e.support.clickhouse import Database
from tests.e2e.support.ledger import Ledger
from tests.e2e.support.processes import TRACEBACK, clean_environment
from tests.e2e.support.service import KEY, Service
from tests.e2e.support.waiting import wait_for

from headwater import Client

EXIT_S = 60  # a busy machine is not what is tested here
NEVER_S = 3600


def test_ten_captures_are_one_post(
    service: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    client = make_client(service.url, flush_interval=NEVER_S)
    for number in range(10):
        ledger.note(client.capture("user-1", "clicked", {"number": number}))
    assert service.posts == 0

    assert client.flush().delivered == 10

    assert (service.posts, service.accepted) == (1, 10)
    database.wait_for_rows(10)
    ledger.check_all_stored(database.stored_ids())


def test_a_full_batch_goes_without_being_asked(
    service: Service, make_client: MakeClient
) -> None:
    client = make_client(service.url, flush_at=10, flush_interval=NEVER_S)
    for number in range(10):
        client.capture("user-1", "clicked", {"number": number})

    wait_for(lambda: client.stats().delivered == 10, what="the batch to be delivered")

    assert service.posts == 1


def test_a_few_events_go_when_the_interval_is_over(
    service: Service, make_client: MakeClient
) -> None:
    client = make_client(service.url, flush_at=NEVER_S, flush_interval=0.2)
    for number in range(3):
        client.capture("user-1", "clicked", {"number": number})

    wait_for(lambda: client.stats().delivered == 3, what="the batch to be delivered")

    assert service.posts == 1


def test_a_backlog_goes_in_batches_of_the_largest_size(
    service: Service, make_client: MakeClient
) -> None:
    service.stop()
    client = make_client(
        service.url, flush_interval=NEVER_S, max_batch_events=40, max_retries=0
    )
    for number in range(95):
        client.capture("user-1", "clicked", {"number": number})
    assert client.flush().queued == 95

    service.start()

    assert client.flush(timeout=20).delivered == 95
    assert service.posts == 3


def test_shutdown_delivers_what_is_queued(
    service: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    client = make_client(service.url, flush_interval=NEVER_S)
    for number in range(7):
        ledger.note(client.capture("user-1", "clicked", {"number": number}))

    assert client.shutdown().delivered == 7

    database.wait_for_rows(7)
    ledger.check_all_stored(database.stored_ids())


def test_leaving_the_context_delivers_what_is_queued(
    service: Service, database: Database
) -> None:
    with Client(KEY, service.url, flush_interval=NEVER_S) as client:
        event_id = client.capture("user-1", "clicked")

    database.wait_for_rows(1)
    assert database.stored_ids() == [event_id]


def test_an_application_that_just_ends_has_delivered(
    service: Service, database: Database
) -> None:
    ids = run_application(
        service,
        """
        for number in range(25):
            print(client.capture("user-1", "clicked", {"number": number}))
        """,
    )

    database.wait_for_rows(25)
    assert sorted(database.stored_ids()) == sorted(ids)


def test_an_application_that_fails_has_delivered_too(
    service: Service, database: Database
) -> None:
    ids = run_application(
        service,
        """
        print(client.capture("user-1", "clicked"))
        sys.exit("something is wrong")
        """,
        code=1,
    )

    database.wait_for_rows(1)
    assert database.stored_ids() == ids


def run_application(service: Service, text: str, *, code: int = 0) -> list[str]:
    """Runs a program with a client; returns the lines that it prints."""
    program = f"""
import sys
from headwater import Client
client = Client(
    {KEY!r}, {service.url!r}, flush_interval={NEVER_S}, exit_timeout={EXIT_S}
)
{textwrap.dedent(text)}
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=2 * EXIT_S,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert TRACEBACK not in ended.stderr
    return ended.stdout.split()
