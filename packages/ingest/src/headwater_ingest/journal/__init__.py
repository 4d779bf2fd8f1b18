"""The journal: what was acknowledged is on disk, and is there once."""

from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.dead_letters import DeadLetter
from headwater_ingest.journal.entry import (
    Committed,
    Entry,
    JournalStatus,
    PartlyRepeated,
    Receipt,
    Repeated,
    StoredAnswer,
)
from headwater_ingest.journal.journal import Journal
from headwater_ingest.journal.reader import Block, JournalReader
from headwater_ingest.journal.verdicts import Verdict

__all__ = [
    "Block",
    "Committed",
    "Count",
    "DeadLetter",
    "Entry",
    "Journal",
    "JournalReader",
    "JournalStatus",
    "PartlyRepeated",
    "Receipt",
    "Repeated",
    "StoredAnswer",
    "Verdict",
]
