import asyncio

import pytest

from headwater_ingest.errors import OwnerGoneError
from headwater_ingest.sites.quota import MonthlyUsage
from headwater_ingest.sites.record import SiteRecord, WriteKey
from headwater_ingest.visitors.salts import DaySalt
from headwater_ingest.worker.orders import Orders
from headwater_ingest.worker.protocol import Begin, Finish, PutSalts, PutSites

BEGIN = Begin(b"settings", 5)
SALT = DaySalt(20_000, b"s" * 16, is_local=False, fixed_at_ms=0)
PUT_SALTS = PutSalts((SALT,))


def site(number: int, *, quota: int | None = None, domain: str = "") -> SiteRecord:
    return SiteRecord(
        id=number,
        domain=domain or f"{number}.example",
        write_keys=(WriteKey.of(f"key {number}"),),
        monthly_quota=quota,
    )


async def follow(orders: Orders) -> Begin:
    keeping = asyncio.create_task(orders.keep_sites())
    try:
        async with asyncio.timeout(10):
            return await orders.greeting()
    finally:
        keeping.cancel()


def test_a_worker_begins_with_all_that_the_owner_has_in_force() -> None:
    async def run() -> None:
        orders, usage = Orders(), MonthlyUsage()
        orders.watch_usage(usage)
        for order in (BEGIN, PutSites([site(1), site(2, quota=9)], are_all=True)):
            orders.take(order)
        orders.take(PUT_SALTS)

        assert await follow(orders) == BEGIN
        assert [each.id for each in orders.sites.sites] == [1, 2]
        assert orders.sites.is_whole
        assert orders.sites.by_key("key 2") is not None
        assert orders.salts.known == (SALT,)
        assert usage.watched == (2,)

    asyncio.run(run())


def test_sites_that_come_later_take_the_place_of_all_before() -> None:
    async def run() -> None:
        orders = Orders()
        for order in (
            BEGIN,
            PutSites([site(1)], are_all=False),
            PUT_SALTS,
            PutSites([site(2)], are_all=True),
        ):
            orders.take(order)

        await follow(orders)

        assert [each.id for each in orders.sites.sites] == [2]
        assert orders.sites.is_whole

    asyncio.run(run())


def test_a_site_that_is_wrong_costs_itself_only() -> None:
    async def run() -> None:
        orders = Orders()
        wrong = SiteRecord(id=1, domain="1.example", blocked_addresses=("nonsense",))
        for order in (BEGIN, PutSites([wrong, site(2)], are_all=True), PUT_SALTS):
            orders.take(order)

        await follow(orders)

        assert [each.id for each in orders.sites.sites] == [2]

    asyncio.run(run())


def test_a_worker_that_is_told_to_finish_refuses() -> None:
    async def run() -> None:
        orders = Orders()
        before = orders.refusing

        orders.take(Finish())

        assert (before, orders.refusing) == (False, True)
        assert orders.finish.is_set()

    asyncio.run(run())


def test_a_worker_whose_owner_goes_while_it_begins_does_not_wait_for_it() -> None:
    async def run() -> None:
        orders = Orders()
        orders.take(BEGIN)
        orders.take(Finish())

        with pytest.raises(OwnerGoneError):
            await follow(orders)

    asyncio.run(run())
