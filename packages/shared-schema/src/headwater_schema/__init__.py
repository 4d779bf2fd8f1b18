"""The wire format of Headwater, used by the client SDK and by the ingest service.

This package is the one definition of events, batches, answers, outcomes, reasons and
limits. Apart from making ids, and from its command, it does no I/O and reads no clock.
"""
