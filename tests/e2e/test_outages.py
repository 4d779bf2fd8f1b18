"""Something is away for a while: nothing is lost, nothing doubled, order is kept."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.conftest import MakeClient, MakeService
from tests.e2e.support.clickhouse import Database, OwnClickHouse, embedded_database
from tests.e2e.support.ledger import Ledger
from tests.e2e.support.load import SETTLED_S, Load, capture_numbered, settle
from tests.e2e.support.processes import Processes, find_child, is_alive
from tests.e2e.support.proxy import ActBeforeAnswers, Proxy
from tests.e2e.support.relay import Relay
from tests.e2e.support.service import Service
from tests.e2e.support.waiting import wait_for


@pytest.fixture
def own_clickhouse(processes: Processes, tmp_path: Path) -> OwnClickHouse:
    """A ClickHouse that nobody else uses, so that it may be killed."""
    return OwnClickHouse(processes, tmp_path / "clickhouse")


def assert_order_is_kept(database: Database) -> None:
    """Asserts that events were received in the order in which they were captured."""
    numbers = database.column(
        "SELECT toUInt32(props['number']) AS number FROM events "
        "ORDER BY received_at, number"
    )
    assert numbers == sorted(numbers)


def test_service_down_then_up(
    service: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    client = make_client(service.url, max_batch_events=50, max_retries=1)
    database.keep_copies()
    capture_numbered(client, ledger, count=120)
    assert client.flush().delivered == 120
    assert service.stop() == 0
    capture_numbered(client, ledger, count=120)
    assert client.flush().queued == 120, "nobody is there to take them"

    service.start()
    capture_numbered(client, ledger, count=120)
    settle(client, ledger, database)

    ledger.check_acknowledged()
    assert_order_is_kept(database)


def test_sigterm_under_load(
    service: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    client = make_client(service.url, flush_at=20)
    database.keep_copies()
    with Load(client, ledger) as load:
        for _ in range(2):
            load.wait_for_acknowledged(200)
            assert service.stop() == 0
            load.wait_for_sent(50)
            service.start()
        load.wait_for_acknowledged(200)
    settle(client, ledger, database)

    ledger.check_acknowledged()
    assert_order_is_kept(database)


def test_a_stop_leaves_nothing_in_the_journal(
    service: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    client = make_client(service.url)
    capture_numbered(client, ledger, count=500)
    assert client.flush().delivered == 500

    assert service.stop() == 0

    ledger.check_all_stored(database.stored_ids())


def test_kill_9_of_the_service_under_load(
    service: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    client = make_client(service.url, flush_at=20)
    database.keep_copies()
    with Load(client, ledger) as load:
        for _ in range(4):
            load.wait_for_acknowledged(150)
            service.kill()
            service.start()
        load.wait_for_acknowledged(150)
    settle(client, ledger, database)

    ledger.check_acknowledged()
    assert_order_is_kept(database)


def test_kill_9_of_the_service_with_many_requests_under_way(
    service: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    clients = [make_client(service.url, flush_at=2) for _ in range(6)]
    database.keep_copies()
    with ExitStack() as stack:
        loads = [stack.enter_context(Load(client, ledger)) for client in clients]
        for _ in range(4):
            loads[0].wait_for_acknowledged(300)
            service.kill()
            service.start()
    for client in clients:
        assert client.flush(timeout=SETTLED_S).queued == 0
        assert client.stats().lost == {}
    settle(clients[0], ledger, database)

    assert sorted(ledger.acknowledged) == sorted(ledger.sent)


def test_kill_9_of_the_service_between_the_disk_and_the_answer(
    service: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    def kill_and_start() -> None:
        service.kill()
        service.start()

    behaviour = ActBeforeAnswers(kill_and_start, times=3)
    database.keep_copies()
    with Proxy(service.port, behaviour) as proxy:
        client = make_client(proxy.url, max_batch_events=100)
        capture_numbered(client, ledger, count=500)
        settle(client, ledger, database)

    assert len(behaviour.lost) == 3
    assert service.duplicates == 100, "the last batch that was sent again"
    ledger.check_acknowledged()


def test_what_was_acknowledged_before_a_kill_9_is_stored_after_it(
    make_service: MakeService,
    database: Database,
    make_client: MakeClient,
    ledger: Ledger,
) -> None:
    # Blocks wait for so long that nothing is in ClickHouse when the service dies.
    service = make_service(block_seconds="3000")
    service.start()
    client = make_client(service.url)
    capture_numbered(client, ledger, count=300)
    assert client.flush().delivered == 300
    service.kill()
    assert client.shutdown().queued == 0
    assert database.stored_ids() == []

    service.settings = {}
    service.start()

    database.wait_for_rows(300)
    ledger.check_stored(database.stored_ids())


def test_kill_9_of_the_writer_under_load(
    service: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    client = make_client(service.url, flush_at=20)
    database.keep_copies()
    with Load(client, ledger) as load:
        for restarts in range(1, 4):
            load.wait_for_acknowledged(150)
            service.kill_writer()
            wait_for_metric(service, "headwater_writer_restarts_total", restarts)
    settle(client, ledger, database)

    ledger.check_acknowledged()
    assert service.ready_status() == 200


@pytest.mark.parametrize("victim", ["connection", "writer", "service"])
def test_whoever_dies_between_an_insert_and_its_answer_inserts_nothing_twice(
    make_service: MakeService,
    database: Database,
    make_client: MakeClient,
    ledger: Ledger,
    victim: str,
) -> None:
    with Relay(database.address) as relay:
        service = make_service(database.at(relay.port).url)
        service.start()
        database.keep_copies()
        client = make_client(service.url)
        kill = {
            "connection": lambda: None,
            "writer": service.kill_writer,
            "service": service.kill,
        }[victim]
        stored: list[int] = []

        def lose() -> None:
            stored.append(len(database.stored_ids()))
            kill()

        for lost in range(1, 3):
            relay.lose_next_answer(then=lose)
            capture_numbered(client, ledger, count=300)
            assert client.flush().delivered == 300
            wait_for_lost_answers(relay, lost)
            if victim == "service":
                service.start()
            wait_for_metric(service, "headwater_journal_pending_rows", 0)
        capture_numbered(client, ledger, count=10)
        settle(client, ledger, database)

    assert stored == [300, 600], "it was the answer that was lost, not the INSERT"


def test_kill_9_of_the_embedded_clickhouse_under_load(
    make_service: MakeService, make_client: MakeClient, ledger: Ledger
) -> None:
    service = make_service("embedded")
    service.start()
    database = embedded_database(service.data_dir)
    client = make_client(service.url, flush_at=20)
    with Load(client, ledger) as load:
        for restarts in range(1, 4):
            load.wait_for_acknowledged(150)
            service.kill_embedded_clickhouse()
            wait_for_metric(service, "headwater_clickhouse_restarts_total", restarts)
    settle(client, ledger, database)

    ledger.check_acknowledged()
    assert_order_is_kept(database)


def test_kill_9_of_a_clickhouse_of_your_own(
    make_service: MakeService,
    own_clickhouse: OwnClickHouse,
    make_client: MakeClient,
    ledger: Ledger,
) -> None:
    database = own_clickhouse.start().make_database()
    service = make_service(database.url)
    service.start()
    client = make_client(service.url, flush_at=20)
    with Load(client, ledger) as load:
        load.wait_for_acknowledged(150)
        own_clickhouse.kill()
        wait_for_degraded(service, "clickhouse_away")
        load.wait_for_acknowledged(300)
        assert service.ready_status() == 200, "it goes on taking events"
        own_clickhouse.start()
        wait_for_degraded(service)
    settle(client, ledger, database)

    ledger.check_acknowledged()
    assert_order_is_kept(database)


def test_clickhouse_is_cut_off_again_and_again(
    make_service: MakeService,
    database: Database,
    make_client: MakeClient,
    ledger: Ledger,
) -> None:
    with Relay(database.address) as relay:
        service = make_service(database.at(relay.port).url)
        service.start()
        database.keep_copies()
        client = make_client(service.url, flush_at=20)
        with Load(client, ledger) as load:
            for _ in range(3):
                load.wait_for_acknowledged(100)
                relay.cut()
                load.wait_for_acknowledged(100)
                relay.restore()
        settle(client, ledger, database)

    ledger.check_acknowledged()
    assert_order_is_kept(database)


def test_the_service_starts_without_clickhouse_and_keeps_what_it_takes(
    make_service: MakeService,
    database: Database,
    make_client: MakeClient,
    ledger: Ledger,
) -> None:
    relay = Relay(database.address)
    relay.restore()
    relay.cut()
    service = make_service(database.at(relay.port).url)
    service.start()
    assert "clickhouse_away" in service.readiness()["degraded"]
    client = make_client(service.url)
    capture_numbered(client, ledger, count=100)
    assert client.flush().delivered == 100

    with relay:
        wait_for_degraded(service)
        settle(client, ledger, database)


def test_a_service_that_is_killed_leaves_no_process_behind(
    make_service: MakeService,
) -> None:
    service = make_service("embedded")
    service.start()
    children = [
        find_child(service.running.pid, "headwater_ingest.writer"),
        find_child(service.running.pid, "clickhouse/embedded"),
    ]

    service.kill()

    wait_for(lambda: not any(map(is_alive, children)), what="the children to end")


def wait_for_degraded(service: Service, *reasons: str) -> None:
    """Returns when `/readyz` gives exactly these reasons for being degraded."""
    wait_for(
        lambda: service.readiness()["degraded"] == list(reasons),
        what=f"degraded: {reasons}",
        timeout_s=SETTLED_S,
    )


def wait_for_lost_answers(relay: Relay, count: int) -> None:
    wait_for(lambda: relay.answers_lost == count, what=f"lost answer {count}")


def wait_for_metric(service: Service, name: str, value: float) -> None:
    wait_for(
        lambda: service.metric(name) == value,
        what=f"{name} {value}",
        timeout_s=SETTLED_S,
    )
