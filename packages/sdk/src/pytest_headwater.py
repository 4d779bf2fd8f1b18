"""The pytest fixture `headwater_events`, known wherever headwater is installed.

It stands outside the package so that a test run which does not use it imports nothing.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from headwater.testing import RecordedEvents


@pytest.fixture
def headwater_events() -> Iterator["RecordedEvents"]:
    """What the test captures through the default client, sent nowhere.

    See `headwater.testing.RecordedEvents`.
    """
    from headwater.testing import record  # noqa: PLC0415 - see above

    with record() as events:
        yield events
