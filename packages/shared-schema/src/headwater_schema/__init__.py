"""The wire format of Headwater, used by the client SDK and by the ingest service.

This package is the one definition of events, batches, answers, outcomes, reasons and
limits. Nothing in it does I/O or reads a clock.
"""
