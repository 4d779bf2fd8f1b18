"""Sessions of any store."""

from headwater_ingest.visitors.sessions import Session, SessionStore, Visit
from headwater_schema.outcomes import Reason


async def register(store: SessionStore, visit: Visit) -> Session | Reason:
    """Returns the session of an event, be it at hand or not."""
    found = store.register(visit)
    return found if isinstance(found, Session | Reason) else await found
