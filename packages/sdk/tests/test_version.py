"""The version that is sent is the version that is installed."""

from importlib import metadata

import headwater


def test_version_is_that_of_the_distribution() -> None:
    assert headwater.__version__ == metadata.version("headwater")
