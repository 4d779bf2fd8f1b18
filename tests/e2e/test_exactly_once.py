"""Ten thousand events, on good networks and on bad ones: each is stored once."""

from concurrent.futures import ThreadPoolExecutor

from tests.e2e.conftest import MakeClient
from tests.e2e.support.clickhouse import Database
from tests.e2e.support.ledger import Ledger
from tests.e2e.support.load import capture_numbered, settle
from tests.e2e.support.proxy import DeliverTwice, LoseFirstAnswers, Proxy
from tests.e2e.support.service import Service

from headwater import Client

EVENTS = 10_000


def test_ten_thousand_events_from_several_threads(
    service: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    client = make_client(service.url, max_queue_size=EVENTS)
    database.keep_copies()

    def capture(thread: int) -> None:
        for number in range(EVENTS // 4):
            ledger.note(client.capture(f"user-{thread}", "e", {"number": number}))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(capture, range(4)))
    settle_all(client, ledger, database)

    assert (service.accepted, service.duplicates) == (EVENTS, 0)


def test_ten_thousand_events_whose_first_answers_are_all_lost(
    service: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    behaviour = LoseFirstAnswers()
    database.keep_copies()
    with Proxy(service.port, behaviour) as proxy:
        client = make_client(proxy.url, max_batch_events=500, max_queue_size=EVENTS)
        capture_numbered(client, ledger, count=EVENTS)
        settle_all(client, ledger, database)

    ledger.check_acknowledged()
    assert behaviour.lost == set(ledger.batches)
    assert (service.accepted, service.duplicates) == (EVENTS, EVENTS)


def test_ten_thousand_events_that_are_all_delivered_twice_at_once(
    service: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    behaviour = DeliverTwice()
    database.keep_copies()
    with Proxy(service.port, behaviour) as proxy:
        client = make_client(proxy.url, max_queue_size=EVENTS)
        capture_numbered(client, ledger, count=EVENTS)
        settle_all(client, ledger, database)

    ledger.check_acknowledged()
    assert behaviour.delivered == 2 * len(set(ledger.batches))
    assert (service.accepted, service.duplicates) == (EVENTS, EVENTS)


def settle_all(client: Client, ledger: Ledger, database: Database) -> None:
    """Delivers everything, and asserts that each event is stored once."""
    settle(client, ledger, database)
    assert client.stats().delivered == EVENTS
    [unique] = database.column("SELECT count() FROM events_unique")
    assert unique == EVENTS
