"""The archive: every row that was accepted, in compressed files of one hour each."""

from headwater_ingest.archive.erasing import erase_rows
from headwater_ingest.archive.files import DIRECTORY_NAME, list_files, read_rows
from headwater_ingest.archive.writer import ArchiveWriter, Keeping

__all__ = [
    "DIRECTORY_NAME",
    "ArchiveWriter",
    "Keeping",
    "erase_rows",
    "list_files",
    "read_rows",
]
