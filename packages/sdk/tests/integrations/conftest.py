"""What the integrations are tested with: a recorded client that is the default one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headwater.testing import RecordedEvents, record


@pytest.fixture
def events() -> Iterator[RecordedEvents]:
    with record() as recorded:
        yield recorded
