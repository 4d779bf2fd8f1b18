"""New ids of events and batches, as clients make them. Light to import.

They are UUIDv7 (RFC 9562): unique without asking anybody, and in order of time.
"""

import uuid_utils


def new_event_id() -> str:
    """Returns a new UUIDv7 as text, greater than all made before in this process."""
    return str(uuid_utils.uuid7())


def new_batch_id() -> str:
    """Returns a new UUIDv7 as text; it stays with the batch over all retries."""
    return str(uuid_utils.uuid7())
