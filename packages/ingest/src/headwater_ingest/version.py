"""Which release this is, as the installed distribution says."""

from importlib.metadata import version

VERSION = version("headwater-ingest")
