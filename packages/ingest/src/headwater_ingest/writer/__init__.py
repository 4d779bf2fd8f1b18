"""The writer: brings rows from the journal to ClickHouse, each exactly once."""

from headwater_ingest.writer.classify import Failure, FailureKind
from headwater_ingest.writer.protocol import WriterSettings, WriterStatus
from headwater_ingest.writer.supervisor import WriterSupervisor

__all__ = [
    "Failure",
    "FailureKind",
    "WriterSettings",
    "WriterStatus",
    "WriterSupervisor",
]
