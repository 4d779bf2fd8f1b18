"""The default client in tests: replaced while they run, and there again afterwards."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

import headwater
from headwater import AsyncClient, Client
from headwater._default import replace_default
from headwater.testing import AsyncMemoryTransport, RecordedEvents, record


def test_fixture_has_what_the_default_client_captures(
    headwater_events: RecordedEvents,
) -> None:
    headwater.capture("user-1", "first")
    headwater.identify("user-1", {"plan": "pro"})
    assert headwater_events.names == ["first", "$identify"]
    headwater_events.assert_no_errors()


def test_recordings_may_be_nested() -> None:
    with record() as outer:
        headwater.capture("user-1", "before")
        with record() as inner:
            headwater.capture("user-1", "inside")
        headwater.capture("user-1", "after")
    assert (outer.names, inner.names) == (["before", "after"], ["inside"])


def test_default_client_is_there_again_even_after_a_failure() -> None:
    with Client(disabled=True) as own:
        former = replace_default(own)
        with pytest.raises(ZeroDivisionError), record():
            raise ZeroDivisionError
        assert headwater.default_client() is own
        replace_default(former)


def test_asyncio_has_a_transport_of_its_own() -> None:
    transport = AsyncMemoryTransport()
    transport.fail()

    async def run() -> None:
        async with AsyncClient("key", "http://localhost", transport=transport) as own:
            own.capture("user-1", "awaited")
            await own.flush(timeout=30)

    asyncio.run(run())
    assert [event.event for event in transport.events] == ["awaited"]
    assert transport.is_closed


def test_plugin_imports_nothing_before_its_fixture_is_used() -> None:
    code = "import pytest_headwater, sys; print('headwater' in sys.modules)"
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert printed == "False\n"
