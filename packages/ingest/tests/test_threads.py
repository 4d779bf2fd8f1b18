import asyncio
import threading

import pytest

from headwater_ingest.threads import in_thread


def test_work_is_done_in_a_thread_that_holds_nobody_up() -> None:
    thread = asyncio.run(in_thread(threading.current_thread))

    assert thread is not threading.main_thread()
    assert thread.daemon


def test_what_goes_wrong_there_is_raised_here() -> None:
    def fail() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        asyncio.run(in_thread(fail))


def test_other_work_goes_on_meanwhile() -> None:
    is_set = threading.Event()

    async def check() -> bool:
        waiting = asyncio.create_task(in_thread(lambda: is_set.wait(20)))
        await asyncio.sleep(0)
        is_set.set()
        return await waiting

    assert asyncio.run(check())
