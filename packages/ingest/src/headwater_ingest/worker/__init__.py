"""Workers: processes that take events for a service that keeps the journal."""
