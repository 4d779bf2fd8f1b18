"""What the owner has told a worker so far."""

import asyncio
from functools import partial
from typing import assert_never

import structlog

from headwater_ingest.errors import OwnerGoneError
from headwater_ingest.sites.quota import MonthlyUsage
from headwater_ingest.sites.record import to_sites
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.threads import in_thread
from headwater_ingest.visitors.salts import Salts
from headwater_ingest.worker.owner_link import Order
from headwater_ingest.worker.protocol import Begin, Finish, PutSalts, PutSites

_log = structlog.stdlib.get_logger(__name__)


class Orders:
    """Follows the owner. Owned by the loop.

    Attributes:
        sites: The sites in force.
        salts: The salts of the days.
        refusing: Whether requests are refused, because of the stop.
        finish: Set at the stop.
    """

    def __init__(self) -> None:
        self.sites = SiteRegistry()
        self.salts = Salts()
        self.refusing = False
        self.finish = asyncio.Event()
        self._begin: Begin | None = None
        self._greeted = asyncio.Event()
        self._usage = MonthlyUsage()
        self._new_sites: asyncio.Queue[PutSites] = asyncio.Queue()

    async def greeting(self) -> Begin:
        """Return what the worker needs to know, once all of it has been told.

        Raises:
            OwnerGoneError: The owner will not say any more.
        """
        await self._greeted.wait()
        await self._new_sites.join()
        if self._begin is None or self.finish.is_set():
            raise OwnerGoneError("the service is gone")
        return self._begin

    def watch_usage(self, usage: MonthlyUsage) -> None:
        """Have the use of quotas counted for those sites that have one."""
        self._usage = usage
        self._watch()

    def take(self, order: Order) -> None:
        """Do what the owner says."""
        match order:
            case Begin():
                self._begin = order
            case PutSites():
                self._new_sites.put_nowait(order)
            case PutSalts():
                self.salts.take_over(order.salts)
                self._greeted.set()  # they come last
            case Finish():
                self.refusing = True
                self.finish.set()
                self._greeted.set()
            case _:
                assert_never(order)

    async def keep_sites(self) -> None:
        """Put sites in force as they come, for ever, in a thread: they may be many."""
        while True:
            order = await self._new_sites.get()
            try:
                await in_thread(partial(self._put_in_force, order))
                self._watch()
            except Exception:  # noqa: BLE001 - a supervised loop: it goes on
                _log.exception("sites not put in force")
            finally:
                self._new_sites.task_done()

    def _put_in_force(self, order: PutSites) -> None:
        self.sites.replace(to_sites(order.records), are_all=order.are_all)

    def _watch(self) -> None:
        limited = [
            site.id for site in self.sites.sites if site.monthly_quota is not None
        ]
        self._usage.watch(limited)
