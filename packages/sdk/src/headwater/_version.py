"""The version of this library, as it is sent with every batch."""

from typing import Final

__version__: Final = "0.1.0"
SDK_NAME: Final = "headwater-python"
