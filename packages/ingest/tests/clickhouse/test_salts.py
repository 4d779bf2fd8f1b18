from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.clickhouse.salts import add_salts, drop_old_salts, read_salts

pytestmark = pytest.mark.clickhouse

FIRST, SECOND = bytes(16), bytes(range(16))


def today() -> int:
    return int(datetime.now(UTC).timestamp()) // 86_400


def days_stored(client: Client) -> list[int]:
    rows = client.execute("SELECT toInt32(day) FROM salts ORDER BY day")
    return [day for (day,) in rows]


def test_what_is_added_is_read(client: Client) -> None:
    day = today()
    add_salts(client, {day: FIRST, day + 1: SECOND})

    assert read_salts(client, since=day) == {day: FIRST, day + 1: SECOND}
    assert read_salts(client, since=day + 1) == {day + 1: SECOND}


@pytest.mark.parametrize("salts", [(FIRST, SECOND), (SECOND, FIRST)])
def test_the_first_of_several_salts_counts(
    salts: tuple[bytes, bytes], client: Client
) -> None:
    day = today()
    for salt in salts:
        client.execute("SELECT sleep(0.002)")
        add_salts(client, {day: salt})

    assert read_salts(client, since=day) == {day: salts[0]}


def test_of_salts_of_one_moment_the_smaller_counts(client: Client) -> None:
    day = today()
    for salt in (SECOND, FIRST):
        client.execute(
            "INSERT INTO salts (day, salt, created_at) "
            "SELECT toDate(%(day)s), %(salt)s, 0",
            {"day": day, "salt": salt.hex()},
        )

    assert read_salts(client, since=day) == {day: FIRST}


def test_the_salts_of_two_days_ago_leave_the_table_and_the_disk(client: Client) -> None:
    day = today()
    client.execute("SYSTEM STOP TTL MERGES salts")  # so that the drop has to do it
    add_salts(client, {day - back: FIRST for back in (-1, 0, 1, 2, 3, 40)})

    drop_old_salts(client)

    assert days_stored(client) == [day - 1, day, day + 1]
    assert rows_on_disk(client) == 3


def test_the_table_forgets_them_by_itself_too(
    client: Client, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    day = today()
    add_salts(client, {day - 1: FIRST, day - 2: FIRST})

    client.execute("OPTIMIZE TABLE salts FINAL")

    eventually(lambda: days_stored(client) == [day - 1])


def test_a_salt_is_in_no_query_that_a_server_would_log(client: Client) -> None:
    add_salts(client, {today(): SECOND})
    read_salts(client, since=today())
    client.execute("SYSTEM FLUSH LOGS")

    logs = client.execute(
        "SELECT name FROM system.tables WHERE database = 'system' AND name LIKE '%_log'"
    )
    for (name,) in logs:
        text = client.execute(f"SELECT toString(tuple(*)) FROM system.{name}")
        assert not any(SECOND.hex() in row for (row,) in text), name


def rows_on_disk(client: Client) -> int:
    [(rows,)] = client.execute(
        "SELECT sum(rows) FROM system.parts "
        "WHERE database = currentDatabase() AND table = 'salts'"
    )
    return int(rows)
