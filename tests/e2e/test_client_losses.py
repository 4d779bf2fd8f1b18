"""What a client gives up is told to the service, once, and can be asked for."""

from tests.e2e.conftest import MakeClient
from tests.e2e.support.clickhouse import Database
from tests.e2e.support.ledger import Ledger
from tests.e2e.support.proxy import LoseFirstAnswers, Proxy
from tests.e2e.support.service import Service
from tests.e2e.support.waiting import wait_for

LOST = {"invalid_event": 1, "before_send": 2, "event_too_large": 1}


def test_losses_of_a_client_show_once_although_its_batch_came_twice(
    service: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    with Proxy(service.port, LoseFirstAnswers()) as proxy:
        client = make_client(
            proxy.url,
            before_send=lambda event: None if "no" in event["event"] else event,
        )
        client.capture("", "of nobody in particular")
        client.capture("user-1", "no")
        client.capture("user-1", "no")
        client.capture("user-1", "large", {"text": "x" * 2**20})
        ledger.note(client.capture("user-1", "good"))
        assert client.flush(20).delivered == 1

    def counted() -> dict[str, int]:
        return dict(
            database.query(
                "SELECT reason, toInt64(sum(count)) FROM ingest_counters "
                "WHERE outcome = 'client_lost' GROUP BY reason"
            )
        )

    wait_for(lambda: counted() == LOST, what="the losses to be counted")
    for reason, count in LOST.items():
        assert service.metric("headwater_client_losses_total", reason=reason) == count
    assert service.accepted == 1
    database.wait_for_rows(1)
    ledger.check_all_stored(database.stored_ids())
